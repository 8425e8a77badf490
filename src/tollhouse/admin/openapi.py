"""The Admin API as an OpenAPI 3.1 document, made from the endpoints and schemas that serve it.

https://spec.openapis.org/oas/v3.1.0
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tollhouse import __version__
from tollhouse.admin.collections import Place, entity_path, places
from tollhouse.admin.http import Answer, Call, Endpoint, Endpoints
from tollhouse.admin.schemas import entity_schema
from tollhouse.model.constraints import Constraints
from tollhouse.model.entities import ENTITIES, Kind
from tollhouse.model.fields import Field, Shape, inner_field
from tollhouse.model.schema import Record

#: JSON's words for Kong's kinds of scalars; `any` has none
_TYPES: Final = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean"}
_JSON: Final = "application/json"
_FAILURE: Final = {"$ref": "#/components/schemas/failure"}
_WITH_BODY: Final = ("POST", "PUT", "PATCH")
_PAGING: Final = (
    ("size", {"type": "integer", "minimum": 1, "maximum": 1000}, "How many entities a page has."),
    ("offset", {"type": "string"}, "Where the page begins, as the page before said."),
    ("tags", {"type": "string"}, "Tags that entities must have: all with `,`, any with `/`."),
)
_SUCCESS: Final = {"POST": "201", "DELETE": "204"}


def openapi_endpoint(endpoints: Endpoints, flavor: str) -> Endpoint:
    """Answers with the document of these endpoints."""
    made = document(endpoints, flavor)

    async def openapi(call: Call) -> Answer:
        return Answer(body=made)

    return openapi


def document(endpoints: Endpoints, flavor: str) -> dict[str, Any]:
    """The document of these endpoints."""
    known = dict(_places())
    schemas = {kind.name: _record(entity_schema(kind, flavor)) for kind in ENTITIES.values()}
    schemas["failure"] = {
        "type": "object",
        "required": ["message"],
        "properties": {
            "message": {"type": "string"},
            "code": {"type": "integer"},
            "name": {"type": "string"},
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tollhouse Admin API", "version": __version__},
        "paths": {path: _path(path, methods, known.get(path)) for path, methods in sorted(endpoints.items())},
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "Kong-Admin-Token"}},
        },
        "security": [{}, {"token": []}],
    }


def _places() -> Iterable[tuple[str, tuple[Kind, bool]]]:
    """Paths at which entities of a kind are, and whether it is a collection of them."""
    for place in places():
        yield place.path, (place.kind, True)
        yield f"{place.path}/{{{place.kind.name}}}", (place.kind, False)
        if place.above is None:
            yield from _parents(place)


def _parents(place: Place) -> Iterable[tuple[str, tuple[Kind, bool]]]:
    for field, reference in place.kind.references.items():
        yield f"{entity_path(place.kind)}/{field}", (ENTITIES[reference], False)


def _path(path: str, methods: Mapping[str, Endpoint], found: tuple[Kind, bool] | None) -> dict[str, Any]:
    described: dict[str, Any] = {
        method.lower(): _operation(path, method, found) for method in sorted(methods)
    }
    names = re.findall(r"\{(\w+)\}", path)
    if names:
        described["parameters"] = [
            _parameter(name, "path", {"type": "string", "minLength": 1}) for name in names
        ]
    return described


def _operation(path: str, method: str, found: tuple[Kind, bool] | None) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{method.lower()}{re.sub('[^0-9A-Za-z]+', '_', path).rstrip('_')}",
        "responses": {"default": {"description": "Refused.", "content": {_JSON: {"schema": _FAILURE}}}},
    }
    if found is None:
        operation["responses"] |= {"2XX": {"description": "Done."}}
        return operation
    kind, is_collection = found
    shown: dict[str, Any] = {"$ref": f"#/components/schemas/{kind.name}"}
    if method in _WITH_BODY:
        operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": shown}}}
    if method == "GET" and is_collection:
        shown = _page_of(shown)
        operation["parameters"] = [_parameter(name, "query", schema, doc) for name, schema, doc in _PAGING]
    done: dict[str, Any] = {"description": "Done."}
    if method != "DELETE":
        done["content"] = {_JSON: {"schema": shown}}
    operation["responses"][_SUCCESS.get(method, "200")] = done
    return operation


def _page_of(entity: Mapping[str, Any]) -> dict[str, Any]:
    properties = {
        "data": {"type": "array", "items": entity},
        "next": {"type": ["string", "null"]},
        "offset": {"type": "string"},
    }
    return {"type": "object", "required": ["data", "next"], "properties": properties}


def _parameter(name: str, where: str, schema: Mapping[str, Any], doc: str | None = None) -> dict[str, Any]:
    described = {"name": name, "in": where, "required": where == "path", "schema": schema}
    return described | {"description": doc} if doc else described


def _record(record: Record) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: _described(field) for name, field in record.fields.items()},
    }


def _described(field: Field) -> dict[str, Any]:
    schema = _schema(field)
    if field.shape.nullable or field.rules.get("auto"):
        schema = _or_null(schema)
    return schema | {"description": field.doc} if field.doc else schema


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    if "enum" in schema:
        schema = {**schema, "enum": [*schema["enum"], None]}
    return {**schema, "type": [schema["type"], "null"]} if "type" in schema else schema


def _schema(field: Field) -> dict[str, Any]:
    shape, rules = field.shape, field.rules
    if shape.record is not None:
        return _record(shape.record)
    if field.kind == "foreign":
        reference = {"type": "string", "format": "uuid"}
        return {"type": "object", "required": ["id"], "properties": {"id": reference}}
    if shape.key is not None:
        return {"type": "object", "additionalProperties": _inner(shape.element, rules.get("values", {}))}
    if shape.element is not None:
        unique = {"uniqueItems": True} if field.kind == "set" else {}
        return {"type": "array", "items": _inner(shape.element, rules.get("items", {}))} | unique
    schema: dict[str, Any] = {"type": _TYPES[field.kind]} if field.kind in _TYPES else {}
    return schema | _limits(shape, rules)


def _inner(shape: Shape | None, rules: Constraints) -> dict[str, Any]:
    return _schema(inner_field(shape, rules))


def _limits(shape: Shape, rules: Constraints) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    allowed = rules.get("one_of") or shape.choices
    if allowed:
        limits["enum"] = list(allowed)
    if "between" in rules:
        limits["minimum"], limits["maximum"] = rules["between"]
    if rules.get("uuid"):
        limits["format"] = "uuid"
    elif shape.kind == "string":
        limits["minLength"] = rules.get("len_min", 1)
    return limits
