"""proxy-cache in Redis: one node's answers are every node's, and so is a purge."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from tests.support.gateway import Gateway
from tests.support.upstream import Received, Upstream
from tests.support.valkey import Valkey, cluster


async def answer(received: Received, writer: asyncio.StreamWriter) -> bool:
    body = received.target.encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    return True


@pytest.fixture(scope="module")
async def pages() -> AsyncIterator[Upstream]:
    server = await Upstream(answer).start()
    yield server
    await server.stop()


def config(url: str, redis: str) -> str:
    return f"""_format_version: "3.0"
services:
- url: {url}
  routes:
  - {{name: shared, paths: [/shared], plugins: [{{name: proxy-cache,
      config: {{strategy: redis, redis: {{{redis}}}}}}}]}}
  - {{name: own, paths: [/own], plugins: [{{name: proxy-cache, config: {{strategy: memory}}}}]}}
"""


async def seen(node: Gateway, path: str) -> tuple[str, str]:
    reply = await node.request("GET", path)
    return reply.headers["x-cache-status"], reply.headers["x-cache-key"]


async def kept(node: Gateway, path: str) -> str:
    """The key of an answer, once the server has it."""
    async with asyncio.timeout(20):
        while True:
            status, key = await seen(node, path)
            if status == "Hit":
                return key


async def plugin_of(node: Gateway, strategy: str) -> str:
    shown = json.loads((await node.admin_request("GET", "/plugins")).body)["data"]
    return str(next(each["id"] for each in shown if each["config"]["strategy"] == strategy))


async def test_an_operator_purges_what_all_nodes_keep(pages: Upstream) -> None:
    valkey = await Valkey.started("requirepass secret")
    text = config(pages.url, f"port: {valkey.port}, password: '{{vault://env/redis-secret}}'")
    environment = {"REDIS_SECRET": "secret"}
    nodes = await asyncio.gather(*(Gateway.start(text, environment=environment) for _ in range(2)))
    one, two = nodes
    try:
        await valkey.say("SET", "other", "stays", user="default:secret")
        key = await kept(one, "/shared/a")
        other = await kept(one, "/shared/b")
        own = await kept(one, "/own")
        assert await seen(two, "/shared/a") == ("Hit", key)
        shown = (await two.admin_request("GET", f"/proxy-cache/{key}")).json()
        assert isinstance(shown, dict)
        assert (shown["status"], shown["body"]) == (200, "/a")
        there, here = await plugin_of(two, "redis"), await plugin_of(two, "memory")
        assert (await two.admin_request("GET", f"/proxy-cache/{there}/caches/{key}")).json() == shown
        assert (await two.admin_request("GET", f"/proxy-cache/{here}/caches/{key}")).status == 404

        assert (await two.admin_request("DELETE", f"/proxy-cache/{key}")).status == 204
        assert (await two.admin_request("DELETE", f"/proxy-cache/{key}")).status == 404
        assert await seen(one, "/shared/a") == ("Miss", key)
        assert await seen(one, "/shared/b") == ("Hit", other)
        assert (await two.admin_request("DELETE", f"/proxy-cache/{there}/caches/{other}")).status == 204
        assert await seen(one, "/shared/b") == ("Miss", other)

        await kept(one, "/shared/a")
        await kept(one, "/shared/b")
        assert (await two.admin_request("DELETE", "/proxy-cache")).status == 204
        assert await seen(one, "/shared/a") == ("Miss", key)
        assert await seen(one, "/shared/b") == ("Miss", other)
        assert await seen(one, "/own") == ("Hit", own), "that is the memory of the other node"
        assert await valkey.say("GET", "other", user="default:secret") == b"stays"

        valkey.kill()
        for method, path in (("GET", f"/{key}"), ("DELETE", "")):
            refused = await two.admin_request(method, f"/proxy-cache{path}")
            assert refused.status == 503
            assert b"cannot be asked" in refused.body
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))
        valkey.stop()


async def test_a_cluster_is_purged_on_all_its_nodes(pages: Upstream) -> None:
    servers = await cluster()
    places = ", ".join(f"{{ip: 127.0.0.1, port: {server.port}}}" for server in servers[:1])
    node = await Gateway.start(config(pages.url, f"cluster_nodes: [{places}]"))
    try:
        keys = [await kept(node, f"/shared/{number}") for number in range(30)]
        sizes = [await server.say("DBSIZE") for server in servers]
        assert sum(sizes) == 30
        assert all(sizes), "every node has some"
        assert (await node.admin_request("DELETE", f"/proxy-cache/{keys[0]}")).status == 204
        assert (await node.admin_request("DELETE", "/proxy-cache")).status == 204
        assert [await server.say("DBSIZE") for server in servers] == [0, 0, 0]
    finally:
        await node.stop()
        for server in servers:
            server.stop()
