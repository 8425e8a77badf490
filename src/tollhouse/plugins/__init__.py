"""Kong's plugins by their names and fields, one module each; a module imports from `pdk` and `llm` only
(those of Lua in configurations from `custom`, too).

`BUNDLED` is the whole list: deleting a line removes a feature. Modules are imported when a
configuration first names them.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from tollhouse.config.settings import Settings
from tollhouse.custom.broken import Broken, Nothing
from tollhouse.custom.shelf import Shelf
from tollhouse.model.common import HTTP_PROTOCOLS, PROTOCOLS
from tollhouse.model.entities import PluginInstance
from tollhouse.model.schema import Record, Unchecked, schema_of
from tollhouse.pdk.plugin import Plugin, Scope
from tollhouse.pdk.services import Services

log = logging.getLogger("tollhouse.plugins")

BUNDLED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "acl": "acl:Acl",
        "acme": "acme:Acme",
        "ai-fault-injection": "ai_fault_injection:AiFaultInjection",
        "ai-gateway": "ai_gateway:AiGateway",
        "ai-prompt-decorator": "ai_prompt_decorator:AiPromptDecorator",
        "ai-prompt-guard": "ai_prompt_guard:AiPromptGuard",
        "ai-prompt-template": "ai_prompt_template:AiPromptTemplate",
        "ai-proxy": "ai_proxy:AiProxy",
        "ai-proxy-advanced": "ai_proxy_advanced:AiProxyAdvanced",
        "ai-request-transformer": "ai_request_transformer:AiRequestTransformer",
        "ai-response-transformer": "ai_response_transformer:AiResponseTransformer",
        "basic-auth": "basic_auth:BasicAuth",
        "bedrock-proxy": "bedrock_proxy:BedrockProxy",
        "bot-detection": "bot_detection:BotDetection",
        "canary": "canary:Canary",
        "correlation-id": "correlation_id:CorrelationId",
        "cors": "cors:Cors",
        "datadog": "datadog:Datadog",
        "exit-transformer": "exit_transformer:ExitTransformer",
        "fault-injection": "fault_injection:FaultInjection",
        "file-log": "file_log:FileLog",
        "header-size-limiting": "header_size_limiting:HeaderSizeLimiting",
        "hmac-auth": "hmac_auth:HmacAuth",
        "http-log": "http_log:HttpLog",
        "ip-restriction": "ip_restriction:IpRestriction",
        "jwt": "jwt:Jwt",
        "key-auth": "key_auth:KeyAuth",
        "loggly": "loggly:Loggly",
        "mtls-auth": "mtls_auth:MtlsAuth",
        "openid-connect": "openid_connect:OpenidConnect",
        "opentelemetry": "opentelemetry:Opentelemetry",
        "post-function": "post_function:PostFunction",
        "pre-function": "pre_function:PreFunction",
        "prometheus": "prometheus:Prometheus",
        "proxy-cache": "proxy_cache:ProxyCache",
        "quota-mirror": "quota_mirror:QuotaMirror",
        "rate-limiting": "rate_limiting:RateLimiting",
        "rate-limiting-advanced": "rate_limiting_advanced:RateLimitingAdvanced",
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
        "statsd": "statsd:Statsd",
        "syslog": "syslog:Syslog",
        "tcp-log": "tcp_log:TcpLog",
        "udp-log": "udp_log:UdpLog",
        "upstream-timeout": "upstream_timeout:UpstreamTimeout",
        "zipkin": "zipkin:Zipkin",
    }
)


@cache
def _plugin_class(place: str) -> type[Plugin[Any]]:
    module, _, name = place.partition(":")
    found: type[Plugin[Any]] = getattr(import_module(f"tollhouse.plugins.{module}"), name)
    return found


class Registry:
    """The plugins that are enabled on this node (Kong's `plugins` setting).

    `folders` hold custom ones, which are found only if `enabled` names them. A bundled plugin wins.
    """

    def __init__(
        self,
        enabled: Iterable[str] = ("bundled",),
        *,
        allow_missing: bool = False,
        folders: Sequence[Path] = (),
        style: str = "auto",
        has_database: bool = False,
    ) -> None:
        self._has_database = has_database
        #: whether configurations may name plugins that this version does not have; those do nothing
        self._allow_missing = allow_missing
        names: set[str] = set()
        for word in enabled:
            names |= set(BUNDLED) if word == "bundled" else {word}
        self.names = tuple(sorted(name for name in names if name in BUNDLED))
        #: plugins of files and of installed packages
        self.custom = Shelf(sorted(names - set(BUNDLED) - {"off"}), folders, style)
        #: names that were asked for and that nobody knows
        self.unknown = tuple(sorted(names - set(BUNDLED) - set(self.custom.places) - {"off"}))

    @classmethod
    def of(cls, settings: Settings, *, allow_missing: bool | None = None) -> "Registry":
        """The plugins that a node with these settings has."""
        allowed = settings.allow_missing_plugins if allow_missing is None else allow_missing
        return cls(
            settings.plugins,
            allow_missing=allowed,
            folders=settings.plugins_path,
            style=settings.python_pdk_style,
            has_database=settings.database != "off",
        )

    def plugin_class(self, name: str) -> type[Plugin[Any]] | None:
        """The class of a plugin, `None` if it is not enabled."""
        return _plugin_class(BUNDLED[name]) if name in self.names else self.custom.plugin_class(name)

    def is_current(self, plugin: Plugin[Any]) -> bool:
        """Whether an object was made from the class that its plugin has now."""
        return self.plugin_class(plugin.name) is type(plugin)

    def tolerate_missing(self) -> None:
        """Accepts plugins that this version does not know from now on; they do nothing."""
        self._allow_missing = True

    # model.plugin.PluginSchemas

    def config(self, name: str) -> Record | None:
        cls = self.plugin_class(name)
        if cls is None:
            return Unchecked() if self._is_tolerated(name) else None
        if cls.ConfigWithoutDatabase is not None and not self._has_database:
            return schema_of(cls.ConfigWithoutDatabase)
        return cls.schema()

    def _is_tolerated(self, name: str) -> bool:
        return self._allow_missing and self._is_missing(name)

    def _is_missing(self, name: str) -> bool:
        return name not in BUNDLED and name not in self.custom.places

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

    def make(
        self, instance: PluginInstance, scope: Scope, services: Services, *, at_start: bool = False
    ) -> Plugin[Any] | None:
        """The object for one configuration, which has been checked before and holds secrets in place of
        references; none for a plugin that nobody knows: whether it is tolerated was judged by that check.
        A custom plugin whose own code fails here is refused, but for a worker that has nothing else to serve
        (`at_start`)."""
        cls = self.plugin_class(instance.name)
        if cls is None and self._is_missing(instance.name):
            return None
        if cls is None and instance.name in self.custom.places:
            return Broken(Nothing(), scope, services, instance.id)
        if cls is None:
            raise LookupError(f"plugin {instance.name!r} is not enabled on this node")
        try:
            return cls(cls.read(instance.config), scope, services, instance.id)
        except Exception:  # whatever the code of others does: this worker has to start
            if not at_start or instance.name in BUNDLED:
                raise
            log.exception("plugin %r cannot be made of its configuration and answers 500", instance.name)
            return Broken(Nothing(), scope, services, instance.id)
