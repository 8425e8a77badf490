"""JSON Schema to Gemini's subset of OpenAPI's, and back."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollhouse.llm.form import Refusal
from tollhouse.llm.formats.gemini.schema import cleaned, plain

STRING = {"type": "STRING"}
#: all that Gemini's schemas may have
KNOWN = {
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "items",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "anyOf",
    "propertyOrdering",
    "minimum",
    "maximum",
}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, {}),
        (True, {}),
        ({"type": "string"}, STRING),
        ({"$schema": "x", "$id": "y", "type": "string", "default": 1, "examples": ["a"]}, STRING),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
            {"type": "OBJECT", "properties": {"a": STRING}},
        ),
        (
            {"properties": {"type": {"type": "integer"}}},
            {"type": "OBJECT", "properties": {"type": {"type": "INTEGER"}}},
        ),
        # nullable
        ({"type": ["string", "null"]}, {"type": "STRING", "nullable": True}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "STRING", "nullable": True}),
        ({"type": ["string", "integer"]}, {"anyOf": [STRING, {"type": "INTEGER"}]}),
        # enums
        ({"const": "a"}, {"type": "STRING", "enum": ["a"], "format": "enum"}),
        ({"enum": ["a", None]}, {"type": "STRING", "enum": ["a"], "format": "enum", "nullable": True}),
        ({"enum": [1, 2]}, {"type": "INTEGER"}),
        ({"enum": [1, 2], "type": "number"}, {"type": "NUMBER"}),
        ({"const": True}, {"type": "BOOLEAN"}),
        ({"const": 1.5}, {"type": "NUMBER"}),
        # choices
        (
            {"oneOf": [{"type": "string"}, {"type": "integer"}], "description": "d"},
            {"anyOf": [STRING, {"type": "INTEGER"}], "description": "d"},
        ),
        (
            {
                "allOf": [
                    {"properties": {"a": {"type": "string"}}, "required": ["a"]},
                    {"properties": {"b": {"type": "string"}}, "required": ["b"]},
                ]
            },
            {"type": "OBJECT", "properties": {"a": STRING, "b": STRING}, "required": ["a", "b"]},
        ),
        # lists
        (
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
            {"type": "ARRAY", "items": STRING, "minItems": 1},
        ),
        (
            {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]},
            {"type": "ARRAY", "items": {"anyOf": [STRING, {"type": "INTEGER"}]}},
        ),
        # formats of strings
        ({"type": "string", "format": "uri"}, STRING),
        ({"type": "string", "format": "date-time"}, {"type": "STRING", "format": "date-time"}),
        ({"type": "integer", "format": "int32"}, {"type": "INTEGER", "format": "int32"}),
        # references
        (
            {
                "$defs": {"A": {"type": "string", "description": "d"}, "B/C": {"type": "integer"}},
                "properties": {
                    "x": {"$ref": "#/$defs/A", "description": "own"},
                    "y": {"$ref": "#/$defs/B~1C"},
                },
            },
            {
                "type": "OBJECT",
                "properties": {"x": {"type": "STRING", "description": "own"}, "y": {"type": "INTEGER"}},
            },
        ),
    ],
)
def test_json_schema_for_older_models(schema: Any, expected: dict[str, Any]) -> None:
    assert cleaned(schema, "tools: f") == expected


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#"}, "contains itself"),
        (
            {"$defs": {"A": {"properties": {"a": {"$ref": "#/$defs/A"}}}}, "$ref": "#/$defs/A"},
            "tools: f: a schema that contains itself",
        ),
        ({"$ref": "#/$defs/Nowhere"}, "refers to #/\\$defs/Nowhere"),
        (
            {
                "$defs": {
                    f"d{place}": {"properties": {name: {"$ref": f"#/$defs/d{place + 1}"} for name in "ab"}}
                    for place in range(30)
                }
                | {"d30": {}},
                "$ref": "#/$defs/d0",
            },
            "too large",
        ),
    ],
)
def test_a_schema_without_end_is_refused(schema: Any, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        cleaned(schema, "tools: f")


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (None, None),
        ({"type": "STRING"}, {"type": "string"}),
        ({"type": "TYPE_UNSPECIFIED"}, {}),
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        (
            {"type": "STRING", "format": "enum", "enum": ["a"], "nullable": True},
            {"type": ["string", "null"], "enum": ["a", None]},
        ),
        (
            {"any_of": [{"type": "STRING"}], "nullable": True},
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
        ),
        (
            {
                "type": "OBJECT",
                "properties": {"max_items": {"type": "ARRAY", "max_items": "3", "items": {"type": "NUMBER"}}},
                "property_ordering": ["max_items"],
                "required": ["max_items"],
            },
            {
                "type": "object",
                "properties": {"max_items": {"type": "array", "maxItems": 3, "items": {"type": "number"}}},
                "required": ["max_items"],
            },
        ),
        (
            {"type": "STRING", "example": "x", "default": "y"},
            {"type": "string", "examples": ["x"], "default": "y"},
        ),
    ],
)
def test_a_schema_of_gemini_s_for_everybody_else(schema: Any, expected: Any) -> None:
    assert plain(schema) == expected


schemas = st.recursive(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["string", "integer", "number", "boolean"])},
        optional={"description": st.text(max_size=3), "title": st.text(max_size=3)},
    ),
    lambda inner: st.one_of(
        st.builds(lambda one: {"type": "array", "items": one}, inner),
        st.builds(lambda many: {"anyOf": many}, st.lists(inner, min_size=2, max_size=3)),
        st.builds(
            lambda found: {"type": "object", "properties": found, "required": sorted(found)},
            st.dictionaries(st.text("ab_", min_size=1, max_size=3), inner, max_size=3),
        ),
    ),
    max_leaves=8,
)


@given(schema=schemas)
def test_what_both_can_say_comes_back_the_same(schema: dict[str, Any]) -> None:
    assert plain(cleaned(schema, "x")) == schema


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "enum",
                    "const",
                    "properties",
                    "items",
                    "anyOf",
                    "allOf",
                    "oneOf",
                    "$ref",
                    "x",
                    "required",
                    "format",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=400)
@given(schema=json_values)
def test_any_json_is_cleaned_or_refused_and_never_an_exception(schema: Any) -> None:
    try:
        found = cleaned(schema, "x")
    except Refusal:
        return
    assert found.keys() <= KNOWN
    plain(schema)
