"""Where a request would go and what would happen to it on the way, told without sending anything."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from tollhouse.flow.precedence import Precedence, groups_of, scope_of
from tollhouse.model.entities import Consumer, ConsumerGroup, PluginInstance, Route, Service
from tollhouse.model.snapshot import Snapshot
from tollhouse.pdk.plugin import Plugin, Scope
from tollhouse.review.asked import Asked
from tollhouse.routing import build_router, path_builder
from tollhouse.routing.match import Flavour, Match
from tollhouse.wire.uri import arguments

#: criteria of a route, as they are asked about one by one
_CRITERIA: Final = ("protocols", "methods", "hosts", "paths", "headers", "snis")


class Plugins(Protocol):
    """The plugins that are there."""

    def plugin_class(self, name: str) -> type[Plugin[Any]] | None: ...


@dataclass(frozen=True, slots=True)
class Placed:
    """One configuration of a plugin, where it comes from and when it runs."""

    instance: PluginInstance
    name: str
    priority: int
    scope: Scope
    origin: str


@dataclass(frozen=True, slots=True)
class Missed:
    """A route that does not take the request, and why."""

    route: str
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would happen."""

    route: Route | None
    service: Service | None
    consumer: Consumer | None
    #: the part of the path that the route's path stands for, and what a regex captured
    prefix: str
    captures: Mapping[str, str]
    #: plugins in the order they run, and configurations that others outweigh
    plugins: tuple[Placed, ...]
    outweighed: tuple[Placed, ...]
    upstream_uri: str | None
    upstream_host: str | None
    targets: tuple[str, ...]
    missed: tuple[Missed, ...]


def explain(
    snapshot: Snapshot, asked: Asked, flavor: Flavour, plugins: Plugins, consumer: str | None = None
) -> Explanation:
    """What a configuration does with a request. `consumer` is who calls, by id or username; left out, a key
    in the request tells. Raises `LookupError` for a consumer that does not exist."""
    services = {service.id: service for service in snapshot.services}
    served = [route for route in snapshot.routes if not route.service or services[route.service.id].enabled]
    found = _find(served, asked, flavor)
    by_id = {route.id: route for route in snapshot.routes}
    route = by_id[found.route.id] if found else None
    service = services[route.service.id] if route and route.service else None
    missed = tuple(_missed(snapshot, services, asked, flavor, route))
    names = _Names(snapshot)
    placed = list(_placed(snapshot, plugins, names))
    order = Precedence(placed, groups_of(snapshot))
    where = (route.id if route else None, service.id if service else None)
    who = _named(snapshot, consumer) if consumer else _by_key(snapshot, order.effective(*where, None), asked)
    effective = (
        order.effective(*where, who.id if who else None) if route else order.effective(None, None, None)
    )
    ours = {id(each) for each in effective}
    others = [each for each in placed if id(each) not in ours and _concerns(each.scope, *where, who)]
    others = others if route else []
    return Explanation(
        route,
        service,
        who,
        found.prefix if found else "",
        dict(found.captures[0]) if found and found.captures else {},
        tuple(effective),
        tuple(others),
        _uri(route, service, asked, found, flavor) if found and route and service else None,
        _host(snapshot, route, service, asked) if route and service else None,
        _targets(snapshot, service) if service else (),
        missed,
    )


def _find(routes: Sequence[Route], asked: Asked, flavor: Flavour) -> Match | None:
    router = build_router(routes, flavor)
    return router.find(
        asked.method,
        asked.target.normal,
        asked.host,
        asked.headers,
        asked.scheme,
        asked.port,
        asked.sni,
        asked.target.query,
        (asked.client_ip, 0),
    )


# Routes


def _missed(
    snapshot: Snapshot,
    services: Mapping[str, Service],
    asked: Asked,
    flavor: Flavour,
    winner: Route | None,
) -> Iterator[Missed]:
    for route in snapshot.routes:
        if winner is not None and route.id == winner.id:
            continue
        service = services.get(route.service.id) if route.service else None
        if service is not None and not service.enabled:
            reason = f"its service {service.name or service.id} is disabled"
        elif _find([route], asked, flavor):
            reason = f"it matches too, but {_called(winner)} comes first" if winner else "it matches"
        else:
            reason = _why_not(route, asked, flavor)
        yield Missed(_called(route), reason)


def _called(route: Route | None) -> str:
    return (route.name or route.id) if route else ""


def _why_not(route: Route, asked: Asked, flavor: Flavour) -> str:
    """The first criterion that does not hold, each asked about by itself."""
    if route.expression is not None:
        return f"its expression does not hold: {route.expression}"
    everything = dict.fromkeys(_CRITERIA[1:])
    for criterion in _CRITERIA:
        value = getattr(route, criterion)
        if not value:
            continue
        alone: dict[str, Any] = {
            **everything,
            "protocols": ("http", "https", "grpc", "grpcs"),
            criterion: value,
        }
        if criterion != "paths":
            alone["paths"] = ("/",)
        if not _find([replace(route, **alone)], asked, flavor):
            return f"{criterion}: {_shown(value)} does not hold for {_asked_value(criterion, asked)}"
    return "its criteria do not hold together"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {' or '.join(values)}" for name, values in value.items())
    return ", ".join(value)


def _asked_value(criterion: str, asked: Asked) -> str:
    match criterion:
        case "protocols":
            return asked.scheme
        case "methods":
            return asked.method
        case "hosts":
            return asked.host or "no host"
        case "paths":
            return asked.target.normal
        case "snis":
            return asked.sni or "no SNI"
        case _:
            return "the headers"


# Plugins


class _Names:
    """What people call the entities that plugins are bound to."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._names: dict[str, str] = {}
        named: Iterable[Route | Service | ConsumerGroup]
        for named in (snapshot.routes, snapshot.services, snapshot.consumer_groups):
            self._names.update({each.id: each.name or each.id for each in named})
        for consumer in snapshot.consumers:
            self._names[consumer.id] = consumer.username or consumer.custom_id or consumer.id

    def origin(self, scope: Scope) -> str:
        """Where a configuration comes from."""
        bound = (
            ("route", scope.route),
            ("service", scope.service),
            ("consumer", scope.consumer),
            ("consumer group", scope.consumer_group),
        )
        return " and ".join(f"{kind} {self._names[id_]}" for kind, id_ in bound if id_) or "global"


def _placed(snapshot: Snapshot, plugins: Plugins, names: _Names) -> Iterator[Placed]:
    for instance in snapshot.plugins:
        cls = plugins.plugin_class(instance.name)
        if instance.enabled and cls is not None:
            scope = scope_of(instance)
            yield Placed(instance, instance.name, cls.priority, scope, names.origin(scope))


def _concerns(scope: Scope, route: str | None, service: str | None, consumer: Consumer | None) -> bool:
    """Whether a configuration would count if no other outweighed it."""
    return (
        scope.route in (None, route)
        and scope.service in (None, service)
        and scope.consumer in (None, consumer.id if consumer else None)
        and scope.consumer_group is None
    )


def _named(snapshot: Snapshot, name: str) -> Consumer:
    for consumer in snapshot.consumers:
        if name in (consumer.id, consumer.username, consumer.custom_id):
            return consumer
    raise LookupError(f"there is no consumer {name}")


def _by_key(snapshot: Snapshot, effective: Sequence[Placed], asked: Asked) -> Consumer | None:
    """Who shows a key of key-auth."""
    for placed in effective:
        if placed.name != "key-auth":
            continue
        shown = {name: value for name, value in arguments(asked.target.query) if isinstance(value, str)}
        for name in placed.instance.config["key_names"]:
            key = asked.headers.get(name.lower()) or shown.get(name)
            for credential in snapshot.keyauth_credentials if key else ():
                if credential.key == key and credential.consumer is not None:
                    return _named(snapshot, credential.consumer.id)
    return None


# The upstream


def _uri(route: Route, service: Service, asked: Asked, found: Match, flavor: Flavour) -> str:
    build = path_builder(service.path, route.strip_path, route.path_handling or "v0", flavor)
    path = build(found.prefix, asked.target.normal)
    query = f"?{asked.target.query}" if asked.target.query is not None else ""
    return f"{service.protocol}://{service.host}:{service.port}{path}{query}"


def _host(snapshot: Snapshot, route: Route, service: Service, asked: Asked) -> str:
    if route.preserve_host:
        return asked.host
    upstream = next((each for each in snapshot.upstreams if each.name == service.host), None)
    if upstream is not None:
        return upstream.host_header or "the target's own name"
    usual = 443 if service.protocol in ("https", "grpcs") else 80
    return service.host if service.port == usual else f"{service.host}:{service.port}"


def _targets(snapshot: Snapshot, service: Service) -> tuple[str, ...]:
    upstream = next((each for each in snapshot.upstreams if each.name == service.host), None)
    if upstream is None:
        return ()
    mine = (target for target in snapshot.targets if target.upstream.id == upstream.id)
    return tuple(f"{target.target} (weight {target.weight})" for target in mine)
