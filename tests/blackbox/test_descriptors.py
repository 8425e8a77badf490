"""A worker that has no more file descriptors: it rests, and goes on when it has some again."""

import asyncio
import resource
from pathlib import Path

import pytest
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes: [{{name: all, paths: [/]}}]
- name: bytes
  url: tcp://{host}
  routes: [{{name: tcp, protocols: [tcp], sources: [{{ip: 127.0.0.1}}]}}]
"""
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PROXIED = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + REQUEST
#: descriptors that the worker has left, and connections that want one
LEFT, MANY = 10, 60


def limited(pid: int) -> tuple[int, int]:
    """Leaves few descriptors to a process; returns the limits that it had."""
    had = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = max(int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 1 + LEFT, had[1]))
    return had


async def answered(address: tuple[str, int], data: bytes) -> bool:
    writer = None
    try:
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(data)
            return await reader.readexactly(12) == b"HTTP/1.1 200"
    except (ConnectionError, asyncio.IncompleteReadError):
        return False
    finally:
        if writer is not None:
            writer.close()


async def is_reset(reader: asyncio.StreamReader) -> None:
    """Raises `ConnectionError`, or `TimeoutError` if nothing becomes of the connection."""
    async with asyncio.timeout(30):
        if not await reader.read():
            raise ConnectionResetError


@pytest.mark.parametrize(
    ("proxy", "listener", "data"),
    [
        ("127.0.0.1:0", "proxy", REQUEST),
        ("127.0.0.1:0 proxy_protocol", "proxy", PROXIED),
        ("127.0.0.1:0", "stream0", REQUEST),
    ],
    ids=["plain", "PROXY protocol", "stream"],
)
async def test_many_connections(upstream: Upstream, proxy: str, listener: str, data: bytes) -> None:
    config = CONFIG.format(url=upstream.url, host=f"127.0.0.1:{upstream.port}")
    settings = {"KONG_PROXY_LISTEN": proxy, "KONG_STREAM_LISTEN": "127.0.0.1:0"}
    node = await Gateway.start(config, environment=settings, workers=1)
    try:
        address = node.addresses[listener]
        assert await answered(address, data)
        about = (await node.admin_request("GET", "/")).json()
        assert isinstance(about, dict)
        (worker,) = about["pids"]["workers"]
        had = limited(worker)
        waiting = [await asyncio.open_connection(*address) for _ in range(MANY)]
        if (proxy, listener) == ("127.0.0.1:0", "proxy"):
            with pytest.raises(ConnectionError):  # uvloop's way: those who are too many are closed
                await is_reset(waiting[-1][0])
        else:
            await node.until_logged("Too many open files")
        for _, writer in waiting:
            writer.close()

        async with asyncio.timeout(30):
            while not await answered(address, data):
                await asyncio.sleep(0.05)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, had)
        assert await answered(address, data)
        assert sum("cannot accept" in line for line in node.errors) < MANY
    finally:
        assert await node.stop() == 0
