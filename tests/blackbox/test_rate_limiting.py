"""rate-limiting: exact on a node whatever the number of workers, for every way to tell callers apart.

Windows are years or months, so that no test runs into the end of one.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from tests.support.gateway import Gateway, Reply
from tests.support.load import Load
from tests.support.upstream import Upstream

LIMIT = 400
CONFIG = """_format_version: "3.0"
services:
- name: one
  url: {url}
  routes:
  - {{name: bulk, paths: [/bulk], plugins: [{{name: rate-limiting, config: {{year: 400, limit_by: ip}}}}]}}
  - {{name: crash, paths: [/crash], plugins: [{{name: rate-limiting, config: {{year: 400, limit_by: ip}}}}]}}
  - {{name: two, paths: [/two], plugins: [{{name: rate-limiting,
      config: {{month: 2, year: 100, limit_by: ip}}}}]}}
  - {{name: even, paths: [/even], plugins: [{{name: rate-limiting,
      config: {{month: 5, year: 5, limit_by: ip}}}}]}}
  - {{name: half, paths: [/half], plugins: [{{name: rate-limiting, config: {{year: 1.5, limit_by: ip}}}}]}}
  - {{name: hidden, paths: [/hidden], plugins: [{{name: rate-limiting,
      config: {{year: 1, limit_by: ip, hide_client_headers: true, error_code: 503,
      error_message: Enough}}}}]}}
  - {{name: consumer, paths: [/consumer], plugins: [{{name: key-auth, config: {{anonymous: guest}}}},
      {{name: rate-limiting, config: {{year: 3}}}}]}}
  - {{name: open, paths: [/open], plugins: [{{name: rate-limiting, config: {{year: 3}}}}]}}
  - {{name: credential, paths: [/credential], plugins: [{{name: key-auth, config: {{anonymous: guest}}}},
      {{name: rate-limiting, config: {{year: 3, limit_by: credential}}}}]}}
  - {{name: header, paths: [/header], plugins: [{{name: rate-limiting,
      config: {{year: 3, limit_by: header, header_name: X-Tenant}}}}]}}
  - {{name: path, paths: [/path], plugins: [{{name: rate-limiting,
      config: {{year: 3, limit_by: path, path: /path/counted}}}}]}}
  - {{name: ip, paths: [/ip], plugins: [{{name: rate-limiting, config: {{year: 3, limit_by: ip}}}}]}}
- name: counted
  url: {url}
  plugins: [{{name: rate-limiting, config: {{year: 3, limit_by: service}}}}]
  routes: [{{name: s1, paths: [/s1]}}, {{name: s2, paths: [/s2]}}]
- name: scoped
  url: {url}
  plugins: [{{name: rate-limiting, config: {{year: 2, limit_by: ip}}}}]
  routes:
  - {{name: r1, paths: [/r1]}}
  - {{name: r2, paths: [/r2], plugins: [{{name: rate-limiting, config: {{year: 4, limit_by: ip}}}}]}}
  - {{name: r3, paths: [/r3], plugins: [{{name: key-auth}}]}}
consumers:
- {{username: alice, keyauth_credentials: [{{key: a1}}, {{key: a2}}]}}
- {{username: bob, keyauth_credentials: [{{key: b1}}],
    plugins: [{{name: rate-limiting, config: {{year: 7}}}}]}}
- {{username: guest}}
"""


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(
        CONFIG.format(url=upstream.url), workers=3, environment={"KONG_TRUSTED_IPS": "127.0.0.1"}
    )
    yield gateway
    await gateway.stop()


async def passed(node: Gateway, path: str, headers: dict[str, str] | None = None, tries: int = 5) -> int:
    """How many of some requests are let through; those come first."""
    statuses = [(await node.request("GET", path, headers)).status for _ in range(tries)]
    count = statuses.count(200)
    assert statuses == [200] * count + [429] * (tries - count)
    return count


async def test_exactly_the_limit_passes_under_full_concurrent_load(node: Gateway, upstream: Upstream) -> None:
    before = len(upstream.received)
    remaining: Counter[tuple[int, int]] = Counter()

    def note(reply: Reply) -> None:
        remaining[reply.status, int(reply.headers["ratelimit-remaining"])] += 1

    load = Load(node.proxy, "/bulk", on_reply=note).start(48)
    await load.until(LIMIT + 200)
    await load.stop()

    assert load.failures == []
    assert load.statuses[200] == LIMIT
    assert set(load.statuses) == {200, 429}
    assert len(upstream.received) - before == LIMIT
    # Every request that passed took its own place: no two were told that as much is left.
    assert {key: count for key, count in remaining.items() if key[0] == 200} == {
        (200, left): 1 for left in range(LIMIT)
    }
    assert remaining[429, 0] == load.statuses[429]


async def test_all_workers_took_part(node: Gateway) -> None:
    """Otherwise the test above says nothing."""
    ids = {(await node.request("GET", "/bulk")).headers["x-kong-request-id"][:16] for _ in range(60)}
    assert len(ids) == 3


async def test_a_worker_killed_under_load_lets_nobody_pass_the_limit(upstream: Upstream) -> None:
    node = await Gateway.start(CONFIG.format(url=upstream.url), workers=3)
    try:
        before = len(upstream.received)
        body = (await node.admin_request("GET", "/")).json()
        assert isinstance(body, dict)
        load = Load(node.proxy, "/crash").start(24)
        await load.until(100)
        os.kill(body["pids"]["workers"][0], signal.SIGKILL)
        await load.until(LIMIT + 100)
        await load.stop()
        arrived = len(upstream.received) - before
        # A request of the dead worker may have been counted and never sent on; none may come on top.
        assert LIMIT - 24 <= arrived <= LIMIT
        assert (await node.request("GET", "/crash")).status == 429
    finally:
        await node.stop()


async def test_headers_tell_of_every_window_and_of_the_scarcest(node: Gateway) -> None:
    first = await node.request("GET", "/two")

    assert first.headers["x-ratelimit-limit-month"] == "2"
    assert first.headers["x-ratelimit-remaining-month"] == "1"
    assert first.headers["x-ratelimit-limit-year"] == "100"
    assert first.headers["x-ratelimit-remaining-year"] == "99"
    assert first.headers["ratelimit-limit"] == "2"
    assert first.headers["ratelimit-remaining"] == "1"
    assert 1 <= int(first.headers["ratelimit-reset"]) <= 31 * 86_400
    assert "retry-after" not in first.headers
    assert "X-RateLimit-Limit-Month: 2" in (await node.send(raw("/two"))).decode()

    refused = await node.request("GET", "/two")

    assert refused.status == 429
    assert refused.json() == {
        "message": "API rate limit exceeded",
        "request_id": refused.headers["x-kong-request-id"],
    }
    assert refused.headers["x-ratelimit-remaining-month"] == "0"
    assert refused.headers["x-ratelimit-remaining-year"] == "98", "what is refused counts in no window"
    assert refused.headers["retry-after"] == refused.headers["ratelimit-reset"]
    assert refused.headers["content-type"] == "application/json; charset=utf-8"


def raw(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()


async def test_of_equally_scarce_windows_the_longer_one_is_told(node: Gateway) -> None:
    reply = await node.request("GET", "/even")

    assert reply.headers["ratelimit-remaining"] == "4"
    assert int(reply.headers["ratelimit-reset"]) > 31 * 86_400 or reply.headers["date"][8:11] == "Dec"


async def test_a_limit_that_is_not_whole_lets_pass_while_the_count_is_below(node: Gateway) -> None:
    assert await passed(node, "/half", tries=4) == 2


async def test_headers_can_be_hidden_and_the_refusal_be_put_in_other_words(node: Gateway) -> None:
    assert (await node.request("GET", "/hidden")).status == 200

    refused = await node.request("GET", "/hidden")

    assert refused.status == 503
    assert refused.json() == {"message": "Enough", "request_id": refused.headers["x-kong-request-id"]}
    assert not [name for name in refused.headers if "ratelimit" in name or name == "retry-after"]


async def test_by_consumer_all_keys_of_one_count_together(node: Gateway) -> None:
    assert await passed(node, "/consumer", {"apikey": "a1"}, tries=2) == 2
    assert await passed(node, "/consumer", {"apikey": "a2"}) == 1
    assert await passed(node, "/consumer") == 3, "guests are a consumer as well"


async def test_by_consumer_without_one_addresses_are_counted(node: Gateway) -> None:
    assert await passed(node, "/open", {"X-Real-IP": "10.0.0.1"}) == 3
    assert await passed(node, "/open", {"X-Real-IP": "10.0.0.2"}) == 3


async def test_by_credential_every_key_counts_for_itself(node: Gateway) -> None:
    assert await passed(node, "/credential", {"apikey": "a1"}) == 3
    assert await passed(node, "/credential", {"apikey": "a2"}) == 3
    assert await passed(node, "/credential", {"X-Real-IP": "10.0.0.1"}) == 3
    assert await passed(node, "/credential", {"X-Real-IP": "10.0.0.2"}) == 3


async def test_by_header_its_value_counts_and_else_the_address(node: Gateway) -> None:
    assert await passed(node, "/header", {"X-Tenant": "a"}) == 3
    assert await passed(node, "/header", {"x-tenant": "b"}) == 3
    assert await passed(node, "/header", {"X-Real-IP": "10.0.0.1"}) == 3
    assert await passed(node, "/header", {"X-Real-IP": "10.0.0.2"}) == 3


async def test_by_path_that_path_counts_for_all_and_else_the_address(node: Gateway) -> None:
    assert await passed(node, "/path/counted", {"X-Real-IP": "10.0.0.1"}, tries=2) == 2
    assert await passed(node, "/path/counted?x=1", {"X-Real-IP": "10.0.0.2"}) == 1
    assert await passed(node, "/path/./counted", {"X-Real-IP": "10.0.0.3"}) == 0
    assert await passed(node, "/path/other", {"X-Real-IP": "10.0.0.1"}) == 3
    assert await passed(node, "/path/counted/more", {"X-Real-IP": "10.0.0.2"}) == 3


async def test_by_ip_a_forwarded_address_counts_only_from_a_trusted_peer(
    node: Gateway, upstream: Upstream
) -> None:
    assert await passed(node, "/ip", {"X-Real-IP": "10.0.0.1"}) == 3
    assert await passed(node, "/ip", {"X-Real-IP": "10.0.0.2"}) == 3
    distrustful = await Gateway.start(CONFIG.format(url=upstream.url))
    try:
        statuses = [
            (await distrustful.request("GET", "/ip", {"X-Real-IP": f"10.0.0.{n}"})).status for n in range(5)
        ]
    finally:
        await distrustful.stop()
    assert statuses == [200, 200, 200, 429, 429]


async def test_by_service_all_its_routes_count_together(node: Gateway) -> None:
    assert await passed(node, "/s1", {"X-Real-IP": "10.0.0.1"}, tries=2) == 2
    assert await passed(node, "/s2", {"X-Real-IP": "10.0.0.2"}) == 1


async def test_the_most_specific_configuration_is_the_one_that_counts(node: Gateway) -> None:
    assert await passed(node, "/r1", tries=6) == 2
    assert await passed(node, "/r2", tries=6) == 4
    assert await passed(node, "/r3", {"apikey": "b1"}, tries=9) == 7, "bob has limits of his own"
    assert await passed(node, "/r3", {"apikey": "a1"}, tries=3) == 0, "the service's, used up by /r1"


async def test_a_new_limit_holds_at_once_and_what_was_counted_stays(upstream: Upstream) -> None:
    config = CONFIG.format(url=upstream.url)
    node = await Gateway.start(config, workers=2)
    try:
        assert await passed(node, "/ip", tries=2) == 2
        assert (
            await node.configure(config.replace("year: 3, limit_by: ip", "year: 5, limit_by: ip"))
        ).status == 201
        assert await passed(node, "/ip", tries=6) == 3
        assert (await node.configure(config)).status == 201
        assert await passed(node, "/ip", tries=2) == 0
    finally:
        await node.stop()


async def test_a_window_of_a_second_opens_again(upstream: Upstream) -> None:
    """The only test that waits for a window: for the server's own word on when, and a little more."""
    config = f"""_format_version: "3.0"
services:
- url: {upstream.url}
  routes: [{{paths: [/], plugins: [{{name: rate-limiting, config: {{second: 1, limit_by: ip}}}}]}}]
"""
    node = await Gateway.start(config, workers=2)
    try:
        async with asyncio.timeout(30):
            while (reply := await node.request("GET", "/")).status == 200:
                pass
            assert reply.headers["retry-after"] == "1"
            while (reply := await node.request("GET", "/")).status == 429:
                await asyncio.sleep(0.05)
        assert reply.headers["x-ratelimit-remaining-second"] == "0"
    finally:
        await node.stop()
