"""proxy-cache: what is kept and given again, what clients are told, and how operators purge it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml
from tests.support.gateway import Gateway, Reply
from tests.support.upstream import Received, Upstream

CONFIGS: dict[str, Any] = {
    "plain": {},
    "codes": {"response_code": [201]},
    "post": {"request_method": ["POST"]},
    "types": {"content_type": ["text/*", "application/xml;"]},
    "control": {"cache_control": True, "storage_ttl": 3600},
    "case": {"ignore_uri_case": True},
    "params": {"vary_query_params": ["a"]},
    "headers": {"vary_headers": ["X-Lang"]},
    "silent": {"response_headers": {"age": False, "X-Cache-Status": False, "X-Cache-Key": False}},
    "purged": {},
}

ENVIRONMENT = {
    "KONG_MEM_CACHE_SIZE": "4m",
    "KONG_HEADERS": "server_tokens, latency_tokens, x-kong-request-id, x-kong-upstream-status",
}


class Counting(Upstream):
    """Counts its answers; type, status and headers as the query tells."""

    def __init__(self) -> None:
        super().__init__(self._answer)

    async def _answer(self, received: Received, writer: asyncio.StreamWriter) -> bool:
        told = parse_qs(received.target.partition("?")[2])
        kind = told.get("type", ["application/json"])[0]
        status = told.get("status", ["200"])[0]
        body = (
            b""
            if received.method == "HEAD"
            else b"%d" % len(self.received) + b"." * int(told.get("pad", ["0"])[0])
        )
        lines = "".join(f"{line}\r\n" for line in told.get("h", []))
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: {kind}\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        return True


@pytest.fixture(scope="module")
async def upstream() -> AsyncIterator[Counting]:
    server = Counting()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def node(upstream: Counting) -> AsyncIterator[Gateway]:
    routes = [
        {"name": name, "paths": [f"/{name}"], "plugins": [{"name": "proxy-cache", "config": config}]}
        for name, config in CONFIGS.items()
    ]
    services = [{"name": "s", "url": upstream.url, "routes": routes}]
    text = yaml.safe_dump({"_format_version": "3.0", "services": services})
    gateway = await Gateway.start(text, workers=2, environment=ENVIRONMENT)
    yield gateway
    await gateway.stop()


async def statuses(node: Gateway, path: str, *calls: dict[str, str], method: str = "GET") -> list[str]:
    return [
        (await node.request(method, path, headers)).headers.get("x-cache-status", "none") for headers in calls
    ]


async def test_an_answer_is_given_again_by_every_worker(node: Gateway) -> None:
    first = await node.request(
        "GET", "/plain?h=X-A:1&h=Set-Cookie:a&h=Set-Cookie:b&h=Connection:X-Hop&h=X-Hop:1"
    )
    assert first.headers["x-cache-status"] == "Miss"
    assert "age" not in first.headers
    assert first.headers["content-length"] == str(len(first.body)), "a body that passes keeps its length"
    for _ in range(6):  # new connections, taken by either worker
        again = await node.request(
            "GET", "/plain?h=X-A:1&h=Set-Cookie:a&h=Set-Cookie:b&h=Connection:X-Hop&h=X-Hop:1"
        )
        assert again.headers["x-cache-status"] == "Hit"
        assert again.body == first.body
        assert int(again.headers["age"]) >= 0
        assert again.headers["x-cache-key"] == first.headers["x-cache-key"]
        assert [value for name, value in again.fields if name == "set-cookie"] == ["a", "b"]
        assert "x-hop" not in again.headers
        assert again.headers["x-kong-upstream-latency"] == "0"
        assert again.headers["x-kong-upstream-status"] == "200"
        assert again.headers["via"] == first.headers["via"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/plain?status=404", ["Miss", "Hit"]),
        ("/plain?status=500", ["Bypass", "Bypass"]),
        ("/plain?type=text/html", ["Bypass", "Bypass"]),
        ("/plain?type=application/json;%20charset=utf-8", ["Bypass", "Bypass"]),
        ("/codes?status=200", ["Bypass", "Bypass"]),
        ("/codes?status=201", ["Miss", "Hit"]),
        ("/types?type=text/css", ["Miss", "Hit"]),
        ("/types?type=text/css;%20charset=utf-8", ["Bypass", "Bypass"]),
        ("/types?type=application/xml", ["Bypass", "Bypass"]),  # what is configured is no media type
        ("/types?type=application/xml;", ["Bypass", "Bypass"]),
        ("/types", ["Bypass", "Bypass"]),
        ("/plain?pad=3000000", ["Miss", "Miss"]),  # too long for a store of four megabytes
        ("/control?h=Cache-Control:max-age%3D60", ["Miss", "Hit"]),
        ("/control", ["Bypass", "Bypass"]),
        ("/control?h=Cache-Control:private,max-age%3D60", ["Bypass", "Bypass"]),
        ("/control?h=Cache-Control:max-age%3D0,s-maxage%3D60", ["Miss", "Hit"]),
        ("/control?h=Expires:Thu,%2001%20Jan%202099%2000:00:00%20GMT", ["Miss", "Hit"]),
        ("/control?h=Expires:soon", ["Bypass", "Bypass"]),
    ],
)
async def test_what_is_kept(node: Gateway, path: str, expected: list[str]) -> None:
    assert await statuses(node, path, {}, {}) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("no-cache", "Bypass"),
        ("no-store", "Bypass"),
        ("max-age=1000", "Hit"),
        ("max-age=0", "Refresh"),
        ("min-fresh=1000", "Refresh"),
        ("min-fresh=1", "Hit"),
        ("max-stale", "Hit"),
        ("only-if-cached", "Hit"),
    ],
)
async def test_what_a_client_may_ask(node: Gateway, asked: str, expected: str) -> None:
    path = f"/control?h=Cache-Control:max-age%3D60&{asked}"
    await node.request("GET", path)
    # An age of 0 is allowed by max-age=0 too, so wait for what the clock says to be more.
    while asked == "max-age=0":
        reply = await node.request("GET", path, {"Cache-Control": asked})
        if reply.headers["x-cache-status"] == expected:
            return
    assert await statuses(node, path, {"Cache-Control": asked}) == [expected]


async def test_only_if_cached_never_asks_the_upstream(node: Gateway, upstream: Counting) -> None:
    before = len(upstream.received)
    reply = await node.request("GET", "/control?fresh", {"Cache-Control": "only-if-cached"})
    assert reply.status == 504
    assert len(upstream.received) == before


async def test_stale_answers_are_for_those_who_take_them(node: Gateway) -> None:
    path = "/control?h=Cache-Control:max-age%3D1&stale"
    first = await node.request("GET", path)
    while (reply := await node.request("GET", path)).headers["x-cache-status"] == "Hit":
        assert reply.body == first.body
    assert reply.headers["x-cache-status"] == "Refresh"


async def test_what_makes_a_difference(node: Gateway) -> None:
    assert await statuses(node, "/case/Path", {}) == ["Miss"]
    assert await statuses(node, "/case/pATH", {}) == ["Hit"]
    assert await statuses(node, "/plain/Path", {}) == ["Miss"]
    assert await statuses(node, "/plain/pATH", {}) == ["Miss"]
    assert await statuses(node, "/plain?b=1&a=2", {}) == ["Miss"]
    assert await statuses(node, "/plain?a=2&b=1", {}) == ["Hit"]
    assert await statuses(node, "/params?a=1&b=1", {}) == ["Miss"]
    assert await statuses(node, "/params?a=1&b=2", {}) == ["Hit"]
    assert await statuses(node, "/params?a=2&b=1", {}) == ["Miss"]
    languages = [{"X-Lang": "a"}, {"X-Lang": "b"}, {"x-lang": "a"}, {}]
    assert await statuses(node, "/headers", *languages) == ["Miss", "Miss", "Hit", "Miss"]
    assert await statuses(node, "/plain/h", {"X-Lang": "a"}, {"X-Lang": "b"}) == ["Miss", "Hit"]


async def test_the_body_of_a_post_makes_a_difference(node: Gateway) -> None:
    async def post(body: bytes) -> Reply:
        return await node.request("POST", "/post", {}, body)

    first = await post(b"a")
    assert (await post(b"b")).headers["x-cache-status"] == "Miss"
    again = await post(b"a")
    assert (again.headers["x-cache-status"], again.body) == ("Hit", first.body)
    assert await statuses(node, "/post", {}, {}) == ["Bypass", "Bypass"]
    large = b"x" * 9_000_000
    assert [(await post(large)).headers["x-cache-status"] for _ in range(2)] == ["Bypass", "Bypass"]


async def test_answers_to_head_are_not_kept(node: Gateway) -> None:
    assert await statuses(node, "/plain/head", {}, {}, method="HEAD") == ["Miss", "Miss"]


async def test_clients_need_not_be_told(node: Gateway) -> None:
    first, again = [await node.request("GET", "/silent") for _ in range(2)]
    assert first.body == again.body
    assert not {"age", "x-cache-status", "x-cache-key"} & set(again.headers)
    shown = await node.request("GET", "/silent", {"Kong-Debug": "1"})
    assert shown.headers["x-cache-status"] == "Hit"
    assert {"age", "x-cache-key"} <= set(shown.headers)


async def test_operators_look_at_kept_answers_and_purge_them(node: Gateway) -> None:
    first = await node.request("GET", "/purged?h=X-A:1")
    key = first.headers["x-cache-key"]
    plugins = (await node.admin_request("GET", "/plugins")).json()
    assert isinstance(plugins, dict)
    plugin = plugins["data"][0]["id"]

    shown = (await node.admin_request("GET", f"/proxy-cache/{key}")).json()
    assert isinstance(shown, dict)
    assert (shown["status"], shown["body"], shown["headers"]["X-A"]) == (200, first.body.decode(), "1")
    assert shown["headers"]["X-Cache-Key"] == key
    assert (await node.admin_request("GET", f"/proxy-cache/{plugin}/caches/{key}")).json() == shown
    assert (await node.admin_request("GET", f"/proxy-cache/{key}x")).status == 404
    assert (await node.admin_request("GET", f"/proxy-cache/unknown/caches/{key}")).status == 404

    assert (await node.admin_request("DELETE", f"/proxy-cache/{plugin}/caches/{key}")).status == 204
    assert (await node.admin_request("DELETE", f"/proxy-cache/{key}")).status == 404
    assert await statuses(node, "/purged?h=X-A:1", {}, {}) == ["Miss", "Hit"]
    assert (await node.admin_request("DELETE", "/proxy-cache")).status == 204
    assert await statuses(node, "/purged?h=X-A:1", {}, {}) == ["Miss", "Hit"]


async def test_a_file_may_leave_the_strategy_out_and_the_admin_api_asks_for_it(node: Gateway) -> None:
    body = b'{"name": "proxy-cache"}'
    headers = {"Content-Type": "application/json"}
    refused = await node.admin_request("POST", "/schemas/plugins/validate", headers, body)
    assert json.loads(refused.body)["fields"] == {"config": {"strategy": "required field missing"}}
    shown = json.loads((await node.admin_request("GET", "/plugins")).body)["data"]
    assert {plugin["config"]["strategy"] for plugin in shown} == {"memory"}
