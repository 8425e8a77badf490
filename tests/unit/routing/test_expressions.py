"""The flavour `expressions`; the cases marked "recorded" are answers of a real Kong 3.9.1."""

import pytest
from tests.unit.routing.routes import Case, Request, Route, check, winner

from tollhouse.errors import ConfigErrors
from tollhouse.routing import build_router
from tollhouse.routing.expressions import understood
from tollhouse.routing.grammar import ExpressionError

RECORDED = [
    Case(
        "logic",
        {
            "r0": Route(
                expression='(http.method == "POST" || http.method == "PUT") && http.path == "/x"', priority=1
            ),
            "r1": Route(expression='http.headers.x_ver == "2" && http.path ^= "/x"', priority=9),
        },
        [
            (Request("/x", method="POST"), "r0"),
            (Request("/x"), None),
            (Request("/x", method="POST", headers=(("X-Ver", "2"),)), "r1"),
            (Request("/xy", headers=(("X-Ver", "2"),)), "r1"),
        ],
    ),
    Case(
        "regex, query, host, lower",
        {
            "r0": Route(expression='http.path ~ "^/n/\\\\d+$"', priority=1),
            "r1": Route(expression='http.queries.mode == "z"', priority=1),
            "r2": Route(expression='http.host =^ ".tail.test"', priority=1),
            "r3": Route(expression='lower(http.path) == "/low"', priority=1),
        },
        [
            (Request("/n/12"), "r0"),
            (Request("/n/x"), None),
            (Request("/any", query="mode=z"), "r1"),
            (Request("/any", query="mode=y"), None),
            (Request(host="a.tail.test"), "r2"),
            (Request("/LOW"), "r3"),
        ],
    ),
]
OTHERS = [
    Case(
        "the larger priority wins, then the larger id",
        {
            "low": Route(expression='http.path ^= "/long/path"', priority=1),
            "first": Route(expression='http.path ^= "/"', priority=(1 << 46) - 2),
            "second": Route(2, expression='http.path ^= "/"', priority=(1 << 46) - 2),
        },
        [(Request("/long/path"), "second")],
    ),
    Case(
        "an expression beats a route without one",
        {
            "plain": Route(paths=("/foo",), hosts=("gateway.test",), methods=("GET",)),
            "expression": Route(expression='http.path ^= "/foo"'),
        },
        [(Request("/foo/bar"), "expression")],
    ),
    Case(
        "unless that has four attributes, because of the shifts",
        {
            "four": Route(
                paths=("/foo",), hosts=("gateway.test",), methods=("GET",), headers={"X-A": ("1",)}
            ),
            "expression": Route(expression='http.path ^= "/foo"'),
        },
        [(Request("/foo/bar", headers=(("X-A", "1"),)), "four"), (Request("/foo/bar"), "expression")],
    ),
    Case(
        "a route is met by its protocols only, but one for https takes all",
        {
            "http": Route(expression='http.path == "/a"', protocols=("http",)),
            "https": Route(expression='http.path == "/b"', protocols=("https",)),
            "plain": Route(paths=("/c",), protocols=("http",)),
            "grpc": Route(expression='http.path == "/d"', protocols=("grpc", "grpcs")),
        },
        [
            (Request("/a"), "http"),
            (Request("/a", scheme="https"), None),
            (Request("/b"), "https"),
            (Request("/b", scheme="https"), "https"),
            (Request("/c"), "plain"),
            (Request("/c", scheme="https"), None),
            (Request("/d"), "grpc"),
            (Request("/d", scheme="https"), "grpc"),
        ],
    ),
    Case(
        "net.port is the old name of net.dst.port, which the Host header may give",
        {"r": Route(expression='net.port == 8001 && http.path contains "net.port"')},
        [
            (Request("/net.port", port=8001), "r"),
            (Request("/net.port", host="a:8001", port=80), "r"),
            (Request("/net.port", host="a:80", port=8001), None),
        ],
    ),
    Case(
        "a path that is not UTF-8 matches nothing",
        {"r": Route(expression='http.path ^= "/ü"')},
        [(Request("/\xc3\xbcx"), "r"), (Request("/\xc3\xbc\xff"), None)],
    ),
    Case(
        "stream routes are not for HTTP",
        {"r": Route(protocols=("tcp",), expression="x")},
        [(Request(), None)],
    ),
]


@pytest.mark.parametrize("case", RECORDED + OTHERS, ids=lambda case: case.says)
def test_the_winner(case: Case) -> None:
    check(case, "expressions")


@pytest.mark.parametrize(
    ("expression", "path", "prefix"),
    [
        ('http.path == "/a/b"', "/a/b", "/a/b"),
        ('http.path ^= "/a"', "/a/b", "/a"),
        ('http.path =^ "/b"', "/a/b", "/b"),
        ('http.path ~ "^/[a-z]+"', "/a/b", "/a"),
        ('http.path contains "a"', "/a/b", ""),
        ('http.path != "x"', "/a/b", ""),
        ('http.method == "GET"', "/a/b", ""),
        ('(http.path ^= "/a" && http.method == "PUT") || http.path ^= "/a/"', "/a/b", "/a/"),
    ],
)
def test_the_prefix_is_what_the_last_condition_on_the_path_matched(
    expression: str, path: str, prefix: str
) -> None:
    match = Request(path).ask(build_router([Route(expression=expression)], "expressions"))
    assert match is not None
    assert match.prefix == prefix


def test_captures_of_all_regexes_are_merged() -> None:
    expression = r'http.path ~ r#"^/(?<a>\d)(\d)"# && http.headers.x ~ r#"^(?<b>.)"#'
    router = build_router([Route(expression=expression)], "expressions")
    match = Request("/12", headers=(("X", "yz"),)).ask(router)
    assert match is not None
    assert match.captures == ({"a": "1", "b": "y"}, ("y", "2"))


def test_nothing_of_one_expression_is_left_for_the_next() -> None:
    first = Route(2, expression='http.path ~ "^/(a)" && http.method == "PUT"')
    match = Request("/a").ask(build_router([first, Route(expression='http.method == "GET"')], "expressions"))
    assert match is not None
    assert (match.prefix, match.captures) == ("", None)


REFUSED = [
    ('http.pth == "x"', "Unknown LHS field"),
    ('http.headers.a.b == "x"', "Unknown LHS field"),
    ("http.path == 1", "Type mismatch between the LHS and RHS values of predicate"),
    ("net.src.ip == 10.0.0.0/8", "Type mismatch between the LHS and RHS values of predicate"),
    ("lower(net.dst.port) == 1", "lower-case transformation function only supported with String type fields"),
    ('net.dst.port ~ "1"', "Regex operators only supports string operands"),
    ("net.dst.port ^= 1", "Prefix/Postfix operators only supports string operands"),
    (
        'http.path > "a"',
        "Greater/GreaterOrEqual/Less/LessOrEqual operators only supports integer operands",
    ),
    ("net.src.ip in 10.0.0.1", "In/NotIn operators only supports IP in CIDR"),
    ('http.path not in "a"', "In/NotIn operators only supports IP in CIDR"),
    ("net.dst.port contains 1", "Contains operator only supports string operands"),
    ('http.path.segments.x == "a"', "illformed http.path.segments.* field"),
    ('http.path.segments.2_1 == "a"', "illformed http.path.segments.* field"),
    ('http.path.segments.01 == "a"', "illformed http.path.segments.* field"),
    ('(http.path == "a" || !(http.pth == "b"))', "Unknown LHS field"),
]


@pytest.mark.parametrize(("expression", "reason"), REFUSED)
def test_what_makes_no_sense_is_refused_in_kongs_words(expression: str, reason: str) -> None:
    with pytest.raises(ExpressionError) as refusal:
        understood(expression)
    assert str(refusal.value) == reason


def test_every_route_with_a_bad_expression_is_named() -> None:
    routes = [
        Route(1, "good", expression='http.path == "/"'),
        Route(2, "field", expression='http.pth == "/"'),
        Route(3, None, expression='http.path ~ "("'),
        Route(4, "regex", paths=("~/(",)),
    ]
    with pytest.raises(ConfigErrors) as refusal:
        build_router(routes, "expressions")
    found = {error.path: error.message for error in refusal.value.errors}
    assert found["routes.field.expression"] == "Router Expression failed validation: Unknown LHS field"
    assert found[f"routes.{routes[2].id}.expression"].startswith("Router Expression failed validation: ")
    assert found["routes.regex.paths"].startswith("invalid regex: '/('")
    assert len(found) == 3


def test_routes_without_an_expression_go_by_the_compatible_rules() -> None:
    routes = [Route(1, "wild", hosts=("*.a.test",)), Route(2, "exact", hosts=("b.a.test:8000",))]
    assert winner(routes, Request(host="b.a.test"), "expressions") == "exact"
    assert winner(routes, Request(host="c.a.test"), "expressions") == "wild"
