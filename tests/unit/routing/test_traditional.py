"""Rules of `traditional`; the cases marked "recorded" are answers of a real Kong 3.9.1."""

import pytest
from tests.unit.routing.routes import Case, Request, Route, check, winner

from tollhouse.routing import build_router

ONE = "one.test"
RECORDED = [
    Case(
        "a header weighs more than a path",
        {
            "path": Route(hosts=(ONE,), paths=("/p",)),
            "header": Route(hosts=(ONE,), headers={"X-A": ("1",)}),
        },
        [(Request("/p", host=ONE, headers=(("X-A", "1"),)), "header")],
    ),
    Case(
        "a path weighs more than a method",
        {"method": Route(hosts=(ONE,), methods=("GET",)), "path": Route(hosts=(ONE,), paths=("/p",))},
        [(Request("/p", host=ONE), "path")],
    ),
    Case(
        "a regex comes before a prefix",
        {"prefix": Route(paths=("/api/users/list",)), "regex": Route(paths=("~/api/users/.*",))},
        [(Request("/api/users/list"), "regex")],
    ),
    Case(
        "a plain host with a port must be written so in the Host header",
        {"r": Route(hosts=("one.test:8000",))},
        [
            (Request(host="one.test:8000"), "r"),
            (Request(host=ONE), None),
            (Request(host="one.test:81"), None),
        ],
    ),
]
OTHERS = [
    Case(
        "more attributes win, even over a plain host",
        {"host": Route(hosts=(ONE,)), "two": Route(paths=("/p",), methods=("GET",))},
        [(Request("/p", host=ONE), "two"), (Request("/q", host=ONE), "host")],
    ),
    Case(
        "every path ranks on its own",
        {"a": Route(paths=("/a", "/a/b/c")), "b": Route(paths=("/a/b",))},
        [(Request("/a/b/c"), "a"), (Request("/a/b"), "b"), (Request("/a"), "a")],
    ),
    Case(
        "a regex's priority, then nothing about its length",
        {"low": Route(paths=("~/a/b/c",)), "high": Route(paths=("~/a",), regex_priority=1)},
        [(Request("/a/b/c"), "high")],
    ),
    Case(
        "wildcards: a port counts most, then plain hosts; the scheme's default port is filled in",
        {
            "wild": Route(hosts=("*.one.test",)),
            "ported": Route(hosts=("*.one.test:80", "y.*:443")),
            "plain": Route(hosts=("a.one.test",)),
        },
        [
            (Request(host="b.one.test"), "ported"),
            (Request(host="b.one.test", scheme="https"), "wild"),
            (Request(host="b.one.test:80", scheme="https"), "ported"),
            (Request(host="a.one.test:81"), "plain"),
            (Request(host="b.one.test:81"), "wild"),
            (Request(host="y.z", scheme="https"), "ported"),
            (Request(host="y.z"), None),
        ],
    ),
    Case(
        "hosts that are IPv6 addresses",
        {"any": Route(hosts=("::11",)), "ported": Route(hosts=("[::11]:321", "[::31]:321"))},
        [
            (Request(host="[::11]"), "any"),
            (Request(host="[::11]:654"), "any"),
            (Request(host="[::31]:321"), "ported"),
            (Request(host="[::31]:654"), None),
        ],
    ),
    Case(
        "a regex counts only as the single value of a header, and is not lowered",
        {
            "one": Route(headers={"X-A": ("~*^v\\D$",)}),
            "two": Route(headers={"X-B": ("~*^v", "~*^w")}),
        },
        [
            (Request(headers=(("X-A", "Vx"),)), "one"),
            (Request(headers=(("X-A", "V1"),)), None),
            (Request(headers=(("X-B", "v"),)), None),
            (Request(headers=(("X-B", "~*^V"),)), "two"),
        ],
    ),
    Case(
        "a header name with a dash is not found under an underscore",
        {"dash": Route(headers={"X-A": ("1",)}), "underscore": Route(headers={"X_B": ("1",)})},
        [
            (Request(headers=(("X_A", "1"),)), None),
            (Request(headers=(("X-B", "1"),)), "underscore"),
            (Request(headers=(("X_B", "1"),)), "underscore"),
        ],
    ),
    Case(
        "SNIs are plain names, asked for under TLS only",
        {"sni": Route(paths=("/",), snis=("a.test.", "*.b.test")), "any": Route(paths=("/",))},
        [
            (Request(scheme="https", sni="a.test"), "sni"),
            (Request(scheme="https", sni="x.b.test"), "any"),
            (Request(scheme="https"), "any"),
        ],
    ),
    Case(
        "without TLS the search begins below routes with an SNI if there is a route without",
        {"sni": Route(hosts=(ONE,), paths=("/p",), snis=("a.test",)), "path": Route(paths=("/p",))},
        [(Request("/p", host="two.test"), "path"), (Request("/p", host=ONE), "sni")],
    ),
    Case(
        "such a route is hidden by one of the same attributes that does not even match",
        {"sni": Route(paths=("/p",), snis=("a.test",)), "path": Route(paths=("/p/q",))},
        [(Request("/p"), None)],
    ),
    Case("an SNI alone is never met without TLS", {"sni": Route(snis=("a.test",))}, [(Request(), None)]),
    Case(
        "paths are bytes, UTF-8 or not",
        {"r": Route(paths=("/a", "/ü"))},
        [(Request("/a\xff"), "r"), (Request("/\xc3\xbc"), "r")],
    ),
]


@pytest.mark.parametrize("case", RECORDED + OTHERS, ids=lambda case: case.says)
def test_the_winner(case: Case) -> None:
    check(case, "traditional")


def test_of_equal_routes_the_older_wins_then_the_first() -> None:
    old, new = Route(1, "old", paths=("/a",), created_at=1), Route(2, "new", paths=("/a",), created_at=2)
    assert winner([new, old], Request("/a"), "traditional") == "old"
    first, second = Route(1, "first", paths=("/a",)), Route(2, "second", paths=("/a",))
    assert winner([first, second], Request("/a"), "traditional") == "first"


@pytest.mark.parametrize(
    ("path", "request_path", "prefix", "captured"),
    [
        ("~/a/(?<id>\\d+)", "/a/42/x", "/a/42", ({"id": "42"}, ("42",))),
        ("~/(?:a|b)/(x)?", "/b/y", "/b/", None),
        ("~/(?<l>a|b)/x", "/b/xy", "/b/x", ({"l": "b"}, ("b",))),
        ("~/a|/b", "/a/x", "", None),
        ("~/a|/b", "/b/x", "/b", None),
        ("~/a(?=/x)", "/a/x", "/a", None),
    ],
)
def test_what_a_regex_consumed(path: str, request_path: str, prefix: str, captured: object) -> None:
    match = Request(request_path).ask(build_router([Route(paths=(path,))], "traditional"))
    assert match is not None
    assert (match.prefix, match.captures) == (prefix, captured)


def test_every_alternative_is_anchored() -> None:
    router = build_router([Route(paths=("~/a|/b",))], "traditional")
    assert Request("/x/b").ask(router) is None
