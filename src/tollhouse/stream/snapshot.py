"""What a configuration says of connections without HTTP, compiled in slices."""

from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tollhouse.flow.backend import Targets
from tollhouse.flow.precedence import Precedence
from tollhouse.flow.reach import Reach, retries_of, timeouts_of
from tollhouse.model.common import STREAM_PROTOCOLS
from tollhouse.model.entities import Route, Service, Upstream
from tollhouse.model.snapshot import Snapshot
from tollhouse.pdk.plugin import Plugin
from tollhouse.pdk.session import StreamSession
from tollhouse.routing import Connected, Flavour, StreamRouter, stream_router
from tollhouse.stream.routed import Routed
from tollhouse.upstream.http1 import Timeouts

PrereadStep = Callable[[StreamSession], Awaitable[None] | None]
LogStep = Callable[[StreamSession], None]

#: routes handled between two pauses
_SLICE: Final = 50


@dataclass(frozen=True, slots=True)
class StreamBackend:
    """A service's side of a plan."""

    targets: Targets[Routed]
    retries: int
    timeouts: Timeouts


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What happens to the connections of one route."""

    route: Route
    service: Service | None
    preread: tuple[PrereadStep, ...]
    log: tuple[LogStep, ...]
    backend: StreamBackend | None

    @property
    def passes_tls_on(self) -> bool:
        """Whether TLS is between client and target alone."""
        return "tls_passthrough" in self.route.protocols


class StreamSnapshot:
    """One immutable configuration, ready to serve."""

    def __init__(
        self, router: StreamRouter, plans: Mapping[str, StreamPlan], unmatched: tuple[LogStep, ...]
    ) -> None:
        self._router = router
        self._plans = plans
        self._unmatched = unmatched

    def find(self, connected: Connected) -> StreamPlan | None:
        """The plan of a connection's route, if there is one."""
        route = self._router.find(connected)
        return self._plans[route.id] if route is not None else None

    def log_steps(self, route: Route | None) -> tuple[LogStep, ...]:
        """What logs a connection that ends now: it may be older than this configuration."""
        plan = self._plans.get(route.id) if route is not None else None
        return plan.log if plan is not None else self._unmatched


def compiling_streams(
    snapshot: Snapshot, flavour: Flavour, reach: Reach, plugins: Iterable[Plugin[Any]]
) -> Generator[None, None, StreamSnapshot]:
    """Yields between slices. `plugins` are those for connections without HTTP."""
    services = {service.id: service for service in snapshot.services}
    precedence = Precedence(plugins, {})
    plans: dict[str, StreamPlan] = {}
    served = [route for route in snapshot.routes if not set(STREAM_PROTOCOLS).isdisjoint(route.protocols)]
    for number, route in enumerate(served):
        service = services.get(route.service.id) if route.service else None
        if service is None or service.enabled:
            effective = precedence.effective(route.id, service.id if service else None, None)
            backend = _backend(route, service, reach) if service else None
            plans[route.id] = StreamPlan(
                route, service, _phase(effective, "preread"), _phase(effective, "log_session"), backend
            )
        if number % _SLICE == 0:
            yield
    router = stream_router([plan.route for plan in plans.values()], flavour)
    yield
    return StreamSnapshot(router, plans, _phase(precedence.effective(None, None, None), "log_session"))


def _phase(plugins: Iterable[Plugin[Any]], name: str) -> tuple[Any, ...]:
    return tuple(getattr(plugin, name) for plugin in plugins if hasattr(plugin, name))


def _backend(route: Route, service: Service, reach: Reach) -> StreamBackend:
    # What is passed on has its TLS already.
    dialled = replace(service, protocol="tcp") if "tls_passthrough" in route.protocols else service
    targets: Targets[Routed] = reach.targets(dialled, reach.dial(dialled), _hashed_by)
    return StreamBackend(targets, retries_of(service), timeouts_of(service))


def _hashed_by(upstream: Upstream) -> Callable[[Routed], str | None]:
    """Consistent hashing knows nothing of a connection but its client's address."""
    if "ip" in (upstream.hash_on, upstream.hash_fallback):
        return lambda session: session.client_ip
    return lambda session: ""
