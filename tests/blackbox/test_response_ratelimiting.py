"""response-ratelimiting: limits by what the upstream says that an answer cost."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.gateway import Gateway
from tests.support.load import Load
from tests.support.upstream import Received, Upstream

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes:
  - {{name: plain, paths: [/plain], plugins: [{{name: response-ratelimiting,
      config: {{limits: {{video: {{year: 5}}, image: {{month: 10, year: 20}}}}}}}}]}}
  - {{name: block, paths: [/block], plugins: [{{name: response-ratelimiting,
      config: {{block_on_first_violation: true, limits: {{video: {{year: 2}}}}}}}}]}}
  - {{name: hidden, paths: [/hidden], plugins: [{{name: response-ratelimiting,
      config: {{hide_client_headers: true, header_name: X-Cost, limits: {{video: {{year: 2}}}}}}}}]}}
  - {{name: periods, paths: [/periods], plugins: [{{name: response-ratelimiting,
      config: {{limits: {{video: {{second: 4, minute: 5, hour: 6, day: 7, month: 8, year: 9}}}}}}}}]}}
  - {{name: load, paths: [/load], plugins: [{{name: response-ratelimiting,
      config: {{limits: {{video: {{year: 100000}}}}}}}}]}}
"""


class Costly(Upstream):
    """Says what its query tells it to say."""

    def __init__(self) -> None:
        super().__init__(self._answer)

    async def _answer(self, received: Received, writer: asyncio.StreamWriter) -> bool:
        cost = received.target.partition("?")[2].replace("%20", " ")
        line = f"X-Kong-Limit: {cost}\r\nX-Cost: {cost}\r\n" if cost else ""
        writer.write(f"HTTP/1.1 200 OK\r\n{line}Content-Length: 4\r\n\r\nbody".encode())
        return True


@pytest.fixture(scope="module")
async def upstream() -> AsyncIterator[Costly]:
    server = Costly()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def node(upstream: Costly) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(url=upstream.url), workers=2)
    yield gateway
    await gateway.stop()


async def test_every_period_has_its_limit(node: Gateway) -> None:
    reply = await node.request("GET", "/periods?video=1")
    for limit, period in enumerate(("second", "minute", "hour", "day", "month", "year"), 4):
        assert reply.headers[f"x-ratelimit-limit-video-{period}"] == str(limit)
        assert reply.headers[f"x-ratelimit-remaining-video-{period}"] == str(limit - 1)


async def test_an_answer_uses_up_what_it_says(node: Gateway, upstream: Costly) -> None:
    first = await node.request("GET", "/plain?video=2,%20image=3,%20other=9")

    assert (first.status, first.body) == (200, b"body")
    assert "x-kong-limit" not in first.headers
    assert first.headers["x-ratelimit-limit-video-year"] == "5"
    assert first.headers["x-ratelimit-remaining-video-year"] == "3"
    assert first.headers["x-ratelimit-remaining-image-month"] == "7"
    assert first.headers["x-ratelimit-remaining-image-year"] == "17"

    second = await node.request("GET", "/plain?video")

    assert second.headers["x-ratelimit-remaining-video-year"] == "3", "a name alone costs nothing"
    assert upstream.received[-1].headers["x-ratelimit-remaining-video"] == "3"
    free = await node.request("GET", "/plain")
    assert free.headers["x-ratelimit-remaining-video-year"] == "3"
    over = await node.request("GET", "/plain?video=4")
    assert over.status == 200, "there was something left"
    assert over.headers["x-ratelimit-remaining-video-year"] == "0"
    refused = await node.request("GET", "/plain?video=1")
    assert (refused.status, refused.body) == (429, b"")
    assert (await node.request("GET", "/plain?image=1")).status == 200


async def test_a_used_up_limit_blocks_before_the_upstream_if_so_configured(
    node: Gateway, upstream: Costly
) -> None:
    assert (await node.request("GET", "/block?video=2")).status == 200
    before = len(upstream.received)

    refused = await node.request("GET", "/block")

    assert refused.status == 429
    assert refused.json() == {
        "message": "API rate limit exceeded for 'video'",
        "request_id": refused.headers["x-kong-request-id"],
    }
    assert len(upstream.received) == before


async def test_headers_can_be_hidden(node: Gateway, upstream: Costly) -> None:
    reply = await node.request("GET", "/hidden?video=1")

    assert not [name for name in reply.headers if "ratelimit" in name or name == "x-cost"]
    assert not [name for name in upstream.received[-1].headers if "ratelimit" in name]


@pytest.mark.parametrize("nonsense", ["video=-5", "video=x", "video=1e3", "=,=,", "video=", "%00"])
async def test_nonsense_costs_nothing(node: Gateway, nonsense: str) -> None:
    before = await left(node)

    assert (await node.request("GET", f"/load?{nonsense}")).status == 200

    assert await left(node) == before


async def left(node: Gateway) -> int:
    reply = await node.request("GET", "/load")
    return int(reply.headers["x-ratelimit-remaining-video-year"])


async def test_all_workers_together_count_every_unit(node: Gateway) -> None:
    before = await left(node)
    load = Load(node.proxy, "/load?video=3").start(16)
    await load.until(200)
    await load.stop()

    assert set(load.statuses) == {200}
    assert before - await left(node) == 3 * load.answers
