"""request-validator: bodies and parameters that fit a schema, and those that do not."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

from tollhouse.plugins import Registry

JSON = "application/json"
KONG = [
    {"name": {"type": "string", "required": True, "len_min": 2}},
    {"age": {"type": "integer", "between": [0, 150]}},
    {"tags": {"type": "array", "elements": {"type": "string", "one_of": ["a", "b"]}}},
    {"place": {"type": "record", "fields": [{"city": {"type": "string", "required": True}}]}},
    {"marks": {"type": "map", "keys": {"type": "string"}, "values": {"type": "number"}}},
]
DRAFT = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer", "minimum": 1}}}


def parameter(
    place: str, name: str, schema: Any = None, *, required: bool = False, **more: Any
) -> dict[str, Any]:
    found = {"in": place, "name": name, "required": required, **more}
    return found | ({"schema": json.dumps(schema)} if schema else {})


CONFIGS: dict[str, dict[str, Any]] = {
    "kong": {"body_schema": json.dumps(KONG), "verbose_response": True},
    "draft": {"body_schema": json.dumps(DRAFT), "version": "draft202012", "verbose_response": True},
    "quiet": {"body_schema": json.dumps(DRAFT), "version": "draft4"},
    "types": {
        "body_schema": json.dumps(DRAFT),
        "version": "draft7",
        "allowed_content_types": ["text/*", "application/json; charset=utf-8"],
    },
    "loose": {
        "body_schema": json.dumps(DRAFT),
        "version": "draft6",
        "content_type_parameter_validation": False,
    },
    "list": {"body_schema": '{"type": "array"}', "version": "draft201909"},
    "strict": {"body_schema": '{"type": "array"}', "version": "draft201909", "array_length_compat": False},
    "query": {
        "parameter_schema": [
            parameter("query", "n", {"type": "integer", "maximum": 9}, required=True),
            parameter("query", "flag", {"type": "boolean"}),
            parameter("query", "ids", {"type": "array", "items": {"type": "integer"}}),
            parameter(
                "query", "pipes", {"type": "array", "maxItems": 2}, style="pipeDelimited", explode=False
            ),
            parameter(
                "query", "o", {"type": "object", "properties": {"a": {"type": "integer"}}}, style="deepObject"
            ),
        ]
    },
    "header": {"parameter_schema": [parameter("header", "X-List", {"type": "array", "minItems": 2})]},
    "path": {"parameter_schema": [parameter("path", "id", {"type": "integer"}, required=True)]},
}


@pytest.fixture(scope="module")
async def node() -> AsyncIterator[Gateway]:
    upstream = await Upstream().start()
    routes = [
        {
            "name": name,
            "paths": ["~/path/(?<id>[^/]+)"] if name == "path" else [f"/{name}"],
            "plugins": [{"name": "request-validator", "config": config}],
        }
        for name, config in CONFIGS.items()
    ]
    services = [{"name": "s", "url": upstream.url, "routes": routes}]
    gateway = await Gateway.start(yaml.safe_dump({"_format_version": "3.0", "services": services}))
    yield gateway
    await gateway.stop()
    await upstream.stop()


@pytest.mark.parametrize(
    ("path", "body", "kind", "status"),
    [
        (
            "kong",
            {"name": "ann", "age": 7, "tags": ["a"], "place": {"city": "x"}, "marks": {"m": 1.5}},
            JSON,
            200,
        ),
        ("kong", {}, JSON, 400),
        ("kong", {"name": "a"}, JSON, 400),
        ("kong", {"name": "ann", "age": 200}, JSON, 400),
        ("kong", {"name": "ann", "tags": ["c"]}, JSON, 400),
        ("kong", {"name": "ann", "place": {}}, JSON, 400),
        ("kong", {"name": "ann", "marks": {"m": "x"}}, JSON, 400),
        ("kong", {"name": "ann", "more": 1}, JSON, 400),
        ("kong", [], JSON, 400),
        ("draft", {"id": 1, "more": 2}, JSON, 200),
        ("draft", {"id": 0}, JSON, 400),
        ("draft", {}, JSON, 400),
        ("draft", {"id": 1}, "text/plain", 400),
        ("draft", {"id": 1}, f"{JSON}; charset=utf-8", 400),
        ("loose", {"id": 1}, f"{JSON}; charset=utf-8", 200),
        ("types", {"id": 1}, f"{JSON}; charset=utf-8", 200),
        ("types", {"id": 1}, JSON, 400),
        ("types", {"id": "whatever"}, "text/plain", 200),
        ("list", {}, JSON, 200),
        ("strict", {}, JSON, 400),
        ("strict", [], JSON, 200),
    ],
)
async def test_bodies(node: Gateway, path: str, body: Any, kind: str, status: int) -> None:
    reply = await node.request("POST", f"/{path}", {"Content-Type": kind}, json.dumps(body).encode())
    assert reply.status == status, reply.body


async def test_what_clients_are_told(node: Gateway) -> None:
    async def answer(path: str, body: bytes, kind: str = JSON) -> Any:
        return (await node.request("POST", path, {"Content-Type": kind}, body)).json()

    refused = "request body doesn't conform to schema"
    assert await answer("/quiet", b"{}") == {"message": refused}
    assert await answer("/quiet", b"{}", "text/xml") == {"message": "specified Content-Type is not allowed"}
    told = await answer("/draft", b'{"id": "x"}')
    assert told["message"] == refused
    assert told["data"][0]["path"] == "id"
    assert (await answer("/kong", b"{}"))["data"] == [{"name": "required field missing"}]
    assert (await answer("/draft", b"{broken"))["message"] == refused


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/query?n=9", {}, 200),
        ("/query?n=10", {}, 400),
        ("/query?n=x", {}, 400),
        ("/query", {}, 400),
        ("/query?n=1&flag=true", {}, 200),
        ("/query?n=1&flag=maybe", {}, 400),
        ("/query?n=1&ids=1&ids=2", {}, 200),
        ("/query?n=1&ids=1&ids=x", {}, 400),
        ("/query?n=1&pipes=a|b", {}, 200),
        ("/query?n=1&pipes=a|b|c", {}, 400),
        ("/query?n=1&o%5Ba%5D=1", {}, 200),
        ("/query?n=1&o%5Ba%5D=x", {}, 400),
        ("/header", {}, 200),
        ("/header", {"X-List": "a, b"}, 200),
        ("/header", {"X-List": "a"}, 400),
        ("/path/12", {}, 200),
        ("/path/x", {}, 400),
    ],
)
async def test_parameters(node: Gateway, target: str, headers: dict[str, str], status: int) -> None:
    reply = await node.request("GET", target, headers)
    assert reply.status == status, reply.body


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"body_schema": "{broken"},
        {"body_schema": "{}"},
        {"body_schema": '[{"x": {"type": "none"}}]'},
        {"body_schema": '{"type": "none"}', "version": "draft7"},
        {"body_schema": '{"$ref": "http://other.test/schema"}', "version": "draft7"},
        {"parameter_schema": [parameter("query", "x", {"type": "none"})]},
    ],
)
def test_schemas_that_are_none_are_refused(config: dict[str, Any]) -> None:
    schema = Registry().config("request-validator")
    assert schema is not None
    assert schema.check(config)[1]
