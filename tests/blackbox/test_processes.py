"""Workers, reloads and ends: what a node's processes may do without a client noticing."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.gateway import Gateway, Reply, read_reply
from support.load import Load
from support.upstream import OK, Received, Upstream

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
  config: {{hour: 1000000, policy: local}}
"""
)


async def answer_by_path(received: Received, writer: asyncio.StreamWriter) -> bool:
    if received.target.startswith("/slow"):
        await asyncio.sleep(0.5)
    elif received.target.startswith("/stream"):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            writer.write(b"5\r\nhello\r\n")
            await asyncio.sleep(0.05)
        writer.write(b"0\r\n\r\n")
        return True
    writer.write(OK)
    return True


@pytest.fixture(scope="module")
async def slow_upstream() -> AsyncIterator[Upstream]:
    server = await Upstream(answer_by_path).start()
    yield server
    await server.stop()


@pytest.fixture
async def node(slow_upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(url=slow_upstream.url), workers=2)
    yield gateway
    await gateway.stop()


async def worker_pids(node: Gateway) -> list[int]:
    reply = await node.admin_request("GET", "/")
    body = reply.json()
    assert isinstance(body, dict)
    return list(body["pids"]["workers"])


def worker_of(reply: Reply) -> str:
    """Request ids begin with what is the worker's own."""
    return reply.headers["x-kong-request-id"][:16]


async def ask(node: Gateway, path: str) -> tuple[str, Reply | None]:
    """A first request tells which worker has the connection; the second is the one that counts."""
    reader, writer = await asyncio.open_connection(*node.proxy)
    worker = ""
    try:
        writer.write(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
        worker = worker_of(await read_reply(reader))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        return worker, await read_reply(reader)
    except (ConnectionError, asyncio.IncompleteReadError):
        return worker, None
    finally:
        writer.close()


async def test_a_killed_worker_takes_no_request_of_the_others_along(node: Gateway) -> None:
    pids = await worker_pids(node)
    asking = [asyncio.ensure_future(ask(node, "/slow")) for _ in range(40)]
    await asyncio.sleep(0.25)

    os.kill(pids[0], signal.SIGKILL)

    lost: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    for worker, reply in await asyncio.gather(*asking):
        (answered if reply is not None else lost)[worker] += 1
    assert len(lost) == 1
    assert set(lost).isdisjoint(answered), "the other worker lost a request"
    # Connections that were waiting for the dead worker, and new ones, are served by its successor.
    for _ in range(20):
        assert (await node.request("GET", "/")).status == 200


async def test_fifty_reloads_under_load_lose_no_answer(node: Gateway, slow_upstream: Upstream) -> None:
    load = Load(node.proxy).start(16)
    await load.until(100)

    for number in range(50):
        if number % 2:
            node.process.send_signal(signal.SIGHUP)
        else:
            config = CONFIG.format(url=slow_upstream.url) + f"consumers: [{{username: u{number}}}]\n"
            assert (await node.configure(config)).status == 201
        await load.until(20)

    await load.stop()
    assert load.failures == []
    assert set(load.statuses) == {200}


async def test_a_reload_resets_no_limit(slow_upstream: Upstream) -> None:
    config = LIMITED.format(url=slow_upstream.url)
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

    async with asyncio.timeout(10):
        while not any("not reloaded" in line for line in node.errors):
            await asyncio.sleep(0.01)
    assert (await node.request("GET", "/")).status == 200


async def test_sigterm_lets_streams_and_slow_requests_finish(slow_upstream: Upstream) -> None:
    node = await Gateway.start(CONFIG.format(url=slow_upstream.url), workers=2)
    under_way = [
        asyncio.ensure_future(node.request("GET", path)) for path in ("/slow", "/stream", "/slow", "/stream")
    ]
    await asyncio.sleep(0.2)

    code = await node.stop()

    replies = await asyncio.gather(*under_way)
    assert [reply.status for reply in replies] == [200] * 4
    assert replies[1].body == b"hello" * 20
    assert code == 0


async def test_a_second_signal_ends_at_once(slow_upstream: Upstream) -> None:
    node = await Gateway.start(CONFIG.format(url=slow_upstream.url))
    under_way = asyncio.ensure_future(node.request("GET", "/slow"))
    await asyncio.sleep(0.1)
    node.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.1)

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

    async with asyncio.timeout(10):
        while True:
            try:
                status = (await node.admin_request("GET", "/status")).json()
                break
            except ConnectionError:
                await asyncio.sleep(0.02)
    assert isinstance(status, dict)
    assert status["configuration_hash"] == hash_before["configuration_hash"]
    assert (await node.request("GET", "/")).status == 200
    assert (await node.configure("_format_version: '3.0'\n")).status == 201
    assert (await node.request("GET", "/")).status == 404


async def test_one_process_serves_as_many_do(slow_upstream: Upstream) -> None:
    node = await Gateway.start(CONFIG.format(url=slow_upstream.url), arguments=("--workers", "1"))

    assert (await node.request("GET", "/")).status == 200
    assert (await node.configure("_format_version: '3.0'\n")).status == 201
    assert (await node.request("GET", "/")).status == 404
    assert await node.stop() == 0
