"""The access log of connections without HTTP: nginx's format `basic`."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.gateway import Gateway
from tests.support.lines import lines_of
from tests.support.tcp import TcpServer, talking

CONFIG = """_format_version: "3.0"
services:
- {{name: tcp, url: "tcp://127.0.0.1:{port}", routes: [
    {{name: tcp, protocols: [tcp], sources: [{{ip: 127.0.0.1}}]}}]}}
- {{name: udp, url: "udp://127.0.0.1:{datagrams}", read_timeout: 100, routes: [
    {{name: udp, protocols: [udp], sources: [{{ip: 127.0.0.1}}]}}]}}
"""
LINE = re.compile(r"(\S+) \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}] (\w+) (\d{3}) (\d+) (\d+) \d+\.\d{3}")


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[TcpServer]:
    started = await TcpServer("server").start()
    yield started
    started.stop()


async def told(path: Path, count: int) -> tuple[str, ...]:
    """Client, protocol, status, bytes sent and received, of the last of so many lines."""
    line = (await lines_of(path, count))[-1]
    found = LINE.fullmatch(line)
    assert found, line
    return found.groups()


async def test_a_line_for_each_connection_that_has_ended(server: TcpServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1", 0))
        node = await Gateway.start(
            CONFIG.format(port=server.port, datagrams=target.getsockname()[1]),
            environment={
                "KONG_STREAM_LISTEN": "127.0.0.1:0, 127.0.0.1:0 udp",
                "KONG_PROXY_STREAM_ACCESS_LOG": "logs/stream.log",
            },
        )
        try:
            path = node.folder / "logs/stream.log"
            async with talking(node.addresses["stream0"]) as client:
                assert await client.line() == b"server\n"
                assert await client.say(b"hello!\n") == b"hello!\n"
            # The server says goodbye to whom it may no longer reach.
            ip, transport, status, sent, received = await told(path, 1)
            assert (ip, transport, status, received) == ("127.0.0.1", "TCP", "200", "7")
            assert int(sent) >= len(b"server\nhello!\n")

            async with talking(node.addresses["stream0"], source=("127.0.0.2", 0)) as refused:
                assert await refused.rest() == b""
            assert await told(path, 2) == ("127.0.0.2", "TCP", "500", "0", "0")

            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                await asyncio.to_thread(sender.sendto, b"ping", node.addresses["stream1"])
                assert await told(path, 3) == ("127.0.0.1", "UDP", "200", "0", "4")
        finally:
            assert await node.stop() == 0
