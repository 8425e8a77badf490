"""Who waits for whom and for how long: clients that dawdle, targets that do."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.support.client import connected
from tests.support.gateway import Gateway
from tests.support.upstream import OK, Received, Upstream, answer_ok

SHORT = 0.4
CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  retries: 0
  read_timeout: 400
  write_timeout: 400
  connect_timeout: 400
  routes: [{{name: all, paths: [/], strip_path: false}}]
- name: patient
  url: {url}
  retries: 0
  routes: [{{name: patient, paths: [/patient], strip_path: false}}]
- name: nowhere
  url: http://{full}
  retries: 0
  connect_timeout: 400
  routes: [{{name: nowhere, paths: [/nowhere]}}]
"""
IMPATIENT = {
    "KONG_NGINX_HTTP_CLIENT_HEADER_TIMEOUT": f"{SHORT}s",
    "KONG_NGINX_HTTP_CLIENT_BODY_TIMEOUT": f"{SHORT}s",
    "KONG_NGINX_HTTP_KEEPALIVE_TIMEOUT": f"{SHORT}s",
    "KONG_NGINX_HTTP_SEND_TIMEOUT": f"{SHORT}s",
}
BIG = 64 * 1024 * 1024


class Sluggish:
    """A target that reads a head and then nothing, or pours without end, until the other side goes."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self._ending = asyncio.Event()

    async def start(self) -> "Sluggish":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1024)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    def stop(self) -> None:
        self._ending.set()
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"POST"):
                await self._ending.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
            for _ in range(BIG // 65536):
                writer.write(b"x" * 65536)
                await writer.drain()
        except ConnectionError:
            self.gone.set()
        finally:
            writer.close()


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    # 192.0.2.0/24 is for documentation (RFC 5737): nobody answers there.
    config = CONFIG.format(url=upstream.url, full="192.0.2.1:81")
    gateway = await Gateway.start(config, environment=IMPATIENT)
    yield gateway
    await gateway.stop()


@pytest.fixture(autouse=True)
def friendly(upstream: Upstream) -> None:
    upstream.answer = answer_ok
    upstream.received.clear()


@pytest.fixture
def ending() -> Iterator[asyncio.Event]:
    """What a target waits for that does nothing; it comes when the test is over."""
    event = asyncio.Event()
    yield event
    event.set()


# Clients


@pytest.mark.parametrize(
    "beginning", [b"G", b"GET / HTTP/1.1\r\nHost: a\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r"]
)
async def test_a_head_that_never_ends_is_answered_408(node: Gateway, beginning: bytes) -> None:
    async with connected(node.proxy) as client:
        client.send(beginning)

        assert (await client.reply()).status == 408
        assert await client.rest() == b""


async def test_a_connection_without_a_request_is_closed_silently(node: Gateway) -> None:
    async with connected(node.proxy) as client:
        assert await client.rest() == b""


async def test_an_idle_connection_is_closed_after_its_request(node: Gateway) -> None:
    async with connected(node.proxy) as client:
        client.get()
        assert (await client.reply()).status == 200
        assert await client.rest() == b""


async def test_an_idle_connection_is_closed_after_a_long_answer_too(
    node: Gateway, upstream: Upstream
) -> None:
    async def pour(received: Received, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 8_000_000)
        return True

    upstream.answer = pour
    async with connected(node.proxy) as client:
        client.get("/patient")
        assert len((await client.reply()).body) == 8_000_000
        assert await client.rest() == b""


@pytest.mark.parametrize(
    "body", [b"Content-Length: 9\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nab"]
)
async def test_a_body_that_stops_is_answered_408(node: Gateway, upstream: Upstream, body: bytes) -> None:
    async with connected(node.proxy) as client:
        client.send(b"POST /patient HTTP/1.1\r\nHost: a\r\n" + body)

        assert (await client.reply()).status == 408
        assert await client.rest() == b""


async def test_a_slow_body_is_in_time_as_long_as_it_goes_on(node: Gateway, upstream: Upstream) -> None:
    async with connected(node.proxy) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(SHORT / 4)
            client.send(b"x")

        assert (await client.reply()).status == 200
    assert upstream.received[-1].body == b"x" * 8


async def test_a_client_that_waits_to_be_invited_owes_nothing(upstream: Upstream) -> None:
    """The target takes longer to dial than a body may take: the client is not yet asked for one."""
    config = CONFIG.format(url=upstream.url, full="192.0.2.1:81").replace("400", "1500")
    node = await Gateway.start(config, environment=IMPATIENT)
    try:
        async with connected(node.proxy) as client:
            client.send(
                b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
            )
            assert (await client.reply()).status in (502, 504)
    finally:
        await node.stop()


async def test_a_client_that_takes_nothing_is_dropped_and_so_is_its_upstream() -> None:
    target = await Sluggish().start()
    config = CONFIG.format(url=f"http://127.0.0.1:{target.port}", full="192.0.2.1:81")
    node = await Gateway.start(config, environment=IMPATIENT)
    try:
        async with connected(node.proxy) as client:
            client.stop_reading()
            client.get("/patient")
            async with asyncio.timeout(15):
                await target.gone.wait()
    finally:
        await node.stop()
        target.stop()


# Targets


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
async def test_a_target_that_does_not_answer_is_a_504(
    node: Gateway, upstream: Upstream, ending: asyncio.Event, beginning: bytes
) -> None:
    async def never(received: Received, writer: asyncio.StreamWriter) -> bool:
        writer.write(beginning)
        await ending.wait()
        return False

    upstream.answer = never
    async with connected(node.proxy) as client:
        client.get()
        reply = await client.reply()

    assert reply.status == 504
    assert b"The upstream server is timing out" in reply.body
    assert "x-kong-upstream-latency" in reply.headers


async def test_an_answer_that_stops_is_cut_for_the_client_too(
    node: Gateway, upstream: Upstream, ending: asyncio.Event
) -> None:
    async def half(received: Received, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await ending.wait()
        return False

    upstream.answer = half
    async with connected(node.proxy) as client:
        client.get()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.reply()


async def test_an_answer_may_take_long_as_long_as_it_goes_on(node: Gateway, upstream: Upstream) -> None:
    async def slow(received: Received, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(SHORT / 4)
            writer.write(b"x")
        return True

    upstream.answer = slow
    async with connected(node.proxy) as client:
        client.get()
        assert (await client.reply()).body == b"x" * 8


async def test_a_target_that_takes_no_more_is_a_504() -> None:
    target = await Sluggish().start()
    config = CONFIG.format(url=f"http://127.0.0.1:{target.port}", full="192.0.2.1:81")
    node = await Gateway.start(config)
    try:
        async with connected(node.proxy) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % BIG)
            client.send(b"x" * BIG)
            assert (await client.reply()).status == 504
    finally:
        await node.stop()
        target.stop()


async def test_a_client_slower_than_the_targets_write_timeout_is_served(upstream: Upstream) -> None:
    """Nothing waits for the target meanwhile: the timeout is not its to keep."""
    node = await Gateway.start(CONFIG.format(url=upstream.url, full="192.0.2.1:81"))
    try:
        async with connected(node.proxy) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx")
            await asyncio.sleep(3 * SHORT)
            client.send(b"y")
            assert (await client.reply()).status == 200
    finally:
        await node.stop()


async def test_a_target_that_cannot_be_reached_is_a_504_or_502(node: Gateway) -> None:
    reply = await node.request("GET", "/nowhere")

    # 502 where the network says at once that there is no way.
    assert reply.status in (504, 502)


async def test_a_timed_out_connection_is_not_used_again(node: Gateway, upstream: Upstream) -> None:
    async def late(received: Received, writer: asyncio.StreamWriter) -> bool:
        if received.target == "/late":
            await asyncio.sleep(2 * SHORT)
            writer.write(OK.replace(b"okay", b"late"))
            return True
        return await answer_ok(received, writer)

    upstream.answer = late
    assert (await node.request("GET", "/late")).status == 504

    assert b"okay" in (await node.request("GET", "/soon")).body
