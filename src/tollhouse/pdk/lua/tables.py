"""Tables that Lua in a configuration meets."""

from typing import Any


class Shared(dict[str, Any]):
    """What plugins of one exchange leave for one another (Kong's `kong.ctx.shared`)."""


class HeaderTable(dict[str, Any]):
    """Headers by name in any case; `_` may stand for `-`, as in OpenResty."""

    def get(self, name: Any, default: Any = None) -> Any:
        if not isinstance(name, str):
            return default
        key = name.lower()
        return super().get(key) if key in self else super().get(key.replace("_", "-"), default)
