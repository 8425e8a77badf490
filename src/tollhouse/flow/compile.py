"""Compiles a snapshot for a worker, in slices, so that its loop never stands still for long.

Whatever depends on configuration alone is done here: the router, each route's effective plugins in
order, bound phase methods, backends. Plugin objects whose configuration has not changed are taken over
from the snapshot before, with whatever they hold.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol

from tollhouse.flow.backend import Backend, Dial, Fixed, Targets, targets_at
from tollhouse.flow.compilation import Compilation, Kept, Made, PluginObjects
from tollhouse.flow.drive import DrivenExchange
from tollhouse.flow.guards import guard_of
from tollhouse.flow.hashed import hashed_by
from tollhouse.flow.plan import Plan, Scoped, plan_of
from tollhouse.flow.precedence import Precedence, finding_groups, scope_of
from tollhouse.flow.reach import Reach, Workshop, is_ip, retries_of, timeouts_of
from tollhouse.flow.snapshot import CompiledRoute, CompiledSnapshot
from tollhouse.model.changes import Changes
from tollhouse.model.common import HTTP_PROTOCOLS
from tollhouse.model.entities import PluginInstance, Route, Service
from tollhouse.model.snapshot import Snapshot
from tollhouse.pdk.plugin import Plugin, Scope
from tollhouse.routing.build import building
from tollhouse.routing.upstream_path import path_builder

#: entities handled between two pauses
SLICE: Final = 10
_ELSEWHERE_KNOWN: Final = 1024

Effective = Callable[[str | None], Sequence[Plugin[Any]]]


class PluginFactory(Protocol):
    """Makes plugin objects; knows the registry, which this package does not."""

    def __call__(self, instance: PluginInstance, scope: Scope) -> Plugin[Any] | None:
        """None for an instance that has nothing to do here."""
        ...


def compiling(
    snapshot: Snapshot,
    workshop: Workshop,
    resolved: Callable[[Any], Any],
    make: PluginFactory,
    before: Compilation | None,
    changes: Changes | None = None,
) -> Generator[None, None, Compilation]:
    """Yields between slices; returns what the snapshot is compiled to, which is what the one before was
    where only consumers and their credentials have changed. With the changes from the one before, the
    plans and backends that they do not touch are kept. `resolved` puts secrets in the place of references
    to them."""
    former = before.objects if before is not None else PluginObjects({})
    objects = yield from _plugin_objects(snapshot, resolved, make, former)
    yield
    if before is not None and before.serves(snapshot, objects):
        compiled = before.compiled.with_hash(snapshot.hash)
        return replace(before, snapshot=snapshot, compiled=compiled, objects=objects)
    yield
    kept = Kept(before, changes, objects) if before is not None and changes is not None else None
    yield
    precedence = yield from _precedence(snapshot, objects, workshop)
    backends = _Backends(Reach(snapshot, workshop, resolved), kept.backends if kept is not None else {})
    yield
    routes = yield from _routes(snapshot, _Plans(precedence), backends, workshop, kept)
    served = [compiled.route for compiled in routes.values()]
    if before is not None and served == before.served:
        router = before.compiled.router
    else:
        router = yield from building(served, workshop.flavor, workshop.rules)
    everywhere = precedence.effective(None, None, None)
    unmatched = replace(plan_of(everywhere), access=())
    rewrite = tuple(plugin.rewrite for plugin in everywhere if hasattr(plugin, "rewrite"))
    by_target = workshop.flavor != "expressions" and not any(route.headers or route.snis for route in served)
    compiled = CompiledSnapshot(
        router, routes, unmatched, rewrite, snapshot.hash, backends.at, by_target=by_target
    )
    return Compilation(snapshot, compiled, objects, backends.made, served)


def _precedence(
    snapshot: Snapshot, objects: PluginObjects, workshop: Workshop
) -> Generator[None, None, Precedence[Plugin[Any]]]:
    groups = yield from finding_groups(snapshot)
    precedence: Precedence[Plugin[Any]] = Precedence(workshop.everywhere, groups)
    for number, plugin in enumerate(objects.of(HTTP_PROTOCOLS)):
        precedence.add(plugin)
        if number % SLICE == 0:
            yield
    return precedence


def _routes(
    snapshot: Snapshot, plans: "_Plans", backends: "_Backends", workshop: Workshop, kept: Kept | None
) -> Generator[None, None, dict[str, CompiledRoute]]:
    services = {service.id: service for service in snapshot.services}
    routes: dict[str, CompiledRoute] = {}
    for number, route in enumerate(snapshot.routes):
        service = services.get(route.service.id) if route.service else None
        if service is None or service.enabled:
            former = kept.route(route, service) if kept is not None else None
            if former is None:
                routes[route.id] = _route(route, service, plans, backends, workshop)
            else:
                routes[route.id] = former.planned(plans.scoped(former.plan, route, service))
        if number % SLICE == 0:
            yield
    return routes


def _plugin_objects(
    snapshot: Snapshot, resolved: Callable[[Any], Any], make: PluginFactory, before: PluginObjects
) -> Generator[None, None, PluginObjects]:
    made: dict[str, Made] = {}
    for number, instance in enumerate(snapshot.plugins):
        if instance.enabled:
            earlier = before.made.get(instance.id)
            if earlier is not None and earlier.instance is instance and earlier.resolved is instance:
                made[instance.id] = earlier
            elif (fresh := _made(instance, resolved, make, earlier)) is not None:
                made[instance.id] = fresh
        if number % SLICE == 0:
            yield
    return PluginObjects(made)


def _made(
    instance: PluginInstance, resolved: Callable[[Any], Any], make: PluginFactory, earlier: Made | None
) -> Made | None:
    """The earlier object, if it still serves: a secret may have changed where nothing else has."""
    config = resolved(instance.config)
    whole = instance if config == instance.config else replace(instance, config=config)
    if earlier is not None and earlier.resolved == whole:
        return Made(instance, whole, earlier.plugin)
    plugin = make(whole, scope_of(whole))
    return Made(instance, whole, plugin) if plugin is not None else None


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

    def scoped(self, plan: Plan, route: Route, service: Service | None) -> Plan:
        """The plan of a route, ready for plugins that are bound to consumers if there are any."""
        if plan.scoped is not None:
            plan = replace(plan, scoped=None)
        if not self.plugins.bound_to_consumers:
            return plan
        effective = partial(self.plugins.effective, route.id, service.id if service else None)
        return replace(plan, scoped=Scoped(plan, effective))


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
    build = path_builder(
        service.path if service else None, route.strip_path, route.path_handling or "v0", workshop.flavor
    )
    return CompiledRoute(route, service, plans.scoped(plan, route, service), build)


class _Backends:
    """Backends of services, made once each."""

    def __init__(self, reach: Reach, kept: Mapping[str, Backend]) -> None:
        self._reach = reach
        self.made: dict[str, Backend] = dict(kept)
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
        backend = self.made.get(service.id)
        if backend is None:
            backend = self.made[service.id] = self._make(service)
        return backend

    def _make(self, service: Service) -> Backend:
        dial = self._reach.dial(service)
        targets: Targets[DrivenExchange] = self._reach.targets(service, dial, hashed_by)
        # The name that TLS asks for may depend on the request; HTTP/2 carries more than head and content.
        is_plain = not dial.tls and not dial.http2
        return Backend(
            targets=targets,
            endpoint=targets.endpoint if is_plain and isinstance(targets, Fixed) else None,
            retries=retries_of(service),
            timeouts=timeouts_of(service),
        )


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
