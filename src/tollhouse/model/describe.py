"""Schemas as Kong's Admin API publishes them under `/schemas`."""

from collections.abc import Collection, Mapping
from typing import Any

from tollhouse.model.constraints import Constraints, published
from tollhouse.model.fields import Field, Missing, inner_field
from tollhouse.model.schema import Record
from tollhouse.model.shorthands import Renamed


def describe(record: Record, only: Collection[str] | None = None) -> dict[str, Any]:
    """The schema in JSON's shape: fields in order, each under its name, and the checks across them."""
    described: dict[str, Any] = {
        "fields": [
            {name: describe_field(field)}
            for name, field in record.fields.items()
            if not (field.rules.get("hidden") or field.rules.get("extra")) and (only is None or name in only)
        ],
        "entity_checks": [check.describe() for check in (*record.checks, *record.outer_checks)],
    }
    if record.shorthands:
        described["shorthand_fields"] = [_shorthand(record, shorthand) for shorthand in record.shorthands]
    return described


def _shorthand(record: Record, shorthand: Any) -> dict[str, Any]:
    if isinstance(shorthand, Renamed):
        field = record.field(shorthand.to)
        place = {"replaced_with": [{"path": shorthand.to.split(".")}]}
        return {shorthand.name: {"type": field.kind if field else "string", "deprecation": place}}
    return {shorthand.name: {"type": shorthand.kind}}


def describe_field(field: Field) -> dict[str, Any]:
    """One field as Kong publishes it; validator functions have no published form."""
    described: dict[str, Any] = {"type": field.kind}
    if field.doc:
        described["description"] = field.doc
    if field.required:
        described["required"] = True
    if not isinstance(field.default, Missing) and field.default is not None and not field.rules.get("auto"):
        described["default"] = _without_nulls(field.default)
    if field.shape.choices:
        described["one_of"] = list(field.shape.choices)
    return described | published(field.rules) | _inside(field)


def _without_nulls(default: Any) -> Any:
    if isinstance(default, Mapping):
        return {name: _without_nulls(value) for name, value in default.items() if value is not None}
    if isinstance(default, list | tuple):
        return [_without_nulls(value) for value in default]
    return default


def _inside(field: Field) -> dict[str, Any]:
    shape, rules = field.shape, field.rules
    if shape.record:
        inner = describe(shape.record)
        return inner if inner["entity_checks"] else {k: v for k, v in inner.items() if k != "entity_checks"}
    if shape.key:
        return {"keys": _inner(shape.key, rules, "keys"), "values": _inner(shape.element, rules, "values")}
    return {"elements": _inner(shape.element, rules, "items")} if shape.element else {}


def _inner(shape: Any, rules: Constraints, which: str) -> dict[str, Any]:
    inner: Any = rules.get(which, {})
    return describe_field(inner_field(shape, inner))
