import pytest

from tollhouse.model.constraints import Constraints
from tollhouse.model.fields import MISSING, Field, Shape
from tollhouse.model.judges import Wrong


def field(kind: str, rules: Constraints, default: object = MISSING, *, nullable: bool = False) -> Field:
    element = Shape("string") if kind == "array" else None
    return Field("f", Shape(kind, nullable=nullable, element=element), rules, default=default)


def error(result: object) -> object:
    assert isinstance(result, Wrong)
    return result.error


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({"required": True}, "required field missing"),
        ({"ne": None}, "value must not be null"),
        ({"ne": None, "err": "own"}, "own"),
        ({"eq": "redis"}, "value must be redis"),
    ],
)
def test_null_may_be_refused(rules: Constraints, text: str) -> None:
    assert error(field("string", rules, nullable=True).accept(None)) == text


def test_null_stays_null_where_the_type_has_room_for_it() -> None:
    assert field("string", {}, "x", nullable=True).accept(None) is None


def test_null_means_the_default_where_it_has_not() -> None:
    assert field("string", {}, "x").accept(None) == "x"


def test_a_field_that_must_be_null_refuses_whatever_is_given() -> None:
    assert error(field("array", {"eq": None}, nullable=True).accept(5)) == "value must be null"
    assert error(field("array", {"eq": None, "err": "own"}, nullable=True).accept([])) == "own"


def test_an_abstract_field_has_to_be_specialised() -> None:
    assert "abstract" in str(error(field("any", {"abstract": True}).accept({})))


def test_defaults_are_copied_so_that_nobody_shares_them() -> None:
    listed = field("array", {}, ["a"])
    assert listed.absent() == ["a"]
    assert listed.absent() is not listed.absent()


def test_an_absent_required_field_is_wrong_and_an_absent_automatic_one_is_null() -> None:
    assert error(field("string", {"required": True}).absent()) == "required field missing"
    assert field("string", {"auto": True}).absent() is None


def test_elements_are_always_required() -> None:
    assert error(field("array", {}).accept(["a", None])) == [None, "required field missing"]


def test_a_varied_field_keeps_what_is_not_replaced() -> None:
    varied = field("string", {"one_of": ("a", "b")}, "a").varied({"ne": "b", "default": "c"})
    assert varied.absent() == "c"
    assert error(varied.accept("b")) == "value must not be b"
    assert error(varied.accept("x")) == "expected one of: a, b"


def test_any_value_passes_a_field_of_any_kind() -> None:
    assert field("any", {}).accept([{"x": 1}]) == [{"x": 1}]
