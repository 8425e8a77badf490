from dataclasses import dataclass
from typing import Any

import pytest

from tollhouse.model.checks import (
    ABSENT,
    AtLeastOneOf,
    Check,
    Conditional,
    ConditionalAtLeastOneOf,
    Custom,
    CustomEntity,
    Distinct,
    MutuallyExclusive,
    MutuallyRequired,
    OnlyOneOf,
    is_outer,
    value_at,
)
from tollhouse.model.schema import schema_of, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    host: str | None = setting(None, doc="-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    a: str | None = setting(None, doc="-")
    b: str | None = setting(None, referenceable=True, doc="-")
    policy: str | None = setting("local", doc="-")
    words: tuple[str, ...] | None = setting(None, doc="-")
    inner: Inner = setting(Inner, doc="-")
    maybe: Inner | None = setting(None, doc="-")


def errors(check: Check, raw: dict[str, Any]) -> Any:
    return schema_of(Thing).varied({}, checks=(check,)).check(raw)[1]


ONE = AtLeastOneOf("a", "b")
REDIS = Conditional("policy", {"eq": "redis"}, "inner.host", {"required": True})
WORDS = ConditionalAtLeastOneOf(
    "words", {"contains": "x"}, ("a", "b"), "x needs %s", {"contains": "y"}, ("b",), "y needs %s"
)


@pytest.mark.parametrize(
    ("check", "raw", "text"),
    [
        (ONE, {}, "at least one of these fields must be non-empty: 'a', 'b'"),
        (OnlyOneOf("a", "b"), {}, "exactly one of these fields must be non-empty: 'a', 'b'"),
        (
            OnlyOneOf("a", "b"),
            {"a": "1", "b": "2"},
            "exactly one of these fields must be non-empty: 'a', 'b'",
        ),
        (MutuallyRequired("a", "b"), {"a": "1"}, "all or none of these fields must be set: 'a', 'b'"),
        (
            MutuallyExclusive("a", "b"),
            {"a": "1", "b": "2"},
            "only one or none of these fields must be set: 'a', 'b'",
        ),
        (Distinct("a", "b"), {"a": "1", "b": "1"}, "values of these fields must be distinct: 'a', 'b'"),
        (WORDS, {"words": ["x"]}, "x needs 'a', 'b'"),
        (WORDS, {"words": ["y"], "a": "1"}, "y needs 'b'"),
        (CustomEntity(("a",), lambda values: f"bad {values['a']}"), {"a": "1"}, "bad 1"),
    ],
)
def test_a_rule_across_fields_is_told_under_entity(check: Check, raw: dict[str, Any], text: str) -> None:
    assert errors(check, raw) == {"@entity": [text]}


@pytest.mark.parametrize(
    ("check", "raw"),
    [
        (ONE, {"b": "1"}),
        (AtLeastOneOf("inner.host", "maybe.host"), {"inner": {"host": "h"}}),
        (OnlyOneOf("a", "b"), {"a": "1"}),
        (MutuallyRequired("a", "b"), {}),
        (MutuallyRequired("a", "b"), {"a": "1", "b": "2"}),
        (MutuallyRequired("a", "b"), {"b": "{vault://env/b}"}),
        (MutuallyExclusive("a", "b"), {"a": "1"}),
        (Distinct("a", "b"), {"a": "1", "b": "2"}),
        (Distinct("a", "b"), {}),
        (REDIS, {}),
        (REDIS, {"policy": "redis", "inner": {"host": "h"}}),
        (Conditional("maybe.host", {"eq": "x"}, "a", {"required": True}), {}),
        (WORDS, {}),
        (WORDS, {"words": ["z"]}),
        (WORDS, {"words": ["x"], "b": "1"}),
        (CustomEntity(("a",), lambda _: None), {"a": "1"}),
    ],
)
def test_a_rule_that_holds_says_nothing(check: Check, raw: dict[str, Any]) -> None:
    assert errors(check, raw) == {}


def test_a_condition_also_marks_the_field() -> None:
    assert errors(REDIS, {"policy": "redis"}) == {
        "inner": {"host": "required field missing"},
        "@entity": ["failed conditional validation given value of field 'policy'"],
    }


def test_a_condition_may_have_its_own_text() -> None:
    check = Conditional("policy", {"match": "^r"}, "a", {"eq": None}, "no a with r")
    assert errors(check, {"policy": "redis", "a": "1"}) == {
        "a": "value must be null",
        "@entity": ["no a with r"],
    }


def test_a_custom_rule_does_not_run_on_wrong_fields() -> None:
    check = CustomEntity(("a",), lambda _: pytest.fail("ran"))
    assert errors(check, {"a": 5}) == {"a": "expected a string"}


def test_a_rule_that_names_no_field_is_a_mistake_in_the_schema() -> None:
    with pytest.raises(TypeError, match="unknown field nope"):
        errors(Conditional("nope", {"eq": 1}, "a", {}), {})


def test_rules_about_config_belong_to_the_plugin() -> None:
    assert is_outer(AtLeastOneOf("config.a", "config.b"))
    assert not is_outer(AtLeastOneOf("a", "config.b"))
    assert not is_outer(CustomEntity((), lambda _: None))


def test_a_dotted_path_reaches_into_records() -> None:
    assert value_at({"a": {"b": 5}}, "a.b") == 5
    assert value_at({"a": None}, "a.b") is ABSENT


def test_rules_are_published_in_kongs_shape() -> None:
    assert ONE.describe() == {"at_least_one_of": ["a", "b"]}
    assert REDIS.describe() == {
        "conditional": {
            "if_field": "policy",
            "if_match": {"eq": "redis"},
            "then_field": "inner.host",
            "then_match": {"required": True},
        }
    }
    items = Conditional("words", {"items": {"one_of": ("x",)}}, "a", {"len_eq": 0}, "err").describe()
    assert items["conditional"]["if_match"] == {"elements": {"one_of": ("x",)}}
    assert items["conditional"]["then_err"] == "err"
    assert WORDS.describe() == {
        "conditional_at_least_one_of": {
            "if_field": "words",
            "if_match": {"contains": "x"},
            "then_at_least_one_of": ["a", "b"],
            "then_err": "x needs %s",
            "else_match": {"contains": "y"},
            "else_then_at_least_one_of": ["b"],
            "else_then_err": "y needs %s",
        }
    }
    custom = CustomEntity(("a",), lambda _: None)
    assert custom.describe() == {"custom_entity_check": {"field_sources": ["a"]}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    minute: float | None = setting(None, doc="-")
    CHECKS = (
        AtLeastOneOf("minute"),
        Custom(lambda values: "the whole is wrong" if values["minute"] == 13 else None),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    limits: Limits = setting(Limits, doc="-")


def test_a_custom_text_replaces_the_error_of_the_whole_record() -> None:
    assert schema_of(Limits).check({"minute": 13})[1] == "the whole is wrong"
    assert schema_of(Holder).check({"limits": {"minute": 13}})[1] == {"limits": "the whole is wrong"}


def test_a_custom_rule_waits_until_everything_else_is_right() -> None:
    assert schema_of(Limits).check({"minute": 13, "x": 1})[1] == {"x": "unknown field"}
