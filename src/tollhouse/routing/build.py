"""Building a router out of routes, in slices."""

import collections
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, TypeAlias

from tollhouse.errors import ConfigErrors
from tollhouse.model.common import STREAM_PROTOCOLS
from tollhouse.model.route import Route
from tollhouse.model.schema import build
from tollhouse.routing import compatible, expressions, traditional
from tollhouse.routing.expressions import REFUSED
from tollhouse.routing.grammar import ExpressionError
from tollhouse.routing.grow import Growing, growing, in_order
from tollhouse.routing.hosts import HostKeys, Splitter, compatible_parts, traditional_parts
from tollhouse.routing.match import Flavour, RouteLike, Router
from tollhouse.routing.routers import CompatibleRouter, ExpressionRouter, TraditionalRouter
from tollhouse.routing.rules import Problems, Rule

#: connections without HTTP are routed elsewhere (`routing.streams`)
_STREAM: Final = frozenset(STREAM_PROTOCOLS)

#: takes a route and its place in the configuration
_Ruler: TypeAlias = Callable[[RouteLike, int, Problems], Iterator[Rule]]
_RULERS: Final[Mapping[str, _Ruler]] = {
    "traditional_compatible": compatible.rules,
    "traditional": traditional.rules,
    "expressions": expressions.rules,
}


def route_problem(values: Mapping[str, Any], flavour: str) -> str | None:
    """Why a route that is right by its schema still finds no way into a router: its expression, or a
    `~*regex` of its headers. Kong refuses these as entities too."""
    if values.get("expression") is None and not _has_header_patterns(values["headers"] or {}):
        return None
    route = build(Route, values)
    if not _STREAM.isdisjoint(route.protocols):
        return _stream_problem(route.expression)
    problems = Problems()
    collections.deque(_RULERS[flavour](route, 0, problems), maxlen=0)
    texts = [error.message.removeprefix(REFUSED) for error in problems.found]
    return f"{REFUSED}{texts[0]}" if texts else None


def _stream_problem(expression: str | None) -> str | None:
    if expression is not None:
        try:
            expressions.understood_of_streams(expression)
        except ExpressionError as error:
            return f"{REFUSED}{error}"
    return None


def _has_header_patterns(headers: Mapping[str, Sequence[str]]) -> bool:
    return any(value.startswith("~*") for values in headers.values() for value in values)


class RuleBook:
    """The rules of routes, made once for each route as long as it is the same object."""

    def __init__(self, flavour: Flavour) -> None:
        self._ruler = _RULERS[flavour]
        #: by the id of the route: the route, its place where the rules tell it, its rules
        self._made: dict[str, tuple[RouteLike, int, tuple[Rule, ...]]] = {}
        self._is_placed = flavour == "traditional"

    def rules(self, route: RouteLike, place: int, problems: Problems) -> tuple[Rule, ...]:
        """The rules of a route at this place in the configuration."""
        if not self._is_placed:
            place = 0
        known = self._made.get(route.id)
        if known is not None and known[0] is route and known[1] == place:
            return known[2]
        wrong = len(problems.found)
        rules = tuple(self._ruler(route, place, problems))
        if len(problems.found) == wrong:
            self._made[route.id] = (route, place, rules)
        return rules

    def forget_others(self, routes: Sequence[RouteLike]) -> None:
        """Lets go of the rules of routes that are not among these."""
        if len(self._made) > len(routes):
            ids = {route.id for route in routes}
            self._made = {id_: made for id_, made in self._made.items() if id_ in ids}


def build_router(routes: Iterable[RouteLike], flavour: Flavour) -> Router:
    """The router, built at once; raises `ConfigErrors` with all that is wrong with the routes."""
    steps = building(routes, flavour)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            router: Router = done.value
            return router


def check_routes(routes: Iterable[RouteLike], flavour: Flavour) -> None:
    """Raises `ConfigErrors` with all that keeps a router from being built of routes."""
    problems = Problems()
    for route in routes:
        if _STREAM.isdisjoint(route.protocols):
            collections.deque(_RULERS[flavour](route, 0, problems), maxlen=0)
    if problems.found:
        raise ConfigErrors(problems.found)


def building(
    routes: Iterable[RouteLike], flavour: Flavour, book: RuleBook | None = None
) -> Generator[None, None, Router]:
    """Builds the router in small steps, so that an event loop can go on between them. A book keeps rules
    from one router to the next."""
    problems = Problems()
    found: list[Rule] = []
    routed = [route for route in routes if _STREAM.isdisjoint(route.protocols)]
    make = (book or RuleBook(flavour)).rules
    for place, route in enumerate(routed):
        found.extend(make(route, place, problems))
        yield
    if problems.found:
        raise ConfigErrors(problems.found)
    if book is not None:
        book.forget_others(routed)
    rules = yield from in_order(found, key=attrgetter("order"), reverse=True)
    found.clear()
    router = yield from _router(rules, flavour)
    while rules:  # freeing all of them at once would take as long as many steps
        del rules[-100:]
        yield
    return router


def _router(rules: Sequence[Rule], flavour: Flavour) -> Growing[Router]:
    root = yield from growing(rules)
    split = traditional_parts if flavour == "traditional" else compatible_parts
    hosts = yield from _host_keys(rules, split)
    if flavour == "traditional":
        return TraditionalRouter(hosts, root, (yield from traditional.measuring(rules)))
    return ExpressionRouter(hosts, root) if flavour == "expressions" else CompatibleRouter(hosts, root)


def _host_keys(rules: Sequence[Rule], split: Splitter) -> Growing[HostKeys]:
    wild = ported = False
    for rule in rules:
        for host in rule.hosts or ():
            wild = wild or "*" in host
            ported = ported or ":" in host
        yield
    return HostKeys(split, wild=wild, ported=ported)
