"""Schemas: JSON Schema as the rest of the world speaks it, and Gemini's subset of OpenAPI's.

`responseJsonSchema` and `parametersJsonSchema` take the former; older models know only `responseSchema`
and `parameters`, which take the latter: https://ai.google.dev/api/caching#Schema.
"""

from collections.abc import Mapping
from typing import Any, Final

from tollhouse.llm.form import Refusal
from tollhouse.llm.formats.gemini.names import camel

#: what Gemini's schemas have and mean as JSON Schema does
_KEPT: Final = frozenset(
    {
        "title",
        "description",
        "format",
        "pattern",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "propertyOrdering",
        "required",
        "nullable",
    }
)
#: formats of strings that are understood; others are answered with an error
_FORMATS: Final = frozenset({"enum", "date-time"})
_NESTED_AT_MOST: Final = 64
#: schemas in a schema, with references followed: a small one can grow without end
_LARGEST: Final = 10_000
_NULL: Final = "null"


def cleaned(schema: Any, place: str) -> dict[str, Any]:
    """A JSON Schema as Gemini's. What it cannot say is left out where that only makes it less strict.
    Raises `Refusal` for one that contains itself."""
    root = schema if isinstance(schema, Mapping) else {}
    return _Cleaning(root, place).of(schema, 0)


class _Cleaning:
    def __init__(self, root: Mapping[str, Any], place: str) -> None:
        self._root = root
        self._place = place
        #: references that are being followed
        self._open: list[str] = []
        self._seen = 0

    def of(self, schema: Any, depth: int) -> dict[str, Any]:
        if not isinstance(schema, Mapping):
            return {}  # `true`: anything goes
        self._seen += 1
        if depth > _NESTED_AT_MOST or self._seen > _LARGEST:
            raise Refusal(f"{self._place}: the schema is too large")
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return self._followed(reference, schema, depth)
        clean = {name: schema[name] for name in _KEPT & schema.keys()}
        self._kind(schema, clean)
        properties = schema.get("properties")
        if isinstance(properties, Mapping):
            clean["properties"] = {name: self.of(inner, depth + 1) for name, inner in properties.items()}
        items = schema.get("items", schema.get("prefixItems"))
        if isinstance(items, list):
            items = {"anyOf": items} if len(items) > 1 else items[0] if items else None
        if items is not None and clean.get("type", "ARRAY") == "ARRAY":
            clean["items"] = self.of(items, depth + 1)
        self._choices(schema, clean, depth)
        if clean.get("type") == "STRING" and str(clean.get("format", "enum")) not in _FORMATS:
            del clean["format"]
        return clean

    def _followed(self, reference: str, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        if reference in self._open:
            raise Refusal(f"{self._place}: a schema that contains itself is not supported by this model")
        found: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        if found is None:
            raise Refusal(f"{self._place}: the schema refers to {reference}, which is not there")
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        self._open.append(reference)
        clean = self.of({**found, **beside} if isinstance(found, Mapping) else found, depth + 1)
        self._open.pop()
        return clean

    def _kind(self, schema: Mapping[str, Any], clean: dict[str, Any]) -> None:
        kinds = schema.get("type")
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(kinds, list):
            if _NULL in kinds:
                clean["nullable"] = True
            others = [kind for kind in kinds if kind != _NULL]
            if len(others) > 1:
                clean["anyOf"] = [{"type": str(kind).upper()} for kind in others]
                return
            kinds = others[0] if others else None
        if isinstance(values, list):
            if None in values:
                clean["nullable"] = True
            texts = [value for value in values if isinstance(value, str)]
            if len(texts) == len([value for value in values if value is not None]) and texts:
                clean |= {"type": "STRING", "enum": texts, "format": "enum"}
                return
            # Only strings can be listed: numbers stay numbers, of any value.
            kinds = kinds or _kind_of(next((value for value in values if value is not None), None))
        if isinstance(kinds, str):
            clean["type"] = kinds.upper()
        elif "properties" in schema:
            clean["type"] = "OBJECT"

    def _choices(self, schema: Mapping[str, Any], clean: dict[str, Any], depth: int) -> None:
        choices = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(choices, list):
            others = [choice for choice in choices if choice != {"type": _NULL}]
            if len(others) < len(choices):
                clean["nullable"] = True
            found = [self.of(choice, depth + 1) for choice in others]
            if len(found) == 1:
                clean |= {name: value for name, value in found[0].items() if name not in clean}
            elif found:
                clean["anyOf"] = found
        for inner in _list(schema.get("allOf")):
            for name, value in self.of(inner, depth + 1).items():
                if name == "required":
                    clean[name] = [*_list(clean.get(name)), *_list(value)]
                elif name == "properties":
                    clean[name] = {**clean.get(name, {}), **value}
                else:
                    clean.setdefault(name, value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _kind_of(value: Any) -> str | None:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case _:
            return None


def plain(schema: Any) -> Any:
    """A schema of Gemini's as JSON Schema, which other providers understand."""
    if not isinstance(schema, Mapping):
        return schema
    given = camel(schema)
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name == "properties" and isinstance(value, Mapping):
            found[name] = {inner: plain(one) for inner, one in value.items()}
        elif name in ("items", "additionalProperties"):
            found[name] = plain(value)
        elif name == "anyOf" and isinstance(value, list):
            found[name] = [plain(one) for one in value]
        elif name == "type" and isinstance(value, str):
            if value != "TYPE_UNSPECIFIED":
                found[name] = value.lower()
        elif name == "example":
            found["examples"] = [value]
        elif not (name in ("propertyOrdering", "nullable") or (name, value) == ("format", "enum")):
            found[name] = _number(value) if name in _COUNTS else value
    if given.get("nullable"):
        _nullable(found)
    return found


#: 64-bit numbers, which Google writes as strings
_COUNTS: Final = frozenset(
    {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}
)


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _nullable(found: dict[str, Any]) -> None:
    if isinstance(found.get("type"), str):
        found["type"] = [found["type"], _NULL]
        if "enum" in found:
            found["enum"] = [*found["enum"], None]
    elif "anyOf" in found:
        found["anyOf"] = [*found["anyOf"], {"type": _NULL}]
