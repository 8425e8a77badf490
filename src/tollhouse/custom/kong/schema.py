"""Kong's schema of a plugin's settings, as tables of fields, read into ours."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from tollhouse.model.constraints import Constraints
from tollhouse.model.fields import MISSING, Field, Shape
from tollhouse.model.schema import Record

_SCALARS: Final = frozenset({"string", "integer", "number", "boolean", "any"})
_PLAIN_RULES: Final = frozenset(
    {
        "required", "eq", "ne", "one_of", "not_one_of", "gt", "timestamp", "uuid", "is_regex", "between",
        "len_eq", "len_min", "len_max", "starts_with", "not_match", "match", "contains",
        "mutually_exclusive_subsets", "err", "referenceable", "encrypted", "unique", "auto",
    }
)  # fmt: skip
_STRUCTURE: Final = frozenset(
    {"type", "default", "description", "elements", "keys", "values", "fields", "match_none", "match_all",
     "match_any"}
)  # fmt: skip


class SchemaFlaw(Exception):
    """What is wrong with a `Schema`, with the path of the field."""


def read_schema(schema: Any, path: str = "Schema") -> Record:
    """The record of a `Schema`: a sequence of tables with one field each. Raises `SchemaFlaw`."""
    if not isinstance(schema, Sequence) or isinstance(schema, str):
        raise SchemaFlaw(f"{path}: expected a list of fields, each {{name: {{type: ...}}}}")
    fields: dict[str, Field] = {}
    for entry in schema:
        if not isinstance(entry, Mapping) or len(entry) != 1:
            raise SchemaFlaw(f"{path}: a field is a table with one name, not {entry!r}")
        ((name, rules),) = entry.items()
        if not isinstance(rules, Mapping):
            raise SchemaFlaw(f"{path}.{name}: expected a table with a type")
        fields[name] = _field(str(name), rules, f"{path}.{name}")
    return Record(fields)


def _field(name: str, rules: Mapping[str, Any], path: str) -> Field:
    shape, constraints = _shape(rules, path)
    default = rules.get("default", MISSING)
    if isinstance(default, tuple):
        default = list(default)
    return Field(name, shape, constraints, default=default, doc=str(rules.get("description", "")))


def _shape(rules: Mapping[str, Any], path: str) -> tuple[Shape, Constraints]:
    kind = rules.get("type")
    for rule in rules:
        if rule not in _PLAIN_RULES and rule not in _STRUCTURE:
            raise SchemaFlaw(f"{path}: rule '{rule}' is not supported here")
    constraints: dict[str, Any] = {rule: value for rule, value in rules.items() if rule in _PLAIN_RULES}
    _read_patterns(rules, constraints)
    nullable = not rules.get("required", False)
    if kind in _SCALARS:
        return Shape(kind, nullable), cast(Constraints, constraints)
    if kind in ("array", "set"):
        element, inner = _inner(rules, "elements", path)
        constraints |= {"items": inner, **({"as_set": True} if kind == "set" else {})}
        return Shape("array", nullable, element=element), cast(Constraints, constraints)
    if kind == "map":
        key, of_keys = _inner(rules, "keys", path)
        value, of_values = _inner(rules, "values", path)
        constraints |= {"keys": of_keys, "values": of_values}
        return Shape("map", nullable, element=value, key=key), cast(Constraints, constraints)
    if kind == "record":
        record = read_schema(rules.get("fields", ()), path)
        return Shape("record", nullable, record=record), cast(Constraints, constraints)
    raise SchemaFlaw(f"{path}: type {kind!r} is not supported here")


def _inner(rules: Mapping[str, Any], name: str, path: str) -> tuple[Shape, Constraints]:
    inner = rules.get(name)
    if inner is None and name != "elements":
        return Shape("string"), {}
    if not isinstance(inner, Mapping):
        raise SchemaFlaw(f"{path}.{name}: expected a table with a type")
    return _shape({"required": True, **inner}, f"{path}.{name}")


def _read_patterns(rules: Mapping[str, Any], constraints: dict[str, Any]) -> None:
    for name in ("match_none", "match_all"):
        if name in rules:
            constraints[name] = [(one["pattern"], one.get("err", "invalid value")) for one in rules[name]]
    if "match_any" in rules:
        found = rules["match_any"]
        constraints["match_any"] = (found["patterns"], found.get("err", "invalid value"))
