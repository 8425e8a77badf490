"""fault-injection, header-size-limiting and exit-transformer: answers that the gateway gives itself."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.gateway import Gateway
from tests.support.routes import routes
from tests.support.upstream import Upstream

WRAP = """return function(status, body, headers)
  headers["X-Was"] = tostring(status)
  if type(body) == "table" then body = {error = body.message, word = body.word} end
  return status == 503 and 420 or status, body, headers
end"""
END = "request-termination"
PLUGINS: dict[str, tuple[str, dict[str, Any]]] = {
    "abort": ("fault-injection", {"abort": {"status": 500, "message": "drill"}}),
    "never": (
        "fault-injection",
        {"abort": {"percentage": 0}, "delay": {"milliseconds": 60000, "percentage": 0}},
    ),
    "half": ("fault-injection", {"abort": {"percentage": 50}}),
    "delay": ("fault-injection", {"delay": {"milliseconds": 200}}),
    "both": ("fault-injection", {"delay": {"milliseconds": 1}, "abort": {}}),
    "only": ("fault-injection", {"abort": {}, "headers": {"X-Drill": "yes", "X-Who": "*"}, "tell": False}),
    "total": ("header-size-limiting", {"max_total_bytes": 500}),
    "single": ("header-size-limiting", {"max_header_bytes": 100, "status_code": 400, "message": "too long"}),
    "many": ("header-size-limiting", {"max_headers": 5}),
}
TRANSFORM = {"name": "exit-transformer", "config": {"functions": [WRAP], "handle_unknown": True}}


@pytest.fixture(scope="module")
async def node() -> AsyncIterator[Gateway]:
    upstream = await Upstream().start()
    gateway = await Gateway.start(routes(upstream.url, PLUGINS))
    yield gateway
    await gateway.stop()
    await upstream.stop()


async def test_requests_are_failed_on_purpose(node: Gateway) -> None:
    reply = await node.request("GET", "/abort")
    assert (reply.status, reply.headers["x-fault-injected"]) == (500, "abort")
    assert b"drill" in reply.body
    assert (await node.request("GET", "/never")).status == 200
    assert {(await node.request("GET", "/half")).status for _ in range(64)} == {200, 503}


async def test_requests_are_delayed_on_purpose(node: Gateway) -> None:
    before = time.monotonic()
    reply = await node.request("GET", "/delay")
    assert (reply.status, reply.headers["x-fault-injected"]) == (200, "delay")
    assert time.monotonic() - before >= 0.2
    assert (await node.request("GET", "/both")).status == 503


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"X-Drill": "yes"}, 200),
        ({"X-Drill": "no", "X-Who": "a"}, 200),
        ({"X-Drill": "yes", "X-Who": "a"}, 503),
    ],
)
async def test_faults_may_be_for_some_requests_only(
    node: Gateway, headers: dict[str, str], status: int
) -> None:
    reply = await node.request("GET", "/only", headers)
    assert reply.status == status
    assert "x-fault-injected" not in reply.headers


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/total", {}, 200),
        ("/total", {"X-A": "a" * 300, "X-B": "b" * 200}, 431),
        ("/single", {"X-A": "a" * 90}, 200),
        ("/single", {"X-A": "a" * 100}, 400),
        ("/many", {f"X-{number}": "a" for number in range(9)}, 431),
        ("/many", {}, 200),
    ],
)
async def test_headers_have_limits(node: Gateway, path: str, headers: dict[str, str], status: int) -> None:
    assert (await node.request("GET", path, headers)).status == status


async def test_answers_of_the_gateway_are_changed_by_lua() -> None:
    upstream = await Upstream().start()
    plugins: dict[str, tuple[str, dict[str, Any]]] = {
        "down": (END, {"status_code": 503, "message": "näh"}),
        "text": (END, {"status_code": 404, "body": "gone", "content_type": "text/plain"}),
        "fine": ("cors", {}),
    }
    node = await Gateway.start(routes(upstream.url, plugins, plugins=[TRANSFORM]))
    try:
        reply = await node.request("GET", "/down")
        assert (reply.status, reply.json(), reply.headers["x-was"]) == (420, {"error": "näh"}, "503")
        reply = await node.request("GET", "/text")
        assert (reply.status, reply.body, reply.headers["x-was"]) == (404, b"gone", "404")
        assert reply.headers["content-type"].startswith("text/plain")
        reply = await node.request("GET", "/nowhere")
        assert reply.json() == {"error": "no Route matched with those values"}
        assert "x-was" not in (await node.request("GET", "/fine")).headers, (
            "an upstream's answer is left alone"
        )
    finally:
        await node.stop()
        await upstream.stop()


async def test_lua_that_fails_leaves_the_answer() -> None:
    broken = {
        "name": "exit-transformer",
        "config": {"functions": ["return function() error('x') end"], "handle_unknown": True},
    }
    node = await Gateway.start(
        routes("http://127.0.0.1:1", {"down": (END, {"message": "m"})}, plugins=[broken])
    )
    try:
        reply = await node.request("GET", "/down")
        assert (reply.status, reply.json()) == (503, {"message": "m"})
    finally:
        await node.stop()
