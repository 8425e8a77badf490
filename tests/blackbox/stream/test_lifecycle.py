"""Open connections while the configuration changes, the node drains, and a worker has to end."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.gateway import Gateway
from tests.support.tcp import TcpServer, talking

CONFIG = """_format_version: "3.0"
services:
- {{name: s, url: "tcp://127.0.0.1:{port}", routes: [
    {{name: r, protocols: [tcp], destinations: [{{ip: 127.0.0.1}}]}}]}}
"""


@pytest.fixture(scope="module")
async def servers() -> AsyncIterator[list[TcpServer]]:
    found = [await TcpServer(name).start() for name in ("before", "after")]
    yield found
    for server in found:
        server.stop()


async def started(server: TcpServer, *, drain: str = "30", workers: int = 1) -> Gateway:
    return await Gateway.start(
        CONFIG.format(port=server.port),
        workers=workers,
        environment={"KONG_STREAM_LISTEN": "127.0.0.1:0", "KONG_DRAIN_TIMEOUT": drain},
    )


async def test_a_reload_changes_nothing_for_open_connections(servers: list[TcpServer]) -> None:
    node = await started(servers[0])
    try:
        async with talking(node.addresses["stream0"]) as old:
            assert await old.line() == b"before\n"
            assert (await node.configure(CONFIG.format(port=servers[1].port))).status == 201
            async with talking(node.addresses["stream0"]) as new:
                assert await new.line() == b"after\n"
            assert (await node.configure('_format_version: "3.0"\nservices: []\n')).status == 201
            assert await old.say(b"still here\n") == b"still here\n"
    finally:
        await node.stop()


async def test_a_node_that_ends_waits_for_open_connections_and_takes_no_new_ones(
    servers: list[TcpServer],
) -> None:
    node = await started(servers[0])
    async with talking(node.addresses["stream0"]) as client:
        assert await client.line() == b"before\n"
        node.process.terminate()
        await node.until_logged("draining")
        assert await client.say(b"going on\n") == b"going on\n"
        client.writer.write_eof()
        assert await client.rest() == b"bye\n"

    assert await node.process.wait() == 0
    await node.stop()
    with pytest.raises(ConnectionError):
        async with talking(node.addresses["stream0"]):
            pass


async def test_what_is_open_after_the_drain_time_is_cut(servers: list[TcpServer]) -> None:
    node = await started(servers[0], drain="0.2")
    async with talking(node.addresses["stream0"]) as client:
        assert await client.line() == b"before\n"
        ending = asyncio.ensure_future(node.stop())
        assert await client.rest() == b""
        await ending


async def test_all_workers_take_connections(servers: list[TcpServer]) -> None:
    node = await started(servers[0], workers=2)
    try:
        for _ in range(20):
            async with talking(node.addresses["stream0"]) as client:
                assert await client.line() == b"before\n"
    finally:
        assert await node.stop() == 0
