"""How the index is grown: which ways to tell rules apart it takes."""

from collections.abc import Callable, Generator
from typing import Any

import pytest
from tests.unit.routing.routes import Request, Route

from tollhouse.routing import Flavour, build_router
from tollhouse.routing.grow import in_order

MANY = 1000


def drained(steps: Generator[None, None, Any]) -> Any:
    try:
        while True:
            next(steps)
    except StopIteration as done:
        return done.value


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 5000])
def test_sorting_in_slices_is_sorting(count: int) -> None:
    values = [number * 7919 % 10007 for number in range(count)]
    assert drained(in_order(values, key=lambda value: value)) == sorted(values)
    assert drained(in_order(values, key=lambda value: -value, reverse=True)) == sorted(values)


ALIKE: dict[str, tuple[Callable[[int], Route], Callable[[int], Request]]] = {
    "host": (lambda n: Route(n, hosts=(f"h{n}.test",), paths=("/",)), lambda n: Request(host=f"h{n}.test")),
    "wildcard host": (lambda n: Route(n, hosts=(f"*.h{n}.test",)), lambda n: Request(host=f"a.h{n}.test")),
    "prefix": (lambda n: Route(n, paths=(f"/p{n}/",)), lambda n: Request(f"/p{n}/x")),
    "regex": (lambda n: Route(n, paths=(f"~/p{n}/\\d",)), lambda n: Request(f"/p{n}/5")),
    "regex end": (lambda n: Route(n, paths=(f"~/[a-z]+/{n}$",)), lambda n: Request(f"/x/{n}")),
    "method": (lambda n: Route(n, paths=("/",), methods=(f"M{n}",)), lambda n: Request(method=f"M{n}")),
    "header value": (
        lambda n: Route(n, paths=("/",), headers={"X-A": (str(n),), "X-B": ("1",)}),
        lambda n: Request(headers=(("X-B", "1"), ("x-a", str(n)))),
    ),
    "header name": (
        lambda n: Route(n, paths=("/",), headers={f"X-{n}": ("1",)}),
        lambda n: Request(headers=((f"x-{n}", "1"),)),
    ),
    "sni": (
        lambda n: Route(n, paths=("/",), snis=(f"s{n}.test",)),
        lambda n: Request(scheme="https", sni=f"s{n}.test"),
    ),
}


@pytest.mark.parametrize("kind", ALIKE)
def test_thousands_of_routes_that_differ_in_one_thing(kind: str) -> None:
    make, ask = ALIKE[kind]
    flavours: list[Flavour] = ["traditional_compatible", "traditional"]
    for flavour in flavours:
        router = build_router([make(number) for number in range(1, MANY + 1)], flavour)
        for number in (1, 77, MANY):
            match = ask(number).ask(router)
            assert match is not None, flavour
            assert match.route.id == make(number).id
        assert ask(MANY + 1).ask(router) is None


def test_nested_prefixes_find_their_parents() -> None:
    names = ["/", "/a", "/a/b", "/a/b/c", "/a/bb", "/ab", "/b"]
    router = build_router([Route(n + 1, name, paths=(name,)) for n, name in enumerate(names)], "traditional")
    asked = {"/a/b/c/d": "/a/b/c", "/a/b/d": "/a/b", "/a/c": "/a", "/aa": "/a", "/c": "/", "/a/bbb": "/a/bb"}
    for path, expected in asked.items():
        match = Request(path).ask(router)
        assert match is not None
        assert match.route.name == expected
