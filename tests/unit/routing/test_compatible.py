"""Rules of `traditional_compatible`; the cases marked "recorded" are answers of a real Kong 3.9.1."""

import pytest
from tests.unit.routing.routes import Case, Request, Route, check, winner

from tollhouse.routing import build_router
from tollhouse.routing.compatible import rules
from tollhouse.routing.rules import Problems

ONE = "one.test"
RECORDED = [
    Case(
        "exact hosts",
        {"r": Route(hosts=(ONE, "two.test"))},
        [
            (Request(host=ONE), "r"),
            (Request(host="two.test"), "r"),
            (Request(host="three.test"), None),
            (Request(host="sub.one.test"), None),
            (Request(host="ONE.test"), None),
            (Request(host="one.test."), None),
            (Request(host="one.test:99"), "r"),
            (Request(host=""), None),
        ],
    ),
    Case(
        "a wildcard on the right wants one label or more",
        {"r": Route(hosts=("one.*",))},
        [
            (Request(host=ONE), "r"),
            (Request(host="one.co.uk"), "r"),
            (Request(host="one"), None),
            (Request(host="two.one.test"), None),
        ],
    ),
    Case(
        "an exact host beats a wildcard",
        {"wild": Route(hosts=("*.one.test",)), "exact": Route(hosts=("a.one.test",))},
        [(Request(host="a.one.test"), "exact"), (Request(host="b.one.test"), "wild")],
    ),
    Case(
        "more attributes beat one wildcard host",
        {"host": Route(hosts=("*.one.test",)), "both": Route(hosts=("*.one.test",), paths=("/p",))},
        [(Request("/p", host="a.one.test"), "both"), (Request("/q", host="a.one.test"), "host")],
    ),
    Case(
        "host against path",
        {"host": Route(hosts=(ONE,)), "path": Route(paths=("/p",))},
        [(Request("/p", host=ONE), "host"), (Request("/p", host="two.test"), "path")],
    ),
    Case(
        "host and path beat a longer path",
        {"both": Route(hosts=(ONE,), paths=("/p",)), "path": Route(paths=("/p/long/path",))},
        [(Request("/p/long/path", host=ONE), "both"), (Request("/p/long/path"), "path")],
    ),
    Case(
        "prefixes are bytes, not segments, and the longest wins",
        {"short": Route(paths=("/a",)), "long": Route(paths=("/a/b",))},
        [(Request("/a/b/c"), "long"), (Request("/a/bc"), "long"), (Request("/a/x"), "short")],
    ),
    Case(
        "header beats path and method beside a host",
        {
            "path": Route(hosts=(ONE,), paths=("/p",)),
            "method": Route(hosts=(ONE,), methods=("GET",)),
            "header": Route(hosts=(ONE,), headers={"X-A": ("1",)}),
        },
        [(Request("/p", host=ONE, headers=(("X-A", "1"),)), "header")],
    ),
    Case(
        "every listed header must be there, and more names win",
        {"one": Route(headers={"X-A": ("1",)}), "two": Route(headers={"X-A": ("1",), "X-B": ("1",)})},
        [
            (Request(headers=(("X-A", "1"), ("X-B", "1"))), "two"),
            (Request(headers=(("X-A", "1"),)), "one"),
            (Request(headers=(("X-B", "1"),)), None),
        ],
    ),
    Case(
        "a header value may be a regex, on the value in lower case",
        {"r": Route(headers={"X-A": ("~*^v[0-9]+$",)})},
        [
            (Request(headers=(("X-A", "v12"),)), "r"),
            (Request(headers=(("X-A", "V12"),)), "r"),
            (Request(headers=(("X-A", "vx"),)), None),
        ],
    ),
    Case(
        "any of a repeated header's lines will do",
        {"r": Route(headers={"X-A": ("two",)})},
        [
            (Request(headers=(("X-A", "one"), ("X-A", "two"))), "r"),
            (Request(headers=(("X-A", "one, two"),)), None),
        ],
    ),
    Case(
        "methods alone",
        {"r": Route(methods=("DELETE",))},
        [(Request(method="DELETE"), "r"), (Request(method="GET"), None)],
    ),
    Case(
        "the normal path is compared, reserved characters being still escaped",
        {"blank": Route(paths=("/sp ace",)), "umlaut": Route(paths=("/ü",)), "end": Route(paths=("~/x$",))},
        [
            (Request("/sp acex"), "blank"),
            (Request("/sp+ace"), None),
            (Request("/\xc3\xbc/x"), "umlaut"),
            (Request("/x"), "end"),
            (Request("/x%3F"), None),
        ],
    ),
    Case(
        "a regex is anchored at its start only, and flags may stand inside",
        {"digits": Route(paths=("~/re/\\d+",)), "case": Route(paths=("~/(?i)CaSe",))},
        [
            (Request("/re/12/tail"), "digits"),
            (Request("/re/x"), None),
            (Request("/x/re/12"), None),
            (Request("/CASE/x"), "case"),
        ],
    ),
]
OTHERS = [
    Case(
        "a regex beats any prefix of as many attributes, and its priority another regex",
        {
            "prefix": Route(paths=("/a/long/prefix",), regex_priority=9),
            "low": Route(paths=("~/a/long/.*",)),
            "high": Route(paths=("~/a/long/prefix/x",), regex_priority=1),
        },
        [(Request("/a/long/prefix/x"), "high"), (Request("/a/long/prefix"), "low")],
    ),
    Case(
        "a plain host beats three other attributes, because of the shifts",
        {
            "host": Route(hosts=(ONE,)),
            "three": Route(paths=("/p",), methods=("GET",), headers={"X-A": ("1",)}),
        },
        [(Request("/p", host=ONE, headers=(("X-A", "1"),)), "host")],
    ),
    Case(
        "four attributes beat everything",
        {
            "host": Route(hosts=(ONE,), paths=("/p",)),
            "four": Route(hosts=("*.test",), paths=("/p",), methods=("GET",), headers={"X-A": ("1",)}),
        },
        [(Request("/p", host=ONE, headers=(("X-A", "1"),)), "four")],
    ),
    Case(
        "a port is compared with the Host header's, else with the listener's",
        {
            "any": Route(paths=("/",)),
            "ported": Route(hosts=("one.test:8000", "*.two.test:81", "x.*:081"), paths=("/",)),
        },
        [
            (Request(host="one.test:8000"), "ported"),
            (Request(host=ONE, port=8000), "ported"),
            (Request(host=ONE, port=81), "any"),
            (Request(host="one.test:81", port=8000), "any"),
            (Request(host="one.test:x", port=8000), "any"),
            (Request(host="a.two.test", port=81), "ported"),
            (Request(host="x.y:81"), "ported"),
            (Request(host="x.y"), "any"),
        ],
    ),
    Case(
        "SNIs are asked for under TLS only; wildcards and a final dot are understood",
        {"sni": Route(paths=("/",), snis=("a.test.", "*.b.test", "c.*")), "any": Route(methods=("GET",))},
        [
            (Request(), "sni"),
            (Request(scheme="https"), "any"),
            (Request(scheme="https", sni="a.test"), "sni"),
            (Request(scheme="https", sni="x.b.test"), "sni"),
            (Request(scheme="https", sni="c.org"), "sni"),
            (Request(scheme="https", sni="d.test"), "any"),
        ],
    ),
    Case(
        "names of headers: case aside, and an underscore stands for a dash",
        {"r": Route(headers={"X_Tenant-Id": ("A", "B")})},
        [
            (Request(headers=(("x-tenant-id", "b"),)), "r"),
            (Request(headers=(("X_TENANT_ID", "A"),)), "r"),
            (Request(headers=(("X_Tenant_Id", "c"), ("X-Tenant-Id", "a"))), None),
        ],
    ),
    Case(
        "header values are UTF-8 with ASCII letters in any case",
        {"r": Route(headers={"X-A": ("Käse",)})},
        [
            (Request(headers=(("X-A", "KÄSE".encode().decode("latin-1")),)), None),
            (Request(headers=(("X-A", "kÄSE".replace("Ä", "ä").encode().decode("latin-1")),)), "r"),
        ],
    ),
    Case(
        "a path that is not UTF-8 matches nothing",
        {"r": Route(paths=("/",))},
        [(Request("/caf\xe9"), None), (Request("/caf\xc3\xa9"), "r")],
    ),
    Case(
        "the letters of a header's regex are lowered, its classes too",
        {"r": Route(headers={"X-A": ("plain", "~*^V\\D$")})},
        [(Request(headers=(("X-A", "V1"),)), "r"), (Request(headers=(("X-A", "vx"),)), None)],
    ),
    Case(
        "an empty list says nothing",
        {"r": Route(paths=("/a",), hosts=(), methods=())},
        [(Request("/a"), "r")],
    ),
    Case("a route that says nothing matches nothing", {"r": Route()}, [(Request(), None)]),
    Case(
        "stream routes are not for HTTP", {"r": Route(protocols=("tls",), snis=("a",))}, [(Request(), None)]
    ),
]


@pytest.mark.parametrize("case", RECORDED + OTHERS, ids=lambda case: case.says)
def test_the_winner(case: Case) -> None:
    check(case, "traditional_compatible")


def test_of_equal_routes_the_larger_id_wins_whatever_its_age() -> None:
    routes = [Route(1, "old", paths=("/a",), created_at=1), Route(2, "new", paths=("/a",), created_at=2)]
    assert winner(routes, Request("/a"), "traditional_compatible") == "new"
    assert winner(routes[::-1], Request("/a"), "traditional_compatible") == "new"


def test_parts_of_a_split_route_have_ids_of_their_own() -> None:
    route = Route(paths=("/one", "~/r", "/two", "/three", "~/s"))
    parts = [(rule.order[1], rule.prefixes) for rule in rules(route, 0, Problems())]
    assert parts == [
        ("3a184dfe-491e-5108-ad97-30094f995e90", ("/one", "/two")),
        ("256cb423-a1f6-52df-be0b-57ac8c250513", ("/r", "/s")),
        ("063e3a5f-c4d5-520c-ae9b-5148805406d5", ("/three",)),
    ]


PLAIN = 1 << 60
REGEX = 1 << 51


@pytest.mark.parametrize(
    ("route", "priority"),
    [
        (Route(methods=("GET",)), 1 << 29),
        (Route(paths=("/abc",)), (1 << 29) + 4),
        (Route(paths=("/ü",)), (1 << 29) + 3),
        (Route(hosts=("a",)), PLAIN + (1 << 29)),
        (Route(hosts=("a", "*.b")), 1 << 29),
        (Route(headers={"a": ("1",), "b": ("1",)}), (1 << 29) + (2 << 20)),
        (Route(paths=("~/a",), regex_priority=3), REGEX + (1 << 29) + (3 << 19)),
        (Route(paths=("~/a",), regex_priority=-1), (1 << 64) - (1 << 19)),
        (Route(paths=("/a",), regex_priority=3), (1 << 29) + 2),
        (Route(paths=("/a",), methods=("GET",), hosts=("*.b",), snis=("c",)), (1 << 64) - (1 << 31) + 2),
    ],
)
def test_the_number_that_kong_computes(route: Route, priority: int) -> None:
    """Computed with Kong's own function under LuaJIT."""
    assert [rule.order[0] for rule in rules(route, 0, Problems())] == [priority]


@pytest.mark.parametrize(
    ("paths", "request_path", "prefix"),
    [
        (("/one", "/two/deep", "/"), "/one/x", "/one"),
        (("/one", "/two/deep", "/"), "/two/deep/y", "/two/deep"),
        (("/one", "/two/deep", "/"), "/three", "/"),
        (("~/re/\\d+",), "/re/12/tail", "/re/12"),
        (("~/a/[^/]+/",), "/a/b/c", "/a/b/"),
        (("~/(?i)CaSe",), "/CASE/x", "/CASE"),
        (("~/a/b|/b",), "/x/b/c", "/b"),
        (("/ü",), "/\xc3\xbc/x", "/\xc3\xbc"),
    ],
)
def test_the_prefix_is_what_the_path_stands_for(
    paths: tuple[str, ...], request_path: str, prefix: str
) -> None:
    match = Request(request_path).ask(build_router([Route(paths=paths)], "traditional_compatible"))
    assert match is not None
    assert match.prefix == prefix


def test_captures_are_named_and_counted() -> None:
    path = "~/(users/)?(?<user>\\d+)/profile/?(?P<scope>[a-z]*)"
    router = build_router([Route(paths=(path,))], "traditional_compatible")
    match = Request("/1984/profile").ask(router)
    assert match is not None
    assert match.captures == ({"user": "1984", "scope": ""}, (None, "1984", ""))


def test_without_groups_nothing_is_captured() -> None:
    router = build_router([Route(paths=("~/a", "/b"))], "traditional_compatible")
    assert [match and match.captures for match in (Request("/a").ask(router), Request("/b").ask(router))] == [
        None,
        None,
    ]
