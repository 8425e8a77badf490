"""JSON Schemas as Claude can be held to them.
https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations"""

from collections.abc import Mapping
from typing import Any, Final

#: bounds that are refused; what they say is added to the description, for the model to read
_BOUNDS: Final = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
)
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_DEFINITIONS: Final = ("$defs", "definitions", "properties")
_ALTERNATIVES: Final = ("anyOf", "oneOf", "allOf")


def held_to(schema: Any) -> Any:
    """The schema without what is refused, and with what is asked for: objects must be closed."""
    if not isinstance(schema, Mapping):
        return schema
    kept = {name: value for name, value in schema.items() if not _is_refused(name, value)}
    kept.pop("$schema", None)
    for name in _DEFINITIONS:
        if isinstance(kept.get(name), Mapping):
            kept[name] = {key: held_to(inner) for key, inner in kept[name].items()}
    for name in _ALTERNATIVES:
        if isinstance(kept.get(name), list):
            kept[name] = [held_to(inner) for inner in kept[name]]
    if "oneOf" in kept:
        kept["anyOf"] = kept.pop("oneOf")
    if "items" in kept:
        kept["items"] = held_to(kept["items"])
    if kept.get("type") == "object":
        kept.setdefault("properties", {})
        kept["additionalProperties"] = False
    bounds = [f"{name}: {value}" for name, value in schema.items() if _is_refused(name, value)]
    if bounds:
        words = f"{{{', '.join(bounds)}}}"
        described = kept.get("description")
        kept["description"] = f"{described}\n\n{words}" if described else words
    return kept


def _is_refused(name: str, value: Any) -> bool:
    if name == "minItems":
        return value not in (0, 1)
    if name == "format":
        return value not in _FORMATS
    # A property may bear such a name, but then its value is a schema.
    return name in _BOUNDS and not isinstance(value, Mapping)


def of_arguments(schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """The schema of a tool's arguments, which must say that it is of an object."""
    given = dict(schema or {})
    if "type" not in given:
        given = {"type": "object", **given}
    if given["type"] == "object":
        given.setdefault("properties", {})
    return given
