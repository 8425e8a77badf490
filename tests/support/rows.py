"""Rows of every kind of entity, as hypothesis makes them up: any values that fit the fields' shapes."""

import uuid
from typing import Any, Final

from hypothesis import strategies as st

from tollhouse.model.entities import ENTITIES, Kind
from tollhouse.model.fields import Field, Shape
from tollhouse.stores.store import Row

#: ids that tests use
IDS: Final = [str(uuid.UUID(int=number)) for number in range(200)]

_TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    _TEXT,
)
_ANYTHING = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_OF_KIND: Final[dict[str, st.SearchStrategy[Any]]] = {
    "string": _TEXT,
    "integer": st.integers(-(2**53), 2**53),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "any": _ANYTHING,
}


def row_id(kind: Kind) -> str:
    """The id of the one row of that kind."""
    return IDS[list(ENTITIES).index(kind.name) + 1]


def rows(kind: Kind) -> st.SearchStrategy[Row]:
    """Rows that point to the one row of each kind that they refer to, or to nothing."""
    fields = {name: _value(kind, field) for name, field in kind.schema.fields.items()}
    return st.fixed_dictionaries({**fields, "id": st.just(row_id(kind))})


def _value(kind: Kind, field: Field) -> st.SearchStrategy[Any]:
    if field.name in kind.references:
        there = st.just({"id": row_id(ENTITIES[kind.references[field.name]])})
        return there if field.required else st.none() | there
    if field.name == "tags":
        return st.none() | st.lists(st.text(st.characters(min_codepoint=33, codec="utf-8")), max_size=3)
    return _shaped(field.shape)


def _shaped(shape: Shape) -> st.SearchStrategy[Any]:
    value = _given(shape)
    return st.none() | value if shape.nullable else value


def _given(shape: Shape) -> st.SearchStrategy[Any]:
    if shape.choices:
        return st.sampled_from(shape.choices)
    if shape.record is not None:
        return st.fixed_dictionaries(
            {name: _shaped(each.shape) for name, each in shape.record.fields.items()}
        )
    if shape.element is not None:
        element = _shaped(shape.element)
        return st.dictionaries(_TEXT, element, max_size=3) if shape.key else st.lists(element, max_size=3)
    return _OF_KIND[shape.kind]
