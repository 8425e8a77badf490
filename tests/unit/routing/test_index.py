"""The index against the reference: the same winner for whatever routes and requests."""

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.routing import reference
from tests.unit.routing.routes import Request, Route

from tollhouse.routing import build_router

# Few values, so that routes overlap, and many routes, so that the index has something to tell apart.
HOSTS = ["a.test", "b.a.test", "*.a.test", "*.test", "a.*", "b.a.*", "a.test:81", "*.test:80", "a.*:81"]
PATHS = ["/", "/a", "/a/", "/a/b", "/aa", "/ab", "/b", "/ü", "/a/b/c", "/a/ü"]
REGEXES = [
    "~/a$",
    "~/a/(?<x>[ab])",
    "~/(?:a|b)/",
    "~/a/b|/b",
    "~/[ab]+/?c?",
    "~/a{1,2}/",
    "~/ab?",
    "~/(a)?(b)?$",
    "~/a(?=/b)",
    "~/(?:a/b)+",
]
METHODS = ["GET", "POST", "PUT", "DELETE"]
SNIS = ["s.test", "t.s.test", "t.s.test.", "u.test"]
WILD_SNIS = [*SNIS, "*.s.test", "*.test", "s.*"]
VALUES = ["1", "2", "V1", "~*^v\\d"]
SENT = ["1", "2", "v1", "V2", "x"]


def some(values: list[str], most: int = 3) -> st.SearchStrategy[tuple[str, ...] | None]:
    return st.none() | st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True).map(tuple)


def a_route(snis: list[str]) -> st.SearchStrategy[Route]:
    values = st.lists(st.sampled_from(VALUES), min_size=1, max_size=2, unique=True).map(tuple)
    names = st.sampled_from(["X-A", "x_b", "X-C"])
    return st.builds(
        Route,
        methods=some(METHODS),
        hosts=some(HOSTS),
        paths=some(PATHS + REGEXES, most=4),
        headers=st.none() | st.dictionaries(names, values, min_size=1, max_size=3),
        snis=st.none() | some(snis, most=2),
        regex_priority=st.sampled_from([0, 0, 1, 5, 300, 1 << 12, -1]),
        created_at=st.sampled_from([None, 1, 2]),
    )


def crowd(routes: list[Route]) -> list[Route]:
    return [
        Route(**{**vars(route), "name": str(place), "number": place * 7919 % 101 + 1})
        for place, route in enumerate(routes)
    ]


def routes_of(snis: list[str]) -> st.SearchStrategy[list[Route]]:
    alike = st.sampled_from(["/a", "~/a/(?<x>[ab])"])

    def same_path(path: str) -> st.SearchStrategy[list[Route]]:
        one = a_route(snis).map(lambda route: Route(**{**vars(route), "hosts": None, "paths": (path,)}))
        return st.lists(one, min_size=9, max_size=40)

    return (st.lists(a_route(snis), max_size=40) | alike.flatmap(same_path)).map(crowd)


REQUESTS = st.builds(
    Request,
    path=st.sampled_from(
        ["/", "/a", "/a/", "/a/b", "/aab", "/aa/b", "/b", "/b/x", "/x/b", "/abc", "/a/a/b/c"]
    )
    | st.sampled_from(["/ü/x", "/a/üb"]).map(reference.plain)
    | st.just("/a\xff")
    | st.text("ab/c", max_size=8).map(lambda rest: "/" + rest),
    method=st.sampled_from([*METHODS, "PATCH"]),
    host=st.sampled_from(
        ["", "a.test", "b.a.test", "c.b.a.test", "a.test:81", "b.a.test:80", "a.org", "A.test"]
    ),
    headers=st.lists(
        st.tuples(st.sampled_from(["x-a", "X-B", "x_b", "x_c", "X-D"]), st.sampled_from(SENT)), max_size=4
    ).map(tuple),
    scheme=st.sampled_from(["http", "https"]),
    port=st.sampled_from([80, 81]),
    sni=st.sampled_from([None, "s.test", "t.s.test", "x.s.test"]),
)


@given(routes_of(WILD_SNIS), st.lists(REQUESTS, min_size=1, max_size=12))
def test_the_compatible_router_finds_what_trying_every_rule_finds(
    routes: list[Route], requests: list[Request]
) -> None:
    router = build_router(routes, "traditional_compatible")
    for request in requests:
        match = request.ask(router)
        expected = reference.compatible(routes, request)
        assert (match and (match.route.name, match.prefix)) == expected, request


@given(routes_of(SNIS), st.lists(REQUESTS, min_size=1, max_size=12))
def test_the_traditional_router_finds_what_trying_every_rule_finds(
    routes: list[Route], requests: list[Request]
) -> None:
    router = build_router(routes, "traditional")
    for request in requests:
        match = request.ask(router)
        expected = reference.traditional(routes, request)
        assert (match and (match.route.name, match.prefix)) == expected, request
