"""Compiles a snapshot for a worker, in slices, so that its loop never stands still for long.

Whatever depends on configuration alone is done here: the router, each route's effective plugins in
order, bound phase methods, backends. Plugin objects whose configuration has not changed are taken over
from the snapshot before, with whatever they hold.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Final, Protocol

from tollhouse.flow.backend import Backend, Dial, Fixed, Targets, targets_at
from tollhouse.flow.balanced import balanced
from tollhouse.flow.guards import guard_of
from tollhouse.flow.health import UpstreamHealth
from tollhouse.flow.plan import Plan, Scoped, plan_of
from tollhouse.flow.precedence import Precedence, groups_of, scope_of
from tollhouse.flow.profiles import TlsProfiles
from tollhouse.flow.snapshot import CompiledRoute, CompiledSnapshot
from tollhouse.model.entities import PluginInstance, Route, Service, Upstream
from tollhouse.model.snapshot import Snapshot
from tollhouse.pdk.plugin import Plugin, Scope
from tollhouse.routing.build import building
from tollhouse.routing.match import Flavour
from tollhouse.routing.upstream_path import path_builder
from tollhouse.stores.directory import PRESENTED
from tollhouse.upstream.dns import Resolver
from tollhouse.upstream.http1 import Timeouts
from tollhouse.upstream.pool import USUAL_TLS, Pools
from tollhouse.upstream.target_names import TargetNames

#: entities handled between two pauses
SLICE: Final = 50
_ELSEWHERE_KNOWN: Final = 1024
_TIMEOUT_MS: Final = 60_000

Effective = Callable[[str | None], Sequence[Plugin[Any]]]


class PluginFactory(Protocol):
    """Makes plugin objects; knows the registry, which this package does not."""

    def __call__(self, instance: PluginInstance, scope: Scope) -> Plugin[Any] | None:
        """None for an instance that has nothing to do here."""
        ...


@dataclass(frozen=True, slots=True)
class Workshop:
    """What compiling needs besides the snapshot. Lives as long as the worker."""

    pools: Pools
    resolver: Resolver
    flavor: Flavour
    names: TargetNames
    health: UpstreamHealth
    #: plugins of the node's own that take part in every plan
    everywhere: tuple[Plugin[Any], ...] = ()


@dataclass(slots=True)
class PluginObjects:
    """The plugin objects of a snapshot, by the instance they were made from."""

    made: dict[str, tuple[PluginInstance, Plugin[Any]]]

    def is_same(self, other: "PluginObjects") -> bool:
        """Whether both hold the same objects."""
        return self.made.keys() == other.made.keys() and all(
            plugin is other.made[id_][1] for id_, (_, plugin) in self.made.items()
        )

    def close_missing(self, successor: "PluginObjects") -> None:
        """Closes those that the next snapshot did not take over."""
        kept = {id(plugin) for _, plugin in successor.made.values()}
        for _, plugin in self.made.values():
            if id(plugin) not in kept:
                plugin.close()


@dataclass(frozen=True, slots=True)
class Compilation:
    """A snapshot, what was made of it, and its plugin objects."""

    snapshot: Snapshot
    compiled: CompiledSnapshot
    objects: PluginObjects

    def serves(self, snapshot: Snapshot, objects: PluginObjects) -> bool:
        """Whether another snapshot would be compiled to the same."""
        return objects.is_same(self.objects) and all(
            getattr(snapshot, part) == getattr(self.snapshot, part) for part in _COMPILED
        )


#: what is found in the directory when a request comes, and is not compiled into plans
_LOOKED_UP: Final = frozenset({"consumers", "acls", "keys", "key_sets", *PRESENTED, "hash"})
_COMPILED: Final = tuple(part.name for part in fields(Snapshot) if part.name not in _LOOKED_UP)


def compiling(
    snapshot: Snapshot,
    workshop: Workshop,
    resolved: Callable[[Any], Any],
    make: PluginFactory,
    before: Compilation | None,
) -> Generator[None, None, Compilation]:
    """Yields between slices; returns what the snapshot is compiled to, which is what the one before was
    where only consumers and their credentials have changed. `resolved` puts secrets in the place of
    references to them."""
    former = before.objects if before is not None else PluginObjects({})
    objects = yield from _plugin_objects(snapshot, resolved, make, former)
    if before is not None and before.serves(snapshot, objects):
        return Compilation(snapshot, before.compiled.with_hash(snapshot.hash), objects)
    made = [plugin for _, plugin in objects.made.values()]
    precedence = Precedence([*made, *workshop.everywhere], groups_of(snapshot))
    plans = _Plans(precedence)
    services = {service.id: service for service in snapshot.services}
    backends = _Backends(snapshot, workshop, resolved)
    yield
    routes: dict[str, CompiledRoute] = {}
    served: list[Route] = []
    for number, route in enumerate(snapshot.routes):
        service = services.get(route.service.id) if route.service else None
        if service is None or service.enabled:
            served.append(route)
            routes[route.id] = _route(route, service, plans, backends, workshop)
        if number % SLICE == 0:
            yield
    router = yield from building(served, workshop.flavor)
    everywhere = precedence.effective(None, None, None)
    unmatched = replace(plan_of(everywhere), access=())
    rewrite = tuple(plugin.rewrite for plugin in everywhere if hasattr(plugin, "rewrite"))
    by_target = workshop.flavor != "expressions" and not any(route.headers or route.snis for route in served)
    compiled = CompiledSnapshot(
        router, routes, unmatched, rewrite, snapshot.hash, backends.at, by_target=by_target
    )
    return Compilation(snapshot, compiled, objects)


def _plugin_objects(
    snapshot: Snapshot, resolved: Callable[[Any], Any], make: PluginFactory, before: PluginObjects
) -> Generator[None, None, PluginObjects]:
    made: dict[str, tuple[PluginInstance, Plugin[Any]]] = {}
    for number, instance in enumerate(snapshot.plugins):
        if instance.enabled:
            # A secret may have changed where nothing else has.
            instance = replace(instance, config=resolved(instance.config))
            earlier = before.made.get(instance.id)
            if earlier is not None and earlier[0] == instance:
                made[instance.id] = (instance, earlier[1])
            elif (plugin := make(instance, scope_of(instance))) is not None:
                made[instance.id] = (instance, plugin)
        if number % SLICE == 0:
            yield
    return PluginObjects(made)


class _Plans:
    """Plans without a consumer; routes with the same plugins share their phases."""

    def __init__(self, plugins: Precedence[Plugin[Any]]) -> None:
        self.plugins = plugins
        self._made: dict[tuple[int, ...], Plan] = {}

    def of(self, effective: Effective) -> Plan:
        """The plan of a route's plugins."""
        plugins = effective(None)
        key = tuple(map(id, plugins))
        plan = self._made.get(key)
        if plan is None:
            plan = self._made[key] = plan_of(plugins)
        return plan


def _route(
    route: Route, service: Service | None, plans: _Plans, backends: "_Backends", workshop: Workshop
) -> CompiledRoute:
    effective = partial(plans.plugins.effective, route.id, service.id if service else None)
    plan = replace(
        plans.of(effective),
        backend=backends.of(service) if service else None,
        guard=guard_of(route),
        preserve_host=route.preserve_host,
    )
    if plans.plugins.bound_to_consumers:
        plan = replace(plan, scoped=Scoped(plan, effective))
    build = path_builder(
        service.path if service else None, route.strip_path, route.path_handling or "v0", workshop.flavor
    )
    return CompiledRoute(route, service, plan, build)


class _Backends:
    """Backends of services, made once each."""

    def __init__(self, snapshot: Snapshot, workshop: Workshop, resolved: Callable[[Any], Any]) -> None:
        self._workshop = workshop
        self._profiles = TlsProfiles(snapshot, resolved)
        self._upstreams: Mapping[str, Upstream] = {upstream.name: upstream for upstream in snapshot.upstreams}
        self._targets: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for target in snapshot.targets:
            self._targets[target.upstream.id].append((target.target, _or(target.weight, 100)))
        self._made: dict[str, Backend] = {}
        self._elsewhere: dict[tuple[str, str, int], Backend] = {}

    def at(self, service: Service, host: str, port: int | None) -> Backend:
        """The backend of a service at another host or upstream."""
        key = (service.id, host, port or service.port)
        backend = self._elsewhere.get(key)
        if backend is None:
            if len(self._elsewhere) >= _ELSEWHERE_KNOWN:
                self._elsewhere.clear()
            other = replace(service, host=host, port=port or service.port)
            backend = self._elsewhere[key] = self._make(other)
        return backend

    def of(self, service: Service) -> Backend:
        """The backend of a service."""
        backend = self._made.get(service.id)
        if backend is None:
            backend = self._made[service.id] = self._make(service)
        return backend

    def _make(self, service: Service) -> Backend:
        tls = service.protocol in ("https", "grpcs", "tls")
        dial = Dial(
            self._workshop.pools,
            self._workshop.resolver,
            tls=tls,
            verify=bool(service.tls_verify),
            tls_profile=self._profiles.of(service, self._upstreams.get(service.host)) if tls else USUAL_TLS,
            http2=service.protocol in ("grpc", "grpcs"),
        )
        targets = self._targets_of(service, dial)
        return Backend(
            targets=targets,
            # The name that TLS asks for may depend on the request; HTTP/2 carries more than head and content.
            endpoint=targets.endpoint if isinstance(targets, Fixed) and not tls and not dial.http2 else None,
            retries=_or(service.retries, 5),
            timeouts=Timeouts(
                _or(service.connect_timeout, _TIMEOUT_MS) / 1000,
                _or(service.read_timeout, _TIMEOUT_MS) / 1000,
                _or(service.write_timeout, _TIMEOUT_MS) / 1000,
            ),
        )

    def _targets_of(self, service: Service, dial: Dial) -> Targets:
        upstream = self._upstreams.get(service.host)
        if upstream is None:
            return targets_at(service.host, service.port, dial, is_ip=is_ip)
        targets = self._targets[upstream.id]
        workshop = self._workshop
        return balanced(upstream, targets, dial, workshop.names, workshop.health, is_ip)


def _or(value: int | None, default: int) -> int:
    """Kong's entities may have null where there is a default."""
    return default if value is None else value


def backend_at(workshop: Workshop) -> Callable[[tuple[str, str, int], Backend], Backend]:
    """Makes backends for addresses that plugins choose. TLS is verified there whatever the service says:
    such requests carry credentials of the gateway's own."""

    def make(address: tuple[str, str, int], own: Backend) -> Backend:
        scheme, host, port = address
        dial = Dial(workshop.pools, workshop.resolver, tls=scheme == "https", verify=True)
        targets = targets_at(host, port, dial, is_ip=is_ip)
        endpoint = targets.endpoint if isinstance(targets, Fixed) else None
        return Backend(targets, endpoint, own.retries, own.timeouts)

    return make


def is_ip(host: str) -> bool:
    """Whether a host is an address that needs no looking up."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
