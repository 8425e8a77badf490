"""request-size-limiting: what is too much, by declared length and by what arrives."""

from collections.abc import AsyncIterator

import pytest
from tests.support.client import connected
from tests.support.gateway import Gateway, Reply
from tests.support.upstream import Upstream

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes:
  - {{name: bytes, paths: [/bytes], plugins: [{{name: request-size-limiting,
      config: {{allowed_payload_size: 10, size_unit: bytes}}}}]}}
  - {{name: kilobytes, paths: [/kilobytes], plugins: [{{name: request-size-limiting,
      config: {{allowed_payload_size: 1, size_unit: kilobytes}}}}]}}
  - {{name: megabytes, paths: [/megabytes], plugins: [{{name: request-size-limiting,
      config: {{allowed_payload_size: 2}}}}]}}
  - {{name: length, paths: [/length], plugins: [{{name: request-size-limiting,
      config: {{require_content_length: true}}}}]}}
"""
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(url=upstream.url))
    yield gateway
    await gateway.stop()


async def chunked(node: Gateway, path: str, *sizes: int, end: bool = True) -> Reply:
    async with connected(node.proxy) as client:
        client.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for size in sizes:
            client.send(b"%x\r\n%s\r\n" % (size, b"x" * size))
            await client.writer.drain()
        if end:
            client.send(b"0\r\n\r\n")
        return await client.reply()


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/bytes", 0, 200),
        ("/bytes", 10, 200),
        ("/bytes", 11, 413),
        ("/kilobytes", 1024, 200),
        ("/kilobytes", 1025, 413),
        ("/megabytes", 2 * MEGABYTE, 200),
        ("/megabytes", 2 * MEGABYTE + 1, 413),
    ],
)
async def test_a_declared_length_decides(node: Gateway, path: str, size: int, status: int) -> None:
    reply = await node.request("POST", path, body=b"x" * size)

    assert reply.status == status
    if status == 413:
        assert '"message":"Request size limit exceeded"' in reply.body.decode()


async def test_what_is_too_long_is_refused_before_it_is_sent(node: Gateway) -> None:
    async with connected(node.proxy) as client:
        client.send("POST /bytes HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999\r\n\r\n")
        assert (await client.reply()).status == 413


async def test_a_client_that_asks_first_is_told_417(node: Gateway) -> None:
    async with connected(node.proxy) as client:
        client.send("POST /bytes HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n")
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await client.reply()).status == 417


@pytest.mark.parametrize(
    ("path", "sizes", "status"),
    [
        ("/bytes", (5, 5), 200),
        ("/bytes", (5, 6), 413),
        ("/megabytes", (MEGABYTE, MEGABYTE), 200),
        ("/megabytes", (MEGABYTE, MEGABYTE, 1), 413),
    ],
)
async def test_a_chunked_body_is_counted(
    node: Gateway, upstream: Upstream, path: str, sizes: tuple[int, ...], status: int
) -> None:
    before = len(upstream.received)

    assert (await chunked(node, path, *sizes)).status == status
    if status == 200:
        assert len(upstream.received[-1].body) == sum(sizes)
    else:
        assert len(upstream.received) == before


async def test_a_chunked_body_without_end_is_refused_at_the_limit(node: Gateway) -> None:
    assert (await chunked(node, "/megabytes", MEGABYTE, MEGABYTE, MEGABYTE, end=False)).status == 413


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("GET", "", 411),
        ("POST", "", 411),
        ("POST", "Content-Length: 0\r\n", 200),
        ("POST", "Transfer-Encoding: chunked\r\n", 200),
    ],
)
async def test_a_length_may_be_required(node: Gateway, method: str, fields: str, status: int) -> None:
    async with connected(node.proxy) as client:
        client.send(f"{method} /length HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
        if "chunked" in fields:
            client.send("0\r\n\r\n")
        reply = await client.reply()

    assert reply.status == status
    if status == 411:
        assert "A valid Content-Length header is required" in reply.body.decode()
