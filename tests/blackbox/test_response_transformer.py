"""response-transformer: every operation on headers and JSON bodies."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml
from tests.support.gateway import Gateway
from tests.support.upstream import Received, Upstream

CONFIGS: dict[str, Any] = {
    "headers": {
        "remove": {"headers": ["X-Gone", "X-Two:2"]},
        "rename": {"headers": ["X-Old:X-New"]},
        "replace": {"headers": ["X-There:new", "X-Missing:new"]},
        "add": {"headers": ["X-There:added", "X-Added:a:b"]},
        "append": {"headers": ["X-There:more"]},
    },
    "json": {
        "remove": {"json": ["gone"]},
        "rename": {"json": ["old:new"]},
        "replace": {
            "json": ["there:2", "missing:2", "flag:true", "off:1"],
            "json_types": ["number", "number", "boolean"],
        },
        "add": {
            "json": ["there:3", "added:1.5", 'text:"q"', "bad:x", "off:2"],
            "json_types": ["string", "number", "string", "number"],
        },
        "append": {"json": ["list:c", "numbers:7", "there:9"], "json_types": ["string", "number", "boolean"]},
    },
}


class Told(Upstream):
    """Answers with the body and headers that its query holds."""

    def __init__(self) -> None:
        super().__init__(self._answer)

    async def _answer(self, received: Received, writer: asyncio.StreamWriter) -> bool:
        told = parse_qs(received.target.partition("?")[2])
        body = told["body"][0].encode() if "body" in told else b"x" * int(told.get("length", ["0"])[0])
        kind = told.get("type", ["application/json"])[0]
        lines = "".join(f"{line}\r\n" for line in told.get("h", []))
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{lines}"
        if "chunked" in told:
            pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
            writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + pieces + b"0\r\n\r\n")
        else:
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return True


@pytest.fixture(scope="module")
async def node() -> AsyncIterator[Gateway]:
    upstream = Told()
    await upstream.start()
    routes = [
        {
            "name": name,
            "paths": [f"/{name}"],
            "plugins": [{"name": "response-transformer", "config": settings}],
        }
        for name, settings in CONFIGS.items()
    ]
    services = [{"name": "s", "url": upstream.url, "routes": routes}]
    gateway = await Gateway.start(yaml.safe_dump({"_format_version": "3.0", "services": services}))
    yield gateway
    await gateway.stop()
    await upstream.stop()


async def test_headers(node: Gateway) -> None:
    given = "&h=X-Gone:1&h=X-Old:o&h=X-Old:p&h=X-New:n&h=X-There:t&h=X-Two:1&h=X-Two:2"
    reply = await node.request("GET", "/headers?body=ok" + given)

    found = {
        name: [v for n, v in reply.fields if n == name] for name, _ in reply.fields if name.startswith("x-")
    }
    assert found["x-new"] == ["o", "p"]
    assert found["x-there"] == ["new", "more"]
    assert found["x-added"] == ["a:b"]
    assert found["x-two"] == ["1"]
    assert not {"x-gone", "x-old", "x-missing"} & set(found)
    assert reply.body == b"ok"


@pytest.mark.parametrize("how", ["", "&chunked=1"])
@pytest.mark.parametrize(
    "kind", ["application/json", "application/json;%20charset=utf-8", "application/vnd.api%2bjson"]
)
async def test_json(node: Gateway, kind: str, how: str) -> None:
    body = '{"gone":1,"old":{"k":1},"there":"1","flag":"x","list":"a","numbers":[1],"off":false}'
    reply = await node.request("GET", f"/json?type={kind}{how}&body={body}")

    assert reply.json() == {
        "new": {"k": 1},
        "there": [False],
        "flag": True,
        "added": 1.5,
        "text": '"q"',
        "list": ["a", "c"],
        "numbers": [1, 7],
        "off": "2",
    }


@pytest.mark.parametrize("body", ["[1]", "{broken", "12", '"text"'])
async def test_what_is_no_json_object_passes_unchanged(node: Gateway, body: str) -> None:
    reply = await node.request("GET", f"/json?body={body}")
    assert reply.body == body.encode()


async def test_other_types_pass_unchanged(node: Gateway) -> None:
    length = 1_000_000
    reply = await node.request("GET", f"/json?type=text/event-stream&length={length}")
    assert reply.body == b"x" * length
    assert reply.headers["content-length"] == str(length), "known although it is streamed"


async def test_answers_of_the_gateway_are_transformed_too(node: Gateway) -> None:
    reply = await node.request("GET", "/nowhere")
    assert reply.status == 404, "but only on routes that have the plugin"
    assert "x-added" not in reply.headers
