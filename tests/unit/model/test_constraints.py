from typing import Any

import pytest

from tollhouse.model import constraints
from tollhouse.model.constraints import Constraints, is_nonempty, is_reference, published

SUBSETS = (("http", "https"), ("tcp", "tls", "udp"))

REFUSED: list[tuple[str, Constraints, Any, str]] = [
    ("string", {}, "", "length must be at least 1"),
    ("string", {"eq": "a"}, "b", "value must be a"),
    ("boolean", {"eq": False}, True, "value must be false"),
    ("string", {"ne": "b"}, "b", "value must not be b"),
    ("boolean", {"ne": True}, True, "value must not be true"),
    ("string", {"one_of": ("a", "b")}, "c", "expected one of: a, b"),
    ("string", {"one_of": ("a", "b")}, "", "expected one of: a, b"),
    ("integer", {"one_of": (-1, 1)}, 0, "expected one of: -1, 1"),
    ("string", {"not_one_of": ("a", "b")}, "a", "must not be one of: a, b"),
    ("number", {"gt": 0}, 0, "value must be greater than 0"),
    ("number", {"gt": 0.5}, 0.5, "value must be greater than 0.5"),
    ("integer", {"timestamp": True}, 0, "expected a valid timestamp"),
    ("string", {"uuid": True}, "x", "expected a valid UUID"),
    ("string", {"is_regex": True}, "(", "not a valid regex: ("),
    ("integer", {"between": (1, 5)}, 6, "value should be between 1 and 5"),
    ("number", {"between": (0.001, 10)}, 0, "value should be between 0 and 10"),
    ("string", {"len_eq": 2}, "a", "length must be 2"),
    ("array", {"len_eq": 0}, ["a"], "length must be 0"),
    ("string", {"len_min": 3}, "ab", "length must be at least 3"),
    ("array", {"len_min": 1}, [], "length must be at least 1"),
    ("map", {"len_min": 1}, {}, "length must be at least 1"),
    ("string", {"len_max": 3}, "éé", "length must be at most 3"),
    ("string", {"starts_with": "/"}, "x", "should start with: /"),
    ("string", {"match": "^%u+$"}, "Get", "invalid value: Get"),
    ("string", {"not_match": "%s"}, "a b", "invalid value: a b"),
    ("string", {"match_none": (("//", "no //"),)}, "a//b", "no //"),
    ("string", {"match_all": (("a", "no a"), ("b", "no b"))}, "a", "no b"),
    ("string", {"match_any": (("^a", "^b"), "neither")}, "c", "neither"),
    ("array", {"contains": "exp"}, ["nbf"], "expected to contain: exp"),
    ("string", {"validator": lambda text: f"bad {text}"}, "x", "bad x"),
    (
        "array",
        {"mutually_exclusive_subsets": SUBSETS},
        ["tcp", "http"],
        "these sets are mutually exclusive: ('tcp', 'tls', 'udp'), ('http', 'https')",
    ),
    ("string", {"starts_with": "/", "err": "my own words"}, "x", "my own words"),
]

ACCEPTED: list[tuple[str, Constraints, Any]] = [
    ("string", {"len_min": 0}, ""),
    ("string", {"len_max": 4}, "éé"),
    ("string", {"uuid": False}, "x"),
    ("string", {"uuid": True}, "FD02801F-0957-4A15-A55A-C8D9606F30B5"),
    ("number", {"gt": 0}, 0.1),
    ("integer", {"between": (1, 5)}, 5),
    ("array", {"contains": "exp"}, ["nbf", "exp"]),
    ("array", {"mutually_exclusive_subsets": SUBSETS}, ["tcp", "udp", "other"]),
    ("string", {"match_any": (("^a", "^b"), "neither")}, "bc"),
    ("string", {"is_regex": True}, "(?<id>a)"),
]


def first_problem(kind: str, rules: Constraints, value: Any) -> str | None:
    return next((text for test in constraints.tests(kind, rules) if (text := test(value)) is not None), None)


@pytest.mark.parametrize(("kind", "rules", "value", "text"), REFUSED)
def test_a_broken_constraint_is_told_in_kongs_words(
    kind: str, rules: Constraints, value: Any, text: str
) -> None:
    assert first_problem(kind, rules, value) == text


@pytest.mark.parametrize(("kind", "rules", "value"), ACCEPTED)
def test_a_value_within_its_constraints_passes(kind: str, rules: Constraints, value: Any) -> None:
    assert first_problem(kind, rules, value) is None


def test_constraints_are_tested_in_kongs_order() -> None:
    rules: Constraints = {
        "validator": lambda _: "last",
        "match_none": (("//", "second"),),
        "starts_with": "/",
    }
    assert first_problem("string", rules, "x//") == "should start with: /"
    assert first_problem("string", rules, "/x//") == "second"
    assert first_problem("string", rules, "/x") == "last"


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_kong_calls_these_empty(value: Any) -> None:
    assert not is_nonempty(value)


@pytest.mark.parametrize("value", [0, False, "a", [None], {"a": None}])
def test_kong_calls_these_set(value: Any) -> None:
    assert is_nonempty(value)


def test_a_vault_reference_is_known_by_its_braces() -> None:
    assert is_reference("{vault://env/key}")
    assert not is_reference("vault://env/key")
    assert not is_reference(5)


def test_published_constraints_have_kongs_shape() -> None:
    rules: Constraints = {
        "required": True,
        "between": (0, 5),
        "match_none": (("//", "no"),),
        "match_any": (("^a",), "err"),
        "validator": lambda _: None,
    }
    assert published(rules) == {
        "between": (0, 5),
        "match_none": [{"pattern": "//", "err": "no"}],
        "match_any": {"patterns": ["^a"], "err": "err"},
    }
