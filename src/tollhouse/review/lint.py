"""What is allowed in a configuration and yet rarely meant."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from tollhouse.config.settings import Settings
from tollhouse.model.constraints import is_reference
from tollhouse.model.entities import PluginInstance, PluginSchemas, Route, Service
from tollhouse.model.plugin import plugin_schema
from tollhouse.model.schema import Record
from tollhouse.model.snapshot import Snapshot
from tollhouse.routing import Router, build_router
from tollhouse.routing.match import Flavour, wire
from tollhouse.wire.headers import Headers
from tollhouse.wire.uri import normalise

_LOOPBACK: Final = ("127.", "localhost", "::1", "[::1]", "unix:")
#: what stands for the part of a host name that a wildcard leaves open, and for the rest of a path
_SOME: Final = "tollhouse-lint"
#: plugins that tell who is calling
_AUTHENTICATING: Final = frozenset(
    {
        "key-auth",
        "basic-auth",
        "hmac-auth",
        "jwt",
        "openid-connect",
        "mtls-auth",
        "oauth2",
        "ldap-auth",
        "session",
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at: a word for its kind, and what about which entity."""

    code: str
    entity: str
    message: str

    def __str__(self) -> str:
        return f"{self.entity}: {self.message} [{self.code}]"


def lint(snapshot: Snapshot, flavor: Flavour, plugins: PluginSchemas) -> list[Finding]:
    """Everything worth a look in a configuration."""
    return [
        *_services_without_routes(snapshot),
        *_hidden_routes(snapshot, flavor),
        *_idle_plugins(snapshot),
        *_plain_secrets(snapshot, plugins),
    ]


def lint_settings(settings: Settings) -> Iterator[Finding]:
    """What a node's settings make public."""
    for listen in settings.admin_listen:
        if not str(listen).startswith(_LOOPBACK):
            yield Finding(
                "admin-public",
                "admin_listen",
                f"{listen} can be reached from other machines; bind it to 127.0.0.1 or guard it",
            )


def _services_without_routes(snapshot: Snapshot) -> Iterator[Finding]:
    routed = {route.service.id for route in snapshot.routes if route.service}
    for service in snapshot.services:
        if service.id not in routed:
            yield Finding("service-without-routes", _called("service", service), "no route leads to it")


def _called(kind: str, entity: Service | Route) -> str:
    return f"{kind} {entity.name or entity.id}"


def _hidden_routes(snapshot: Snapshot, flavor: Flavour) -> Iterator[Finding]:
    """Routes that no request reaches: for each of their own examples another one wins."""
    router = build_router(snapshot.routes, flavor)
    by_id = {route.id: route for route in snapshot.routes}
    for route in snapshot.routes:
        winners = [_winner(router, request) for request in _examples(route)]
        if winners and None not in winners and route.id not in winners:
            others = sorted({_called("route", by_id[winner]) for winner in winners if winner is not None})
            yield Finding("route-hidden", _called("route", route), f"hidden by {', '.join(others)}")


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    host: str
    path: str
    scheme: str
    headers: Headers
    sni: str | None


def _winner(router: Router, request: _Request) -> str | None:
    port = 443 if request.scheme in ("https", "grpcs") else 80
    found = router.find(
        request.method, request.path, request.host, request.headers, request.scheme, port, request.sni
    )
    return found.route.id if found else None


def _examples(route: Route) -> Iterator[_Request]:
    """Requests that the route is for, as far as its criteria name any; none for a route of regexes."""
    if route.expression is not None or any(path.startswith("~") for path in route.paths or ()):
        return
    paths = [normalise(wire(path)) for path in route.paths or ("/",)]
    deeper = [f"{path.rstrip('/')}/{_SOME}" for path in paths]
    schemes = [protocol for protocol in route.protocols if protocol in ("http", "https", "grpc", "grpcs")]
    hosts = [host.replace("*", _SOME) for host in route.hosts or ("lint.invalid",)]
    for scheme, method, host, path in product(
        schemes, route.methods or ("GET", _SOME), hosts, [*paths, *deeper]
    ):
        pairs = [(name, wire(values[0])) for name, values in (route.headers or {}).items() if values]
        for sni in route.snis or (None,):
            yield _Request(method, wire(host), path, scheme, Headers.new([("host", wire(host)), *pairs]), sni)


def _idle_plugins(snapshot: Snapshot) -> Iterator[Finding]:
    """Plugins that are switched on and that no request can meet."""
    services = {service.id: service for service in snapshot.services}
    routes: dict[str, list[Route]] = defaultdict(list)
    for route in snapshot.routes:
        if route.service:
            routes[route.service.id].append(route)
    by_id = {route.id: route for route in snapshot.routes}
    authenticated = any(plugin.enabled and plugin.name in _AUTHENTICATING for plugin in snapshot.plugins)
    for plugin in snapshot.plugins:
        if not plugin.enabled:
            continue
        reason = _why_idle(plugin, services, routes, by_id)
        if reason is None and plugin.consumer is not None and not authenticated:
            reason = "it is for a consumer, but no plugin finds out who is calling"
        if reason is not None:
            yield Finding("plugin-idle", f"plugin {plugin.instance_name or plugin.name}", reason)


def _why_idle(
    plugin: PluginInstance,
    services: Mapping[str, Service],
    routes: Mapping[str, Sequence[Route]],
    by_id: Mapping[str, Route],
) -> str | None:
    if plugin.route is not None:
        route = by_id[plugin.route.id]
        service = services.get(route.service.id) if route.service else None
        if service is not None and not service.enabled:
            return f"it is on {_called('route', route)}, whose service is disabled"
        return None
    if plugin.service is None:
        return None if by_id else "there are no routes"
    service = services[plugin.service.id]
    if not service.enabled:
        return f"{_called('service', service)} is disabled"
    return None if routes[service.id] else f"{_called('service', service)} has no routes"


def _plain_secrets(snapshot: Snapshot, plugins: PluginSchemas) -> Iterator[Finding]:
    for plugin in snapshot.plugins:
        schema = plugin_schema(plugin.name, plugins)
        for path in secret_paths(schema, {"config": plugin.config}) if schema else ():
            yield Finding(
                "secret-in-plain-text",
                f"plugin {plugin.instance_name or plugin.name}",
                f"{path} holds a secret; write {{vault://env/NAME}} in its place",
            )


def secret_paths(record: Record, values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted paths of fields that hold secrets as they are, not as references."""
    for name, field in record.fields.items():
        value = values.get(name)
        inner = field.shape.element.record if field.shape.element else None
        if field.shape.record and isinstance(value, Mapping):
            yield from secret_paths(field.shape.record, value, f"{prefix}{name}.")
        elif inner and isinstance(value, list):
            for index, each in enumerate(value):
                yield from secret_paths(inner, each, f"{prefix}{name}[{index}].")
        elif field.rules.get("encrypted") and isinstance(value, str) and value and not is_reference(value):
            yield prefix + name
