import gc

import pytest
from tests.unit.routing.routes import Request, Route

from tollhouse.errors import ConfigErrors
from tollhouse.routing import Flavour, Router, build_router, building

FLAVOURS: list[Flavour] = ["traditional_compatible", "traditional", "expressions"]
ROUTES = [
    Route(n, hosts=(f"h{n % 7}.test",), paths=(f"/p{n % 11}", f"~/p{n % 13}/\\d+"), methods=(f"M{n % 3}",))
    for n in range(1, 200)
]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_building_in_slices_is_building_at_once(flavour: Flavour) -> None:
    steps = building(ROUTES, flavour)
    taken = 0
    in_slices: Router | None = None
    while in_slices is None:
        try:
            next(steps)
            taken += 1
        except StopIteration as done:
            in_slices = done.value
    assert taken > len(ROUTES)
    at_once = build_router(ROUTES, flavour)
    for n in range(200):
        request = Request(f"/p{n % 12}/{n}", method=f"M{n % 3}", host=f"h{n % 8}.test")
        assert request.ask(in_slices) == request.ask(at_once)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_router_without_routes_finds_nothing(flavour: Flavour) -> None:
    assert Request().ask(build_router([], flavour)) is None


def test_everything_that_is_wrong_is_told_with_the_names_of_the_routes() -> None:
    routes = [
        Route(1, "paths", paths=("~/(a", "/fine", "~/[b")),
        Route(2, "headers", headers={"X-A": ("~*(",)}),
        Route(3, "good", paths=("/good",)),
    ]
    for flavour in FLAVOURS[:2]:
        with pytest.raises(ConfigErrors) as refusal:
            build_router(routes, flavour)
        assert [(error.path, error.message.split(" (")[0]) for error in refusal.value.errors] == [
            ("routes.paths.paths", "invalid regex: '/(a'"),
            ("routes.paths.paths", "invalid regex: '/[b'"),
            ("routes.headers.headers", "invalid regex: '('"),
        ]


def test_a_router_is_freed_without_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        for flavour in FLAVOURS:
            build_router(ROUTES, flavour)
        assert gc.collect() < 100
    finally:
        gc.enable()
