"""`custom_fields_by_lua`: Lua, and what it does to a record."""

from typing import Any

import pytest

from tollhouse.pdk.custom_fields import apply_custom_fields, compile_custom_fields, custom_field_problem

NAMES: dict[str, Any] = {"headers": {"x": "y"}}


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("return 'a'", "a"),
        ('return "it\'s"', "it's"),
        ("  return   12 ; ", 12),
        ("return -1.5", -1.5),
        ("return true", True),
        ("return false", False),
        ("return ''", ""),
        ("return 'a' .. 'b'", "ab"),
        ("return headers['x'] or 'none'", "y"),
        ("local t = {} for i = 1, 3 do t[i] = i end return t", [1, 2, 3]),
        ("if headers.x then return 'long' end", "long"),
    ],
)
def test_a_literal_sets_a_field(code: str, value: object) -> None:
    record: dict[str, Any] = {"kept": 1}
    assert custom_field_problem(code) is None

    apply_custom_fields(record, compile_custom_fields({"new": code}), NAMES.get)

    assert record == {"kept": 1, "new": value}


def test_nil_takes_a_field_out_wherever_it_is() -> None:
    record = {"a": {"b": 1, "c": 2}, "d": 3, "e.f": 4}

    apply_custom_fields(
        record,
        compile_custom_fields(dict.fromkeys(("a.b", "d", "e\\.f", "none.at.all"), "return nil")),
        NAMES.get,
    )

    assert record == {"a": {"c": 2}}


def test_a_path_goes_through_what_is_no_object() -> None:
    record: dict[str, Any] = {"a": 1}

    apply_custom_fields(record, compile_custom_fields({"a.b.c": "return 2"}), NAMES.get)

    assert record == {"a": {"b": {"c": 2}}}


@pytest.mark.parametrize("code", ["'a'", "return 1 2", "return (", "while"])
def test_other_code_is_refused_when_the_configuration_is_checked(code: str) -> None:
    assert custom_field_problem(code)


def test_lua_that_fails_leaves_the_field() -> None:
    record = {"a": 1, "b": 2}

    apply_custom_fields(
        record, compile_custom_fields({"a": "return os.time()", "b": "error('x')"}), NAMES.get
    )

    assert record == {"a": 1, "b": 2}
