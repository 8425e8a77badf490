import pytest
from tests.unit.routing.routes import Route

from tollhouse.routing.rules import Asked, HeaderRule, Problems, header_names
from tollhouse.wire.headers import Headers


def asked(*headers: tuple[str, str]) -> Asked:
    return ("GET", "/", (), Headers.new(headers), "http", None, None, None)


@pytest.mark.parametrize(
    ("name", "underscored", "names"),
    [
        ("Plain", True, ("plain",)),
        ("X-A", True, ("x_a", "x-a")),
        ("X-A", False, ("x-a",)),
        ("X_A", False, ("x_a", "x-a")),
        ("X-A_b", True, ("x_a_b", "x-a-b")),
        ("X-A_b", False, ("x-a_b", "x-a-b")),
    ],
)
def test_names_to_look_up(name: str, underscored: bool, names: tuple[str, ...]) -> None:
    assert header_names(name, underscored=underscored) == names


def test_the_first_name_that_is_there_is_taken() -> None:
    rule = HeaderRule(("x_a", "x-a"), frozenset({"1"}))
    assert rule(asked(("X-A", "1")))
    assert rule(asked(("X_A", "1"), ("X-A", "2")))
    assert not rule(asked(("X_A", "2"), ("X-A", "1")))
    assert not rule(asked(("X", "1")))


def test_any_line_of_a_header_will_do() -> None:
    rule = HeaderRule(("x",), frozenset({"b"}))
    assert rule(asked(("X", "a"), ("Y", "c"), ("X", "B")))
    assert not rule(asked(("X", "a"), ("Y", "b"), ("X", "c")))


def test_a_problem_names_route_and_field() -> None:
    problems = Problems()
    problems.add(Route(name="r"), "paths", "bad")
    problems.add(Route(7), "paths", "bad")
    assert [error.path for error in problems.found] == ["routes.r.paths", f"routes.{Route(7).id}.paths"]
