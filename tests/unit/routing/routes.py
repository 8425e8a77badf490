"""Routes and requests as the tests of this folder write them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from tollhouse.routing import Flavour, Match, Router, build_router
from tollhouse.wire.headers import Headers


@dataclass(frozen=True)
class Route:
    """A route with Kong's defaults; `id` is a number, because ids decide ties."""

    number: int = 1
    name: str | None = None
    protocols: tuple[str, ...] = ("http", "https")
    methods: tuple[str, ...] | None = None
    hosts: tuple[str, ...] | None = None
    paths: tuple[str, ...] | None = None
    headers: Mapping[str, tuple[str, ...]] | None = None
    snis: tuple[str, ...] | None = None
    regex_priority: int | None = 0
    strip_path: bool = True
    preserve_host: bool = False
    path_handling: str = "v0"
    created_at: int | None = None
    expression: str | None = None
    priority: int | None = None

    @property
    def id(self) -> str:
        return str(UUID(int=self.number))


@dataclass(frozen=True)
class Request:
    path: str = "/"
    method: str = "GET"
    host: str = "gateway.test"
    headers: tuple[tuple[str, str], ...] = ()
    scheme: str = "http"
    port: int = 8000
    sni: str | None = None
    query: str | None = None
    source: tuple[str, int] | None = None
    local_ip: str | None = None

    def ask(self, router: Router) -> Match | None:
        return router.find(
            self.method,
            self.path,
            self.host,
            Headers.new(self.headers),
            self.scheme,
            self.port,
            self.sni,
            self.query,
            self.source,
            self.local_ip,
        )


@dataclass(frozen=True)
class Case:
    """Routes by name, and the name of the winner for each request."""

    says: str
    routes: dict[str, Route]
    winners: list[tuple[Request, str | None]] = field(default_factory=list)


def winner(routes: Iterable[Route], request: Request, flavour: Flavour) -> str | None:
    match = request.ask(build_router(routes, flavour))
    return None if match is None else match.route.name


def check(case: Case, flavour: Flavour) -> None:
    """Every request of the case, whatever the order of the routes."""
    routes = [
        Route(**{**vars(route), "name": name, "number": route.number + place})
        for place, (name, route) in enumerate(case.routes.items())
    ]
    for request, expected in case.winners:
        assert winner(routes, request, flavour) == expected, request
        assert winner(reversed(routes), request, flavour) == expected, request
