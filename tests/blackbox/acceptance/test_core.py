"""core.yml: one route, an API key, a rate limit that curl can show."""

from collections.abc import AsyncIterator

import pytest
from tests.support.acceptance import FILES, localised
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

KEY = {"apikey": "test-key"}


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    text = localised((FILES / "core.yml").read_text(), {"http://127.0.0.1:9000": upstream.url})
    gateway = await Gateway.start(text, workers=2)
    yield gateway
    await gateway.stop()


@pytest.mark.parametrize(
    ("headers", "message"),
    [({}, "No API key found in request"), ({"apikey": "wrong"}, "Unauthorized")],
)
async def test_nobody_gets_in_without_the_key(
    node: Gateway, upstream: Upstream, headers: dict[str, str], message: str
) -> None:
    reply = await node.request("GET", "/placeholder", headers)
    assert reply.status == 401
    assert reply.json()["message"] == message  # type: ignore[index]
    assert upstream.received == []


async def test_five_requests_a_minute_pass_and_no_more(node: Gateway, upstream: Upstream) -> None:
    replies = [await node.request("GET", "/placeholder/x", KEY) for _ in range(11)]
    # A minute may end meanwhile, once: then there are five more.
    passed = [reply for reply in replies if reply.status == 200]
    assert len(passed) in (5, 10)
    assert {reply.headers["x-ratelimit-limit-minute"] for reply in replies} == {"5"}
    assert {int(reply.headers["x-ratelimit-remaining-minute"]) for reply in passed} == {0, 1, 2, 3, 4}
    refused = next(reply for reply in replies if reply.status == 429)
    assert refused.json()["message"] == "API rate limit exceeded"  # type: ignore[index]
    assert int(refused.headers["retry-after"]) <= 60
    assert len(upstream.received) == len(passed)
    received = upstream.received[0]
    assert received.target == "/x"
    assert received.headers["x-consumer-username"] == "test-consumer"


async def test_what_no_route_takes_is_not_found(node: Gateway) -> None:
    reply = await node.request("GET", "/elsewhere", KEY)
    assert reply.status == 404
    assert reply.json()["message"] == "no Route matched with those values"  # type: ignore[index]
