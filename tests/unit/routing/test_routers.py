import pytest
from tests.unit.routing.routes import Route

from tollhouse.routing import Flavour, build_router
from tollhouse.wire.headers import Headers


@pytest.mark.parametrize("flavour", ["traditional_compatible", "traditional", "expressions"])
def test_what_only_expressions_read_need_not_be_given(flavour: Flavour) -> None:
    router = build_router([Route(paths=("/a",))], flavour)
    match = router.find("GET", "/a/b", "", Headers.new(), "http", 8000, None)
    assert match is not None
    assert match.prefix == "/a"


def test_the_same_request_gets_the_very_same_answer() -> None:
    router = build_router([Route(hosts=("a.test",), paths=("/a",))], "traditional_compatible")
    first, second = (router.find("GET", "/a", "a.test", Headers.new(), "http", 80, None) for _ in range(2))
    assert first is second
