"""Workers, reloads and ends: what a node's processes may do without a client noticing."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.gateway import Gateway, Reply, read_reply
from tests.support.load import Load
from tests.support.upstream import OK, Received, Upstream

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes: [{{name: all, paths: [/], strip_path: false}}]
"""
LIMITED = (
    CONFIG
    + """plugins:
- name: rate-limiting
  config: {{year: 1000000, policy: local}}
"""
)


class SlowUpstream(Upstream):
    """Answers `/slow`, and ends what it streams for `/stream`, only when it is told to."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.release = asyncio.Event()

    async def _answer(self, received: Received, writer: asyncio.StreamWriter) -> bool:
        if received.target == "/slow":
            await self.release.wait()
        elif received.target == "/stream":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            await self.release.wait()
            writer.write(b"6\r\n world\r\n0\r\n\r\n")
            return True
        writer.write(OK)
        return True


@pytest.fixture
async def upstream() -> AsyncIterator[SlowUpstream]:
    server = SlowUpstream()
    await server.start()
    yield server
    server.release.set()
    await server.stop()


@pytest.fixture
async def node(upstream: SlowUpstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(url=upstream.url), workers=2)
    yield gateway
    await gateway.stop()


async def worker_pids(node: Gateway) -> list[int]:
    reply = await node.admin_request("GET", "/")
    body = reply.json()
    assert isinstance(body, dict)
    return list(body["pids"]["workers"])


async def _is_refused(address: tuple[str, int]) -> bool:
    try:
        _, writer = await asyncio.open_connection(*address)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


def worker_of(reply: Reply) -> str:
    """Request ids begin with what is the worker's own."""
    return reply.headers["x-kong-request-id"][:16]


async def connected(node: Gateway) -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has carried a request, and the worker that has it."""
    reader, writer = await asyncio.open_connection(*node.proxy)
    writer.write(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
    return worker_of(await read_reply(reader)), reader, writer


async def test_a_killed_worker_takes_no_request_of_the_others_along(
    node: Gateway, upstream: SlowUpstream
) -> None:
    pids = await worker_pids(node)
    connections = [await connected(node) for _ in range(40)]
    for _, _, writer in connections:
        writer.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    await upstream.until(40, "/slow")

    os.kill(pids[0], signal.SIGKILL)
    upstream.release.set()

    lost: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    for worker, reader, writer in connections:
        try:
            answered[worker] += (await read_reply(reader)).status == 200
        except (ConnectionError, asyncio.IncompleteReadError):
            lost[worker] += 1
        writer.close()
    assert len(lost) == 1
    assert len(answered) == 1
    assert set(lost).isdisjoint(answered), "the other worker lost a request"
    assert answered.total() + lost.total() == 40
    # Connections that were waiting for the dead worker, and new ones, are served by its successor.
    for _ in range(20):
        assert (await node.request("GET", "/")).status == 200


async def test_a_worker_that_is_told_to_end_finishes_and_is_replaced(
    node: Gateway, upstream: SlowUpstream
) -> None:
    """It closes its sockets when it drains; the supervisor's are still open, for its successor."""
    pids = await worker_pids(node)
    connections = [await connected(node) for _ in range(20)]
    for _, _, writer in connections:
        writer.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    await upstream.until(20, "/slow")

    os.kill(pids[0], signal.SIGTERM)
    waiting = [asyncio.ensure_future(node.request("GET", "/")) for _ in range(20)]
    upstream.release.set()

    for _, reader, writer in connections:
        assert (await read_reply(reader)).status == 200
        writer.close()
    assert [reply.status for reply in await asyncio.gather(*waiting)] == [200] * 20
    await node.until_logged(f"(pid {pids[0]}) ended by exit code 0")
    assert [(await node.request("GET", "/")).status for _ in range(20)] == [200] * 20
    assert pids[0] not in await worker_pids(node)


async def test_fifty_reloads_under_load_lose_no_answer(node: Gateway, upstream: SlowUpstream) -> None:
    load = Load(node.proxy).start(16)
    await load.until(100)

    for number in range(50):
        if number % 2:
            node.process.send_signal(signal.SIGHUP)
            await node.until_logged("configuration reloaded", number // 2 + 1)
        else:
            config = CONFIG.format(url=upstream.url) + f"consumers: [{{username: u{number}}}]\n"
            assert (await node.configure(config)).status == 201
        await load.until(20)

    await load.stop()
    assert load.failures == []
    assert set(load.statuses) == {200}


async def test_a_reload_resets_no_limit(upstream: SlowUpstream) -> None:
    config = LIMITED.format(url=upstream.url)
    node = await Gateway.start(config, workers=2)
    remaining: list[int] = []
    load = Load(node.proxy, on_reply=lambda r: remaining.append(int(r.headers["ratelimit-remaining"]))).start(
        8
    )
    for _ in range(5):
        await load.until(50)
        assert (await node.configure(config)).status == 201
    await load.stop()

    await node.stop()

    assert load.failures == []
    assert sorted(remaining, reverse=True) == list(range(999_999, 999_999 - len(remaining), -1))


async def test_a_configuration_with_errors_changes_nothing(node: Gateway) -> None:
    refused = await node.configure("_format_version: '3.0'\nservices: [{name: x, port: 99999999}]\n")

    assert refused.status == 400
    assert (await node.request("GET", "/")).status == 200


async def test_sighup_with_a_broken_file_keeps_the_old_configuration(node: Gateway) -> None:
    node.file.write_text("services: [")

    node.process.send_signal(signal.SIGHUP)

    await node.until_logged("not reloaded")
    assert (await node.request("GET", "/")).status == 200


async def test_sigterm_lets_streams_and_slow_requests_finish(upstream: SlowUpstream) -> None:
    node = await Gateway.start(CONFIG.format(url=upstream.url), workers=2)
    under_way = [
        asyncio.ensure_future(node.request("GET", path)) for path in ("/slow", "/stream", "/slow", "/stream")
    ]
    await upstream.until(4)
    stopping = asyncio.ensure_future(node.stop())
    await node.until_logged("draining")

    upstream.release.set()

    replies = await asyncio.gather(*under_way)
    assert [reply.status for reply in replies] == [200] * 4
    assert replies[1].body == b"hello world"
    assert await stopping == 0


async def test_whoever_comes_while_the_node_drains_is_refused_at_once(upstream: SlowUpstream) -> None:
    node = await Gateway.start(CONFIG.format(url=upstream.url), workers=2)
    under_way = asyncio.ensure_future(node.request("GET", "/slow"))
    await upstream.until(1)
    stopping = asyncio.ensure_future(node.stop())
    await node.until_logged("draining")

    async with asyncio.timeout(30):
        while not await _is_refused(node.proxy):
            await asyncio.sleep(0.01)

    upstream.release.set()
    assert (await under_way).status == 200
    assert await stopping == 0


async def test_whoever_came_before_the_end_is_served(upstream: Upstream) -> None:
    node = await Gateway.start(CONFIG.format(url=upstream.url), workers=1)
    worker = next(iter(await worker_pids(node)))
    os.kill(worker, signal.SIGSTOP)
    stopping = asyncio.ensure_future(node.stop())
    await node.until_logged("draining")
    waiting = [await asyncio.open_connection(*node.proxy) for _ in range(20)]
    for _, writer in waiting:
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

    os.kill(worker, signal.SIGCONT)

    for reader, writer in waiting:
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
    assert await stopping == 0


async def test_a_second_signal_ends_at_once(upstream: SlowUpstream) -> None:
    node = await Gateway.start(CONFIG.format(url=upstream.url))
    under_way = asyncio.ensure_future(node.request("GET", "/slow"))
    await upstream.until(1)
    node.process.send_signal(signal.SIGTERM)
    await node.until_logged("draining")

    assert await node.stop() == 1
    with pytest.raises(ConnectionError):
        await under_way


async def test_a_dead_control_process_is_replaced_and_knows_the_configuration(node: Gateway) -> None:
    hash_before = (await node.admin_request("GET", "/status")).json()
    assert isinstance(hash_before, dict)
    children = Path(f"/proc/{node.process.pid}/task/{node.process.pid}/children").read_text().split()
    workers = await worker_pids(node)
    control = next(int(pid) for pid in children if int(pid) not in workers)

    os.kill(control, signal.SIGKILL)

    status = await status_after_restart(node)
    assert status["configuration_hash"] == hash_before["configuration_hash"]
    assert (await node.request("GET", "/")).status == 200
    assert (await node.configure("_format_version: '3.0'\n")).status == 201
    assert (await node.request("GET", "/")).status == 404


async def status_after_restart(node: Gateway) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            try:
                status = (await node.admin_request("GET", "/status")).json()
            except ConnectionError:
                await asyncio.sleep(0.02)
            else:
                assert isinstance(status, dict)
                return status


async def test_one_process_serves_as_many_do(upstream: SlowUpstream) -> None:
    node = await Gateway.start(CONFIG.format(url=upstream.url), arguments=("--workers", "1"))

    assert (await node.request("GET", "/")).status == 200
    assert (await node.configure("_format_version: '3.0'\n")).status == 201
    assert (await node.request("GET", "/")).status == 404
    assert await node.stop() == 0
