"""Which route a connection without HTTP takes, in the three flavours of the router."""

from itertools import permutations
from uuid import UUID

import pytest

from tollhouse.errors import ConfigErrors
from tollhouse.model.entities import Route
from tollhouse.model.route import Peer
from tollhouse.routing import Connected, Flavour, stream_router

TCP, TLS, UDP = frozenset({"tcp"}), frozenset({"tls", "tls_passthrough"}), frozenset({"udp"})
HERE = ("10.1.2.3", 40_000)
THERE = ("192.0.2.9", 5432)


def peers(*given: str) -> tuple[Peer, ...]:
    """`address`, `:port` or `address:port`; the address may be a range."""
    found = []
    for each in given:
        ip, _, port = each.rpartition(":") if ":" in each else (each, "", "")
        found.append(Peer(ip=ip or None, port=int(port) if port else None))
    return tuple(found)


def route(
    name: str,
    *protocols: str,
    snis: tuple[str, ...] | None = None,
    sources: tuple[Peer, ...] | None = None,
    destinations: tuple[Peer, ...] | None = None,
    expression: str | None = None,
    priority: int = 0,
    created_at: int = 0,
) -> Route:
    return Route(
        id=str(UUID(bytes=name.encode().ljust(16, b"."))),
        name=name,
        protocols=protocols or ("tcp",),  # type: ignore[arg-type]
        snis=snis,
        sources=sources,
        destinations=destinations,
        expression=expression,
        priority=priority,
        created_at=created_at,
    )


def winner(
    *routes: Route,
    flavour: Flavour = "traditional_compatible",
    protocols: frozenset[str] = TCP,
    source: tuple[str, int] = HERE,
    destination: tuple[str, int] = THERE,
    name: str | None = None,
) -> str | None:
    """The name of the route that is taken, whatever the order of the routes."""
    connected = Connected(protocols, source, destination, name)
    found = {stream_router(each, flavour).find(connected) for each in permutations(routes)}
    assert len(found) == 1
    taken = found.pop()
    return taken.name if taken is not None else None


@pytest.mark.parametrize(
    ("wanted", "end", "fits"),
    [
        (("10.1.2.3",), HERE, True),
        (("10.1.2.4",), HERE, False),
        (("10.0.0.0/8",), HERE, True),
        (("10.1.2.99/24",), HERE, True),
        (("10.2.0.0/16",), HERE, False),
        ((":40000",), HERE, True),
        ((":40001",), HERE, False),
        (("10.0.0.0/8:40000",), HERE, True),
        (("10.0.0.0/8:1",), HERE, False),
        (("11.0.0.0/8", ":40000"), HERE, True),
        (("10.1.2.3",), ("::ffff:10.1.2.3", 1), True),
        (("10.1.2.3",), ("2001:db8::1", 1), False),
        (("0.0.0.0/0",), ("unix:", 0), False),
    ],
)
def test_addresses_ports_and_ranges(wanted: tuple[str, ...], end: tuple[str, int], fits: bool) -> None:
    expected = "r" if fits else None

    assert winner(route("r", sources=peers(*wanted)), source=end) == expected
    assert winner(route("r", destinations=peers(*wanted)), destination=end) == expected


def test_source_and_destination_must_both_fit() -> None:
    both = route("both", sources=peers("10.0.0.0/8"), destinations=peers(":5432"))

    assert winner(both) == "both"
    assert winner(both, source=("11.0.0.1", 1)) is None
    assert winner(both, destination=("192.0.2.9", 1)) is None


def test_a_range_of_ipv6_addresses() -> None:
    taken = route("v6", sources=(Peer(ip="2001:db8::/32"),))

    assert winner(taken, source=("2001:db8::7", 1)) == "v6"
    assert winner(taken, source=("2001:db9::7", 1)) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.test", "exact"),
        ("b.test", "left"),
        ("x.b.test", "left"),
        ("a.example", "right"),
        ("example", None),
        (None, "right"),  # the largest id: without a name all routes fit
    ],
)
def test_names_of_tls_connections(name: str | None, expected: str | None) -> None:
    routes = [
        route("exact", "tls", snis=("a.test", "other.test")),
        route("left", "tls", snis=("*.test",), sources=None),
        route("right", "tls", snis=("a.*",)),
    ]
    if name == "a.test":  # names of every kind count the same
        routes = routes[:1]

    assert winner(*routes, protocols=TLS, name=name) == expected


def test_names_are_compared_without_case_and_last_dot() -> None:
    assert winner(route("r", "tls", snis=("A.Test.",)), protocols=TLS, name="a.test") == "r"


def test_a_route_takes_connections_of_its_protocols_only() -> None:
    clear, secure = route("clear", "tcp", destinations=peers(":5432")), route("secure", "tls", snis=("a",))
    through = route("through", "tls_passthrough", snis=("b",))
    dual = route("dual", "tcp", "tls", destinations=peers(":5432", ":1"))
    datagrams = route("datagrams", "udp", destinations=peers(":5432"))
    web = Route(id=str(UUID(int=1)), name="web", paths=("/",), protocols=("http",))

    assert winner(clear, secure, through, datagrams, web) == "clear"
    assert winner(secure, through, datagrams, web) is None
    assert winner(clear, secure, through, protocols=TLS, name="b") == "through"
    assert winner(clear, datagrams, protocols=UDP) == "datagrams"
    assert winner(dual) == winner(dual, protocols=TLS, name="a") == "dual"


SNI = route("sni", "tls", snis=("a.test",))
BOTH = route("both", "tls", sources=peers("10.0.0.0/8"), destinations=peers(":5432"))
ADDRESS = route("address", "tls", destinations=peers("192.0.2.9"))
PORT = route("port", "tls", destinations=peers(":5432"))
RANGE = route("range", "tls", destinations=peers("192.0.2.0/24"))
SOURCE = route("source", "tls", sources=peers("10.0.0.0/8"))


@pytest.mark.parametrize(
    "falling",
    [
        [BOTH, SOURCE, ADDRESS, PORT, RANGE],
        [BOTH, SNI],
        [SNI, SOURCE],
    ],
    ids=lambda routes: " > ".join(each.name for each in routes),
)
def test_precedence_is_that_of_kongs_compatible_router(falling: list[Route]) -> None:
    for place, taken in enumerate(falling):
        assert winner(*falling[place:], protocols=TLS, name="a.test") == taken.name


def test_precedence_of_the_traditional_router_goes_by_kinds_then_by_age() -> None:
    for falling in ([BOTH, SNI, SOURCE, PORT], [BOTH, SNI, SOURCE, ADDRESS]):
        for place, taken in enumerate(falling):
            assert winner(*falling[place:], flavour="traditional", protocols=TLS, name="a.test") == taken.name
    old, young = (
        route("old", destinations=peers(":5432"), created_at=1),
        route("young", destinations=peers("192.0.2.9"), created_at=2),
    )
    assert winner(old, young, flavour="traditional") == "old"


def test_expressions_choose_by_priority_and_before_other_routes() -> None:
    range_ = route("range", expression="net.src.ip in 10.0.0.0/8", priority=1)
    port = route("port", expression='net.dst.port == 5432 && net.protocol == "tcp"', priority=2)
    plain = route("plain", destinations=peers(":5432"))

    assert winner(range_, port, plain, flavour="expressions") == "port"
    assert winner(range_, port, plain, flavour="expressions", destination=("192.0.2.9", 1)) == "range"
    assert winner(plain, flavour="expressions") == "plain"


def test_expressions_read_the_name() -> None:
    named = route("named", "tls_passthrough", expression='tls.sni =^ ".test" && net.protocol == "tls"')

    assert winner(named, flavour="expressions", protocols=TLS, name="a.test") == "named"
    assert winner(named, flavour="expressions", protocols=TLS, name="a.example") is None


@pytest.mark.parametrize("expression", ['http.path == "/"', "net.dst.port == ", 'net.dst.port == "x"'])
def test_an_expression_that_makes_no_sense_is_refused(expression: str) -> None:
    with pytest.raises(ConfigErrors) as refused:
        stream_router([route("r", expression=expression)], "expressions")

    assert refused.value.errors[0].path == "routes.r.expression"
    assert "Router Expression failed validation" in refused.value.errors[0].message


def test_ten_thousand_names_cost_no_more_than_one() -> None:
    router = stream_router(
        [route(f"r{number}", "tls", snis=(f"{number}.test",)) for number in range(10_000)],
        "traditional_compatible",
    )
    asked = Connected(TLS, HERE, THERE, "77.test")

    assert len(list(router._candidates(asked))) == 1
