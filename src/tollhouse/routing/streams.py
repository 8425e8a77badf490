"""Which route a connection without HTTP takes: by where it comes from, where it goes, and its SNI.

As in Kong, the names of routes are looked at only if the client asks for one. Unlike Kong, which tells a
route's protocols apart only after it has chosen the route, a route is considered only for connections of
its protocols; so a route for `tls` never takes clear text.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final, TypeAlias

from tollhouse.errors import ConfigErrors
from tollhouse.model.common import STREAM_PROTOCOLS
from tollhouse.model.entities import Route
from tollhouse.model.route import Peer
from tollhouse.routing.conditions import closure
from tollhouse.routing.expressions import EXPRESSION_BITS, understood_of_streams
from tollhouse.routing.facts import Facts
from tollhouse.routing.grammar import ExpressionError
from tollhouse.routing.hosts import sni_key, wildcards
from tollhouse.routing.match import Flavour
from tollhouse.routing.rules import Problems
from tollhouse.wire.headers import Headers

_PROTOCOLS: Final = frozenset(STREAM_PROTOCOLS)
_SNI_BIT: Final = 1 << 61
_IP_BIT: Final = 1 << 3
_PORT_BIT: Final = 1 << 2
_RANGE_BIT: Final = 1
_REFUSED: Final = "Router Expression failed validation: "

Address: TypeAlias = IPv4Address | IPv6Address
#: whether a connection satisfies a rule, its SNI aside
_Test: TypeAlias = Callable[["Connected"], bool]


class Connected:
    """What is known of a connection. `protocols` are those that its listener can serve it by; what comes by
    a Unix socket has no address."""

    __slots__ = ("destination", "protocols", "server_name", "source")

    def __init__(
        self,
        protocols: frozenset[str],
        source: tuple[str, int],
        destination: tuple[str, int],
        server_name: str | None = None,
    ) -> None:
        self.protocols = protocols
        self.source = (_address(source[0]), source[1])
        self.destination = (_address(destination[0]), destination[1])
        self.server_name = server_name

    def facts(self) -> Facts:
        """What expressions read of it."""
        name, (source, port) = self.server_name, self.source
        protocol = "udp" if "udp" in self.protocols else "tls" if name else "tcp"
        address, to_port = self.destination
        local = str(address) if address else None
        return Facts(
            *("", "", "", Headers.new(()), protocol, to_port, name, None),
            source=(str(source), port) if source else None,
            local_ip=local,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Rule:
    route: Route
    #: larger is tried first
    order: tuple[Any, ...]
    snis: frozenset[str]
    tests: tuple[_Test, ...]

    def takes(self, connected: Connected) -> bool:
        return not connected.protocols.isdisjoint(self.route.protocols) and all(
            test(connected) for test in self.tests
        )


class StreamRouter:
    """Finds routes; names cost one look-up however many there are."""

    def __init__(self, rules: Iterable[_Rule]) -> None:
        self._rules = sorted(rules, key=lambda rule: rule.order, reverse=True)
        self._nameless = [rule for rule in self._rules if not rule.snis]
        self._named: dict[str, list[_Rule]] = {}
        for rule in self._rules:
            for name in rule.snis:
                self._named.setdefault(name, []).append(rule)

    def find(self, connected: Connected) -> Route | None:
        """The route of a connection, if any."""
        return next((rule.route for rule in self._candidates(connected) if rule.takes(connected)), None)

    def _candidates(self, connected: Connected) -> Iterable[_Rule]:
        name = connected.server_name
        if name is None:
            return self._rules
        keys = (name, *wildcards(name))
        named = [self._named[key] for key in keys if key in self._named]
        return merge(self._nameless, *named, key=lambda rule: rule.order, reverse=True)


def stream_router(routes: Iterable[Route], flavour: Flavour) -> StreamRouter:
    """The router of the routes that are not for HTTP; raises `ConfigErrors` with all that is wrong."""
    problems = Problems()
    order = _traditional_order if flavour == "traditional" else _compatible_order
    rules = [
        rule
        for place, route in enumerate(routes)
        if not _PROTOCOLS.isdisjoint(route.protocols)
        for rule in _rules(route, order(route, place), problems)
    ]
    if problems.found:
        raise ConfigErrors(problems.found)
    return StreamRouter(rules)


def _rules(route: Route, order: tuple[Any, ...], problems: Problems) -> Iterator[_Rule]:
    if route.expression is not None:
        try:
            holds = _expression(route.expression)
        except ExpressionError as error:
            problems.add(route, "expression", f"{_REFUSED}{error}")
            return
        expressed = EXPRESSION_BITS | (route.priority or 0)
        yield _Rule(route, (expressed, route.id.lower()), frozenset(), (holds,))
        return
    tests = []
    if route.sources:
        is_source = _peers(route.sources)
        tests.append(lambda connected: is_source(connected.source))
    if route.destinations:
        is_destination = _peers(route.destinations)
        tests.append(lambda connected: is_destination(connected.destination))
    names = frozenset(sni_key(name).lower() for name in route.snis or ())
    if tests or names:
        yield _Rule(route, order, names, tuple(tests))


def _expression(text: str) -> _Test:
    """Raises `ExpressionError`."""
    holds = closure(understood_of_streams(text))
    return lambda connected: holds(connected.facts())


# Addresses


def _peers(peers: Sequence[Peer]) -> Callable[[tuple[Address | None, int]], bool]:
    """Whether an end of a connection is one of these."""
    wanted = [(ip_network(peer.ip, strict=False) if peer.ip else None, peer.port) for peer in peers]

    def fits(end: tuple[Address | None, int]) -> bool:
        address, port = end
        return any(
            (number is None or number == port) and (network is None or _is_in(address, network))
            for network, number in wanted
        )

    return fits


def _is_in(address: Address | None, network: IPv4Network | IPv6Network) -> bool:
    return address is not None and address in network


def _address(text: str) -> Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


# Precedence


def _compatible_order(route: Route, _place: int) -> tuple[Any, ...]:
    """A name counts most, as much as a source together with a destination; then what is said of the
    source, and of the destination: addresses before ports before ranges. The larger id wins a draw."""
    order = _SNI_BIT if route.snis or (route.sources and route.destinations) else 0
    order |= _weight(route.sources) << 4 | _weight(route.destinations)
    return order, route.id.lower()


def _weight(peers: Sequence[Peer] | None) -> int:
    weight = 0
    for peer in peers or ():
        if peer.ip:
            weight |= _RANGE_BIT if "/" in peer.ip else _IP_BIT
        if peer.port is not None:
            weight |= _PORT_BIT
    return weight


def _traditional_order(route: Route, place: int) -> tuple[Any, ...]:
    """Who says more kinds of things goes first; then names before sources before destinations; then the
    older route."""
    said = (bool(route.snis), bool(route.sources), bool(route.destinations))
    return sum(said), said, -(route.created_at or 0), -place
