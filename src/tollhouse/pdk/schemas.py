"""Schemas that configurations hold as text: JSON Schema of several drafts, and Kong's own kind."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, cast

import msgspec

from tollhouse.model.constraints import Constraints
from tollhouse.model.fields import MISSING, Field, Shape
from tollhouse.model.schema import Record

#: what is wrong with a value, nothing if it fits
Judge = Callable[[Any], list[Any]]
_DRAFTS: Final = {
    "draft4": "Draft4Validator",
    "draft6": "Draft6Validator",
    "draft7": "Draft7Validator",
    "draft201909": "Draft201909Validator",
    "draft202012": "Draft202012Validator",
}
_RULES: Final = frozenset(
    {
        "required", "eq", "ne", "one_of", "not_one_of", "gt", "between", "len_eq", "len_min", "len_max",
        "match", "not_match", "starts_with", "uuid", "is_regex", "timestamp", "contains",
    }
)  # fmt: skip
_KINDS: Final = frozenset({"string", "integer", "number", "boolean", "array", "set", "map", "record", "any"})


class SchemaRefused(Exception):
    """A text that is no schema, or none that can be used here."""


def compiled(text: str, version: str) -> Judge:
    """The schema as a function. Raises `SchemaRefused`."""
    try:
        schema = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise SchemaRefused(f"failed decoding schema: {error}") from None
    return _kong(schema) if version == "kong" else _json_schema(schema, version)


def _json_schema(schema: Any, version: str) -> Judge:
    try:
        library = import_module("jsonschema_rs")
    except ImportError:
        raise SchemaRefused("JSON Schema needs a library: install tollhouse[validation]") from None
    try:
        # Nothing is fetched: a reference may only lead into the schema itself.
        validator = getattr(library, _DRAFTS[version])(schema, retriever=_refuse_to_fetch)
    except (ValueError, LookupError, TypeError) as error:
        raise SchemaRefused(f"not a valid JSON Schema: {error}") from None

    def judge(value: Any) -> list[Any]:
        return [
            {"path": "/".join(map(str, error.instance_path)), "message": error.message}
            for error in validator.iter_errors(value)
        ]

    return judge


def _refuse_to_fetch(uri: str) -> Any:
    raise LookupError(f"the reference {uri} leads out of the schema")


def _kong(schema: Any) -> Judge:
    record = _record(schema)

    def judge(value: Any) -> list[Any]:
        if not isinstance(value, dict):
            return ["expected a record"]
        _, errors = record.check(value)
        return [errors] if errors else []

    return judge


def _record(declared: Any) -> Record:
    if not isinstance(declared, list):
        raise SchemaRefused("a schema of Kong's kind is a list of fields")
    fields = {}
    for entry in declared:
        if not isinstance(entry, dict) or len(entry) != 1:
            raise SchemaRefused("each field is an object with its name as the only key")
        ((name, definition),) = entry.items()
        fields[name] = _field(name, definition)
    return Record(fields)


def _field(name: str, definition: Any) -> Field:
    shape = _shape(definition)
    rules = {key: value for key, value in definition.items() if key in _RULES}
    inner = {"elements": "items", "keys": "keys", "values": "values"}
    for key, rule in inner.items():
        if key in definition:
            rules[rule] = {k: v for k, v in definition[key].items() if k in _RULES}
    if definition["type"] == "set":
        rules["as_set"] = True
    return Field(name, shape, cast(Constraints, rules), default=definition.get("default", MISSING))


def _shape(definition: Any) -> Shape:
    if not isinstance(definition, Mapping) or definition.get("type") not in _KINDS:
        raise SchemaRefused(f"a field needs a type, one of: {', '.join(sorted(_KINDS))}")
    kind = definition["type"]
    nullable = not definition.get("required", False)
    if kind == "record":
        return Shape("record", nullable, record=_record(definition.get("fields")))
    if kind in ("array", "set"):
        return Shape("array", nullable, element=_shape(definition.get("elements", {"type": "any"})))
    if kind == "map":
        keys, values = (definition.get(part, {"type": "any"}) for part in ("keys", "values"))
        return Shape("map", nullable, element=_shape(values), key=_shape(keys))
    return Shape(kind, nullable)
