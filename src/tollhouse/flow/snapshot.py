"""A snapshot as a worker uses it: the router, and for each route its plan."""

from collections.abc import Callable, Generator
from typing import Final

from tollhouse.errors import Reject
from tollhouse.flow.backend import Backend
from tollhouse.flow.drive import DrivenExchange
from tollhouse.flow.plan import AccessStep, Plan
from tollhouse.model.entities import Route, Service
from tollhouse.pdk.exchange import Matched
from tollhouse.routing.match import Router
from tollhouse.routing.routers import ExpressionRouter
from tollhouse.wire.fields import wire_value
from tollhouse.wire.uri import Target

NO_ROUTE: Final = "no Route matched with those values"
_REMEMBERED: Final = 4096


class CompiledRoute:
    """A route with its service, its plan and the builder of its upstream paths."""

    __slots__ = ("plan", "route", "service", "upstream_path")

    def __init__(
        self, route: Route, service: Service | None, plan: Plan, upstream_path: Callable[[str, str], str]
    ) -> None:
        self.route = route
        self.service = service
        self.plan = plan
        self.upstream_path = upstream_path

    def planned(self, plan: Plan) -> "CompiledRoute":
        """The same with another plan."""
        return (
            self if plan is self.plan else CompiledRoute(self.route, self.service, plan, self.upstream_path)
        )


class CompiledSnapshot:
    """One immutable configuration, ready to serve."""

    def __init__(
        self,
        router: Router,
        routes: dict[str, CompiledRoute],
        unmatched: Plan,
        rewrite: tuple[AccessStep, ...],
        hash_: str,
        backend_at: Callable[[Service, str, int | None], Backend],
        *,
        by_target: bool,
    ) -> None:
        self.router = router
        self.routes = routes
        #: what happens to a request that no route takes: global plugins, but for their access phase
        self.unmatched = unmatched
        self.rewrite = rewrite
        self.hash = hash_
        #: the backend of a service at another host or upstream
        self.backend_at = backend_at
        #: whether routes may ask to which of the node's addresses a client has come
        self._asks_where = isinstance(router, ExpressionRouter)
        #: whether request target and Host alone decide the route
        self._by_target = by_target
        self._seen: dict[tuple[Target, str | None], Matched] = {}

    def with_hash(self, hash_: str) -> "CompiledSnapshot":
        """The same for another snapshot that is compiled to it."""
        return CompiledSnapshot(
            self.router,
            self.routes,
            self.unmatched,
            self.rewrite,
            hash_,
            self.backend_at,
            by_target=self._by_target,
        )

    def dismantling(self, successor: "CompiledSnapshot") -> Generator[None]:
        """Lets go of what the successor does not share, in small steps: freeing it at once would hold up the
        loop. Nothing is done while exchanges may still come back to it, from a rewrite phase that waits."""
        if self.rewrite:
            return
        if self.router is not successor.router:
            yield from self.router.dismantling()
        while self.routes is not successor.routes and self.routes:
            self.routes.popitem()
            yield

    def match(self, ex: DrivenExchange) -> Plan:
        """Finds the route. Raises `Reject` if there is none or it is not for this protocol."""
        request = ex.request
        host = request.headers.values.get("host")
        matched = self._seen.get((request.target, host)) or self._find(ex, host)
        ex.matched = matched
        plan: Plan = matched.plan
        if plan.preserve_host:
            ex.upstream_host = host
        ex.plan = plan
        if plan.guard is not None:
            plan.guard(ex)
        return plan

    def _find(self, ex: DrivenExchange, host: str | None) -> Matched:
        request, client = ex.request, ex.client
        target = request.target
        found = self.router.find(
            request.method,
            target.normal,
            host or "",
            request.headers,
            client.scheme,
            client.port,
            client.sni,
            target.query,
            (ex.client_ip, client.peer_port),
            client.local_ip if self._asks_where else None,
        )
        if found is None:
            raise Reject(404, NO_ROUTE)
        compiled = self.routes[found.route.id]
        plan = compiled.plan
        path = compiled.upstream_path(found.prefix, target.normal)
        # Decoded, as in Kong; but what would end a line of the head stays encoded.
        prefix = wire_value(found.prefix) if compiled.route.strip_path and found.prefix != "/" else ""
        matched = Matched(compiled.route, compiled.service, plan, target, path, prefix, found.captures)
        if self._by_target:
            # Connections keep one Target for a repeated request line, so its identity is the key.
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[(target, host)] = matched
        return matched
