"""Kong's plugins by their names and fields, one module each; a module imports from `pdk` and `llm` only.

`BUNDLED` is the whole list: deleting a line removes a feature. Modules are imported when a
configuration first names them.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

from tollhouse.model.common import HTTP_PROTOCOLS, PROTOCOLS
from tollhouse.model.entities import PluginInstance
from tollhouse.model.schema import Record, Unchecked, build, schema_of
from tollhouse.pdk.plugin import Plugin, Scope
from tollhouse.pdk.services import Services

BUNDLED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "acl": "acl:Acl",
        "ai-fault-injection": "ai_fault_injection:AiFaultInjection",
        "ai-gateway": "ai_gateway:AiGateway",
        "ai-prompt-decorator": "ai_prompt_decorator:AiPromptDecorator",
        "ai-prompt-guard": "ai_prompt_guard:AiPromptGuard",
        "ai-prompt-template": "ai_prompt_template:AiPromptTemplate",
        "ai-proxy": "ai_proxy:AiProxy",
        "ai-proxy-advanced": "ai_proxy_advanced:AiProxyAdvanced",
        "basic-auth": "basic_auth:BasicAuth",
        "bedrock-proxy": "bedrock_proxy:BedrockProxy",
        "bot-detection": "bot_detection:BotDetection",
        "canary": "canary:Canary",
        "correlation-id": "correlation_id:CorrelationId",
        "cors": "cors:Cors",
        "exit-transformer": "exit_transformer:ExitTransformer",
        "fault-injection": "fault_injection:FaultInjection",
        "file-log": "file_log:FileLog",
        "header-size-limiting": "header_size_limiting:HeaderSizeLimiting",
        "hmac-auth": "hmac_auth:HmacAuth",
        "ip-restriction": "ip_restriction:IpRestriction",
        "jwt": "jwt:Jwt",
        "key-auth": "key_auth:KeyAuth",
        "mtls-auth": "mtls_auth:MtlsAuth",
        "openid-connect": "openid_connect:OpenidConnect",
        "prometheus": "prometheus:Prometheus",
        "proxy-cache": "proxy_cache:ProxyCache",
        "rate-limiting": "rate_limiting:RateLimiting",
        "redirect": "redirect:Redirect",
        "request-mirror": "request_mirror:RequestMirror",
        "request-size-limiting": "request_size_limiting:RequestSizeLimiting",
        "request-termination": "request_termination:RequestTermination",
        "request-transformer": "request_transformer:RequestTransformer",
        "request-validator": "request_validator:RequestValidator",
        "response-ratelimiting": "response_ratelimiting:ResponseRatelimiting",
        "response-transformer": "response_transformer:ResponseTransformer",
        "retry": "retry:Retry",
        "route-by-header": "route_by_header:RouteByHeader",
        "session": "session:Session",
        "upstream-timeout": "upstream_timeout:UpstreamTimeout",
    }
)


@cache
def _plugin_class(place: str) -> type[Plugin[Any]]:
    module, _, name = place.partition(":")
    found: type[Plugin[Any]] = getattr(import_module(f"tollhouse.plugins.{module}"), name)
    return found


class Registry:
    """The plugins that are enabled on this node (Kong's `plugins` setting)."""

    def __init__(self, enabled: Iterable[str] = ("bundled",), *, allow_missing: bool = False) -> None:
        #: whether configurations may name plugins that this version does not have; those do nothing
        self._allow_missing = allow_missing
        names: set[str] = set()
        for word in enabled:
            names |= set(BUNDLED) if word == "bundled" else {word}
        self.names = tuple(sorted(name for name in names if name in BUNDLED))
        #: names that were asked for and that nobody knows
        self.unknown = tuple(sorted(names - set(BUNDLED) - {"off"}))

    def plugin_class(self, name: str) -> type[Plugin[Any]] | None:
        """The class of a plugin, `None` if it is not enabled."""
        return _plugin_class(BUNDLED[name]) if name in self.names else None

    # model.plugin.PluginSchemas

    def config(self, name: str) -> Record | None:
        cls = self.plugin_class(name)
        if cls is None:
            return Unchecked() if self._is_tolerated(name) else None
        return schema_of(cls.Config)

    def _is_tolerated(self, name: str) -> bool:
        return self._allow_missing and name not in BUNDLED

    def forbidden_scopes(self, name: str) -> Collection[str]:
        cls = self.plugin_class(name)
        return cls.forbidden_scopes if cls is not None else ()

    def protocols(self, name: str) -> tuple[str, ...]:
        cls = self.plugin_class(name)
        if cls is None:
            return PROTOCOLS if self._is_tolerated(name) else HTTP_PROTOCOLS
        return cls.protocols

    def default_protocols(self, name: str) -> tuple[str, ...]:
        cls = self.plugin_class(name)
        return cls.default_protocols if cls is not None else HTTP_PROTOCOLS

    # flow.compile.PluginFactory

    def make(self, instance: PluginInstance, scope: Scope, services: Services) -> Plugin[Any] | None:
        """The object for one configuration, which has been checked before and holds secrets in place of
        references; none for a plugin that is tolerated although nobody knows it."""
        cls = self.plugin_class(instance.name)
        if cls is None and self._is_tolerated(instance.name):
            return None
        if cls is None:
            raise LookupError(f"plugin {instance.name!r} is not enabled on this node")
        config = build(cls.Config, instance.config)
        return cls(config, scope, services, instance.id)
