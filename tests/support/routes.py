"""Configurations with a route for each thing to be tried."""

from collections.abc import Mapping
from typing import Any

import yaml


def routes(url: str, named: Mapping[str, tuple[str, dict[str, Any]]], **more: Any) -> str:
    """A service with a route `/name` for each plugin and its settings; `more` are other entities."""
    made = [
        {"name": name, "paths": [f"/{name}"], "plugins": [{"name": plugin, "config": config}]}
        for name, (plugin, config) in named.items()
    ]
    service = {"name": "s", "url": url, "retries": 0, "routes": made}
    return yaml.safe_dump({"_format_version": "3.0", "services": [service], **more})
