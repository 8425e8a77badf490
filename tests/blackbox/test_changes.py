"""A configuration that differs little from the one being served reaches the workers as what is different."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.gateway import Gateway
from tests.support.prometheus import Scrape
from tests.support.upstream import Upstream

CONSUMERS = 300


def config(url: str, path: str = "/a", key: str = "key", status: int = 200, more: str = "") -> str:
    many = "".join(
        f"- {{username: c{number}, keyauth_credentials: [{{key: {key}-{number}}}]}}\n"
        for number in range(CONSUMERS)
    )
    return f"""_format_version: "3.0"
services:
- name: s
  url: {url}
  routes:
  - {{name: one, paths: [{path}], plugins: [{{name: key-auth}}]}}
  - {{name: two, paths: [/two], plugins: [{{name: request-termination, config: {{status_code: {status}}}}}]}}
plugins: [{{name: prometheus}}]
consumers:
{many}{more}"""


@pytest.fixture
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(config(upstream.url), workers=2)
    yield gateway
    await gateway.stop()


async def answers(node: Gateway, path: str, key: str = "") -> set[int]:
    """What several connections get, so that both workers are asked."""
    replies = await asyncio.gather(*(node.request("GET", path, {"apikey": key}) for _ in range(8)))
    return {reply.status for reply in replies}


async def handovers(node: Gateway, how: str) -> float:
    scrape = Scrape.of((await node.admin_request("GET", "/metrics")).body.decode())
    return scrape.value("tollhouse_configuration_handovers_total", **{"as": how})


async def test_each_kind_of_change_arrives_as_such_and_is_served(node: Gateway, upstream: Upstream) -> None:
    url = upstream.url
    for text, path, key, status in (
        (config(url, more="- {username: new, keyauth_credentials: [{key: new}]}\n"), "/a", "new", 200),
        (config(url), "/a", "new", 401),
        (config(url, path="/b"), "/b", "key-7", 200),
        (config(url, path="/b", status=418), "/two", "", 418),
        (config("http://127.0.0.1:1"), "/a", "key-7", 502),
        (config(url), "/a", "key-7", 200),
    ):
        assert (await node.configure(text)).status == 201
        assert await answers(node, path, key) == {status}
    assert await answers(node, "/b") == {404}
    assert await handovers(node, "whole") == 0  # beyond the first of each worker
    assert await handovers(node, "changes") == 12
    await node.until_logged("(1 entities changed)")


async def test_what_has_changed_much_arrives_whole(node: Gateway, upstream: Upstream) -> None:
    many = "".join(f"- {{username: more-{number}}}\n" for number in range(2500))
    assert (await node.configure(config(upstream.url, more=many))).status == 201
    assert await handovers(node, "whole") == 2
    assert await answers(node, "/a", "key-299") == {200}


async def test_a_worker_that_starts_later_has_every_change(node: Gateway, upstream: Upstream) -> None:
    assert (await node.configure(config(upstream.url, path="/b"))).status == 201
    assert (await node.configure(config(upstream.url, path="/b", status=418))).status == 201
    for pid in await _workers(node):
        os.kill(pid, signal.SIGKILL)
    await node.until_logged("(all of it)", 4)

    assert (await node.configure(config(upstream.url, path="/c", status=418))).status == 201

    assert await answers(node, "/c", "key-7") == {200}
    assert await answers(node, "/two") == {418}
    assert await answers(node, "/a") == {404}


async def test_a_control_process_killed_while_it_hands_over_leaves_the_old_or_the_new(
    node: Gateway, upstream: Upstream
) -> None:
    """The key and the route change together: a worker never serves the one without the other."""
    for number, milliseconds in enumerate((0, 5, 15, 30, 60)):
        path, key = f"/p{number}/", f"k{number}"
        control = await _control(node)
        changing = asyncio.ensure_future(node.configure(config(upstream.url, path, key)))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(changing), milliseconds / 1000)
        os.kill(control, signal.SIGKILL)
        with suppress(OSError, asyncio.IncompleteReadError, AssertionError):
            await changing
        await _control(node)
        for _ in range(8):
            # 200: new route and new key; 404: neither
            assert (await node.request("GET", path, {"apikey": f"{key}-7"})).status in (200, 404)
        assert (await node.configure(config(upstream.url, path, key))).status == 201
        assert await answers(node, path, f"{key}-7") == {200}


async def _workers(node: Gateway) -> list[int]:
    """Their pids, once both are there."""
    async with asyncio.timeout(10):
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                shown: Any = (await node.admin_request("GET", "/")).json()
                if len(shown["pids"]["workers"]) == 2:
                    return list(shown["pids"]["workers"])
            await asyncio.sleep(0.01)


async def _control(node: Gateway) -> int:
    workers = await _workers(node)
    folder = Path(f"/proc/{node.process.pid}/task/{node.process.pid}")
    children = map(int, (folder / "children").read_text().split())
    return next(pid for pid in children if pid not in workers)
