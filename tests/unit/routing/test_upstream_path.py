"""Upstream paths as a real Kong 3.9.1 asked for them."""

import pytest
from tests.unit.routing.routes import Request, Route

from tollhouse.routing import Flavour, build_router, path_builder
from tollhouse.wire.uri import Target

REQUESTS = ["/fv0", "/fv0/", "/fv0req", "/fv0/req", "/fv0//req", "/fw0/", "/fw0/req", "/fw0//x"]
KEPT = ["/fv0", "/fv0/", "/fv0req", "/fv0/req", "/fv0/req", "/fw0/", "/fw0/req", "/fw0/x"]
V0 = {
    (None, False): KEPT,
    ("/", False): KEPT,
    ("/s/", False): ["/s" + path for path in KEPT],
    (None, True): ["/", "/", "/req", "/req", "/req", "/", "/req", "/x"],
    ("/s/", True): ["/s", "/s/", "/s/req", "/s/req", "/s/req", "/s/", "/s/req", "/s/x"],
}
V1_REQUESTS = ["/fv1", "/fv1/", "/fv1req", "/fw1/", "/fw1/req"]
V1 = {
    (None, False): ["/fv1", "/fv1/", "/fv1req", "/fw1/", "/fw1/req"],
    ("/s", False): ["/sfv1", "/sfv1/", "/sfv1req", "/sfw1/", "/sfw1/req"],
    ("/s/", False): ["/s/fv1", "/s/fv1/", "/s/fv1req", "/s/fw1/", "/s/fw1/req"],
    (None, True): ["/", "/", "/req", "/", "/req"],
    ("/s/", True): ["/s/", "/s/", "/s/req", "/s/", "/s/req"],
}
OTHERS = [
    # service, route path, strip, request, upstream
    ("/s/", "/fv0", False, "/fv0/./x", "/s/fv0/x"),
    ("/s/", "/fv0", False, "/fv0/..x", "/s/fv0/..x"),
    ("/s/", "/fv0", True, "/fv0/./x", "/s/x"),
    (None, "/fv0", True, "/fv0/..x", "/..x"),
    ("/s", "/", True, "/", "/s"),
    ("/s/", "/", True, "/", "/s/"),
    ("/s/", "~/a/", True, "/a/", "/s/"),
    ("/", "/", True, "/", "/"),
    ("/s", "/", True, "/x", "/s/x"),
    ("/s", "/", True, "/x/", "/s/x/"),
    ("/s", "/", True, "//x", "/s/x"),
    ("/s", "/", False, "/", "/s"),
    ("/s", "/", False, "/x/", "/s/x/"),
    (None, "/a", False, "/a/b/..", "/a/"),
    (None, "/a", False, "/a/...", "/a/..."),
    (None, "/a", False, "/a/.hidden", "/a/.hidden"),
    (None, "/a", False, "/a///", "/a/"),
    ("/s", "/sp ace", True, "/sp%20acex", "/s/x"),
    ("/s", "/ü", True, "/%c3%bc/x", "/s/x"),
    (None, "/a", False, "/a/%C3%BC%20b%2Fc%7E", "/a/%C3%BC%20b%2Fc~"),
    ("/ü", "/a", True, "/a/b", "/%C3%BC/b"),
    ("/s", "~/re/\\d+", True, "/re/12", "/s"),
    ("/s", "~/re/\\d+", True, "/re/7abc", "/s/abc"),
    ("/s", "~/a/[^/]+/", True, "/a/b/c", "/s/c"),
    ("/s", "~/a/[^/]+/", True, "/a/b/", "/s/"),
    ("/base", "~/u/(?<id>[^/]+)/f", True, "/u/42/f/g", "/base/g"),
    (None, "~/x$", True, "/x", "/"),
    # what is left over must not be a dot segment
    ("/s", "/a", True, "/a../x", "/s/x"),
    ("/s", "/a", True, "/a./x", "/s/x"),
    ("/s", "/a", True, "/a..", "/s"),
    ("/s", "/a", True, "/a.b", "/s/.b"),
]


def upstream(
    service: str | None, route: Route, request: str, flavour: Flavour = "traditional_compatible"
) -> str:
    normal = Target(request).normal
    match = Request(normal).ask(build_router([route], flavour))
    assert match is not None
    return path_builder(service, route.strip_path, route.path_handling, flavour)(match.prefix, normal)


@pytest.mark.parametrize(("service", "strip"), V0)
def test_v0(service: str | None, strip: bool) -> None:
    route = Route(paths=("/fv0", "/fw0/"), strip_path=strip)
    assert [upstream(service, route, request) for request in REQUESTS] == V0[service, strip]


@pytest.mark.parametrize(("service", "strip"), V1)
def test_v1(service: str | None, strip: bool) -> None:
    route = Route(paths=("/fv1", "/fw1/"), strip_path=strip, path_handling="v1")
    paths = [upstream(service, route, request, "traditional") for request in V1_REQUESTS]
    assert paths == V1[service, strip]


def test_v1_removes_one_slash_only_where_two_meet() -> None:
    route = Route(paths=("/fv1",), path_handling="v1")
    assert upstream("/s", route, "/fv1req", "traditional") == "/sreq"
    assert upstream("/s", route, "/fv1/req", "traditional") == "/s/req"
    assert upstream("/s/", route, "/fv1/req", "traditional") == "/s/req"


def test_only_the_traditional_router_knows_v1() -> None:
    route = Route(paths=("/fv1",), path_handling="v1")
    assert upstream("/s", route, "/fv1req") == "/s/req"


@pytest.mark.parametrize(("service", "path", "strip", "request_path", "expected"), OTHERS)
def test_others(service: str | None, path: str, strip: bool, request_path: str, expected: str) -> None:
    assert upstream(service, Route(paths=(path,), strip_path=strip), request_path) == expected


@pytest.mark.parametrize(("strip", "expected"), [(True, "/s/x/y"), (False, "/s/x/y")])
def test_a_route_without_a_path_strips_nothing(strip: bool, expected: str) -> None:
    assert upstream("/s", Route(methods=("GET",), strip_path=strip), "/x/y") == expected
