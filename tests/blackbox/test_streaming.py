"""Bodies that stream, in both directions: nobody's slowness becomes the gateway's memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.support.gateway import Gateway, read_reply
from tests.support.upstream import OK, Received, Upstream

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: http://127.0.0.1:{port}
  retries: 0
  routes: [{{name: all, paths: [/], strip_path: false}}]
"""
MEGABYTE = 1024 * 1024
BIG = 64 * MEGABYTE
#: what the gateway may hold: the windows of both connections and what one read brings
HELD = 4 * MEGABYTE
#: the same with the kernel's socket buffers on the way
ON_THE_WAY = 24 * MEGABYTE


class ByteServer:
    """An upstream that reads and writes as slowly as it is told."""

    def __init__(self) -> None:
        self.read_bytes = 0
        self.written = 0
        self.may_read = asyncio.Event()
        self.closed = asyncio.Event()
        self.may_read.set()

    async def start(self) -> "ByteServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"POST /early"):
                writer.write(OK)
                await writer.drain()
                await reader.read()
            elif head.startswith(b"POST"):
                await self._swallow(reader, writer)
            else:
                await self._pour(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.closed.set()
        finally:
            writer.close()

    async def _swallow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while self.read_bytes < BIG:
            await self.may_read.wait()
            data = await reader.read(65536)
            if not data:
                self.closed.set()
                return
            self.read_bytes += len(data)
        writer.write(OK)
        await writer.drain()

    async def _pour(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
        piece = b"x" * 65536
        while self.written < BIG:
            writer.write(piece)
            self.written += len(piece)
            await writer.drain()


@pytest.fixture
async def bytes_upstream() -> AsyncIterator[ByteServer]:
    server = await ByteServer().start()
    yield server
    await server.stop()


@pytest.fixture
async def node(bytes_upstream: ByteServer) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(port=bytes_upstream.port))
    yield gateway
    await gateway.stop()


async def resident_bytes(node: Gateway) -> int:
    body = (await node.admin_request("GET", "/")).json()
    assert isinstance(body, dict)
    pid = body["pids"]["workers"][0]
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


async def at_rest(number: Callable[[], int]) -> int:
    """Waits until a number no longer grows."""
    last = -1
    while last != (now := number()):
        last = now
        await asyncio.sleep(0.3)
    return last


async def test_a_client_that_does_not_read_stops_the_upstream(
    node: Gateway, bytes_upstream: ByteServer
) -> None:
    before = await resident_bytes(node)
    reader, writer = await asyncio.open_connection(*node.proxy, limit=65536)
    writer.write(b"GET /pour HTTP/1.1\r\nHost: a\r\n\r\n")

    poured = await at_rest(lambda: bytes_upstream.written)

    assert poured < ON_THE_WAY
    assert await resident_bytes(node) - before < HELD
    reply = await read_reply(reader)
    assert len(reply.body) == BIG
    writer.close()


async def test_an_upstream_that_does_not_read_stops_the_client(
    node: Gateway, bytes_upstream: ByteServer
) -> None:
    bytes_upstream.may_read.clear()
    before = await resident_bytes(node)
    reader, writer = await asyncio.open_connection(*node.proxy)
    writer.write(b"POST /swallow HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % BIG)
    sent = 0

    async def push() -> None:
        nonlocal sent
        while sent < BIG:
            writer.write(b"y" * 65536)
            sent += 65536
            await writer.drain()

    pushing = asyncio.ensure_future(push())
    pushed = await at_rest(lambda: sent)

    assert pushed < ON_THE_WAY
    assert await resident_bytes(node) - before < HELD
    bytes_upstream.may_read.set()
    await pushing
    assert (await read_reply(reader)).status == 200
    writer.close()


async def test_a_client_that_hangs_up_ends_the_upstream_request(
    node: Gateway, bytes_upstream: ByteServer
) -> None:
    _, writer = await asyncio.open_connection(*node.proxy)
    writer.write(b"GET /pour HTTP/1.1\r\nHost: a\r\n\r\n")
    await at_rest(lambda: bytes_upstream.written)

    writer.transport.abort()

    async with asyncio.timeout(10):
        await bytes_upstream.closed.wait()


async def answer_in_chunks(received: Received, writer: asyncio.StreamWriter) -> bool:
    match received.target:
        case "/chunks":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for number in range(5):
                writer.write(b"7\r\nchunk-%d\r\n" % number)
                await asyncio.sleep(0.01)
            writer.write(b"0\r\n\r\n")
        case "/until-close":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
            return False
        case "/cut":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            return False
        case _:
            writer.write(OK)
    return True


@pytest.fixture(scope="module")
async def chunked_upstream() -> AsyncIterator[Upstream]:
    server = await Upstream(answer_in_chunks).start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def chunked_node(chunked_upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(port=chunked_upstream.port))
    yield gateway
    await gateway.stop()


async def test_chunks_pass_on_as_they_come(chunked_node: Gateway) -> None:
    reply = await chunked_node.request("GET", "/chunks")

    assert reply.headers["transfer-encoding"] == "chunked"
    assert reply.body == b"".join(b"chunk-%d" % n for n in range(5))


async def test_a_body_without_length_ends_with_the_upstreams_connection(chunked_node: Gateway) -> None:
    assert (await chunked_node.request("GET", "/until-close")).body == b"until the end"


async def test_a_1_0_client_gets_no_chunks(chunked_node: Gateway) -> None:
    answer = await chunked_node.send(b"GET /chunks HTTP/1.0\r\n\r\n")

    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert body == b"".join(b"chunk-%d" % n for n in range(5))


async def test_a_1_0_client_may_keep_its_connection(chunked_node: Gateway) -> None:
    reader, writer = await asyncio.open_connection(*chunked_node.proxy)
    for _ in range(2):
        writer.write(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        reply = await read_reply(reader)
        assert reply.headers["connection"] == "keep-alive"
    writer.close()


async def test_a_chunked_request_reaches_the_upstream(
    chunked_node: Gateway, chunked_upstream: Upstream
) -> None:
    reader, writer = await asyncio.open_connection(*chunked_node.proxy)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for piece in (b"5\r\nhel", b"lo\r\n", b"6\r\n world\r", b"\n0\r\n\r\n"):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.02)

    assert (await read_reply(reader)).status == 200
    assert chunked_upstream.received[-1].body == b"hello world"
    writer.close()


async def test_expect_100_is_answered_before_the_body_is_sent(
    chunked_node: Gateway, chunked_upstream: Upstream
) -> None:
    reader, writer = await asyncio.open_connection(*chunked_node.proxy)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")

    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"hello")
    assert (await read_reply(reader)).status == 200
    assert chunked_upstream.received[-1].body == b"hello"
    assert "expect" not in chunked_upstream.received[-1].headers
    writer.close()


async def test_pipelined_requests_are_answered_in_order(chunked_node: Gateway) -> None:
    reader, writer = await asyncio.open_connection(*chunked_node.proxy)
    writer.write(
        b"GET /chunks HTTP/1.1\r\nHost: a\r\n\r\n"
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        b"GET /until-close HTTP/1.1\r\nHost: a\r\n\r\n"
        b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
    )

    replies = [await read_reply(reader) for _ in range(3)]
    replies.append(await read_reply(reader, head_only=True))

    assert [r.body[:5] for r in replies] == [b"chunk", b'{"ech', b"until", b""]
    writer.close()


async def test_an_answer_before_the_end_of_the_upload_is_passed_on(node: Gateway) -> None:
    reader, writer = await asyncio.open_connection(*node.proxy)
    writer.write(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n" + b"z" * 1000)

    reply = await read_reply(reader)

    assert reply.status == 200
    assert await reader.read() == b""  # the rest of the upload has nowhere to go
    writer.close()


async def test_a_cut_stream_does_not_end_cleanly(chunked_node: Gateway) -> None:
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await chunked_node.request("GET", "/cut")
