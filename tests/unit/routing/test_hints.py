from hypothesis import given
from hypothesis import strategies as st
from tests.unit.routing.routes import Request, Route

from tollhouse.routing import build_router
from tollhouse.routing.conditions import closure
from tollhouse.routing.facts import Facts
from tollhouse.routing.grammar import parsed
from tollhouse.routing.hints import Hints, hints
from tollhouse.wire.headers import Headers

CONDITIONS = [
    'http.path == "/a"',
    'http.path ^= "/a/"',
    'http.path ^= "/ü"',
    'http.path ~ "^/a/[bc]"',
    'http.path ~ "^/a|b"',
    'http.path ~ "/b"',
    'lower(http.path) == "/a"',
    'http.path contains "b"',
    'http.host == "a.test"',
    'http.host =^ ".test"',
    'http.host =^ "test"',
    'http.host ^= "a."',
    'http.host != "a.test"',
    'http.method == "GET"',
    'http.headers.x_a == "v"',
    'any(lower(http.headers.x_a)) == "v"',
    'http.headers.x_b == "V"',
    "net.dst.port == 80",
]
EXPRESSIONS = st.recursive(
    st.sampled_from(CONDITIONS),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} && {pair[1]})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} || {pair[1]})"),
        inner.map(lambda each: f"!({each})"),
    ),
    max_leaves=5,
)
REQUESTS = st.builds(
    Request,
    path=st.sampled_from(["/a", "/a/b", "/A", "/x/b", "/\xc3\xbc", "/"]),
    method=st.sampled_from(["GET", "PUT"]),
    host=st.sampled_from(["", "a.test", "b.test:80", "a.org", "test"]),
    headers=st.lists(
        st.tuples(st.sampled_from(["X-A", "x_a", "X-B"]), st.sampled_from(["v", "V", "w"])), max_size=3
    ).map(tuple),
    port=st.sampled_from([80, 81]),
)


@given(st.lists(EXPRESSIONS, min_size=1, max_size=30), REQUESTS)
def test_the_index_never_skips_an_expression_that_holds(expressions: list[str], request: Request) -> None:
    routes = [Route(number + 1, str(number), expression=each) for number, each in enumerate(expressions)]
    match = request.ask(build_router(routes, "expressions"))

    name, _, port = request.host.partition(":")
    facts = Facts(
        request.method, request.path, name, Headers.new(request.headers), "http", int(port or request.port),
        None, None, None, None,
    )  # fmt: skip
    expected = [route.name for route in routes if closure(parsed(route.expression or ""))(facts)]
    assert (match and match.route.name) == (expected[-1] if expected else None)


def test_conditions_that_must_hold_become_hints() -> None:
    found = hints(
        parsed(
            '(http.host == "a" || http.host == "b") && http.path ^= "/x" && http.method == "GET"'
            ' && (http.headers.x_y == "A" || http.headers.x_y == "b") && http.path contains "z"'
        )
    )
    assert found.hosts == frozenset({"a", "b"})
    assert found.prefixes == frozenset({"/x"})
    assert found.methods == frozenset({"GET"})
    assert [(header.names, header.exact) for header in found.headers] == [
        (("x_y", "x-y"), frozenset({"a", "b"}))
    ]


def test_alternatives_and_negations_give_no_hint_unless_all_agree() -> None:
    assert hints(parsed('http.path == "/a" || http.method == "GET"')) == Hints()
    assert hints(parsed('!(http.path == "/a")')).prefixes is None
    assert hints(parsed('lower(http.host) == "a"')).hosts is None
