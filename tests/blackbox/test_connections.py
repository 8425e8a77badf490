"""Client connections: keep-alive, pipelining, half closes, Expect, HTTP/1.0, limits, draining."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest
from tests.support.client import connected
from tests.support.gateway import Gateway, send
from tests.support.upstream import OK, Received, Upstream, answer_ok

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  retries: 0
  routes: [{{name: all, paths: [/], strip_path: false}}]
"""
LIMITS = {
    "KONG_NGINX_HTTP_KEEPALIVE_REQUESTS": "20",
    "KONG_CLIENT_MAX_BODY_SIZE": "100k",
}
GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"


class Gate:
    """Answers once it is opened; what was asked meanwhile waits."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def answer(self, received: Received, writer: asyncio.StreamWriter) -> bool:
        await self.open.wait()
        return await answer_ok(received, writer)


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(url=upstream.url), environment=LIMITS)
    yield gateway
    await gateway.stop()


@pytest.fixture
def asked(upstream: Upstream) -> list[Received]:
    """What reaches the upstream in this test."""
    upstream.answer = answer_ok
    upstream.received.clear()
    return upstream.received


def targets(asked: list[Received]) -> list[str]:
    return [received.target for received in asked]


async def test_one_connection_carries_many_requests(node: Gateway, asked: list[Received]) -> None:
    async with connected(node.proxy) as client:
        for number in range(5):
            client.get(f"/{number}")
            reply = await client.reply()
            assert reply.status == 200
            assert "connection" not in reply.headers
    assert targets(asked) == ["/0", "/1", "/2", "/3", "/4"]


async def test_the_last_request_that_a_connection_may_carry_closes_it(node: Gateway) -> None:
    async with connected(node.proxy) as client:
        for _ in range(20):
            client.get()
            await client.reply()

        assert await client.rest() == b""


@pytest.mark.parametrize(
    "fields", ["Connection: close\r\n", "Connection: keep-alive\r\nConnection: Close\r\n"]
)
async def test_a_client_may_ask_to_close(node: Gateway, fields: str) -> None:
    async with connected(node.proxy) as client:
        client.get("/", fields)

        assert (await client.reply()).headers["connection"] == "close"
        assert await client.rest() == b""


async def test_http_1_0_closes_unless_asked_to_stay(node: Gateway) -> None:
    async with connected(node.proxy) as client:
        client.send("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
        assert (await client.reply()).headers["connection"] == "keep-alive"
        client.send("GET / HTTP/1.0\r\n\r\n")
        assert (await client.reply()).headers["connection"] == "close"
        assert await client.rest() == b""


async def test_pipelined_requests_are_answered_one_by_one_and_in_order(
    node: Gateway, upstream: Upstream, asked: list[Received]
) -> None:
    async def name(received: Received, writer: asyncio.StreamWriter) -> bool:
        body = received.target.encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        return True

    upstream.answer = name
    async with connected(node.proxy) as client:
        client.send(b"".join(GET % number for number in range(15)))

        assert [(await client.reply()).body for _ in range(15)] == [b"/%d" % n for n in range(15)]
    assert targets(asked) == [f"/{n}" for n in range(15)]


async def test_the_next_request_waits_for_its_turn(
    node: Gateway, upstream: Upstream, asked: list[Received]
) -> None:
    gate = Gate()
    upstream.answer = gate.answer
    async with connected(node.proxy) as client:
        client.send(GET % 1 + GET % 2)
        await upstream.until(1, "/1")
        assert targets(asked) == ["/1"]

        gate.open.set()

        assert [(await client.reply()).status for _ in range(2)] == [200, 200]


async def test_whoever_does_not_read_answers_gets_no_more_of_them(
    node: Gateway, upstream: Upstream, asked: list[Received]
) -> None:
    body = b"x" * 200_000

    async def big(received: Received, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        return True

    upstream.answer = big
    node = await Gateway.start(CONFIG.format(url=upstream.url))
    try:
        async with connected(node.proxy) as client:
            client.stop_reading()
            client.send(b"".join(GET % number for number in range(200)))
            last = -1
            while last != len(asked):
                last = len(asked)
                await asyncio.sleep(0.2)

            assert len(asked) < 60
            client.read_on()
            assert [len((await client.reply()).body) for _ in range(200)] == [len(body)] * 200
    finally:
        await node.stop()


async def test_requests_before_a_half_close_are_all_answered(node: Gateway, asked: list[Received]) -> None:
    answer = await node.send(GET % 1 + GET % 2 + GET % 3, half_close=True)

    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert targets(asked) == ["/1", "/2", "/3"]


@pytest.mark.parametrize(
    "beginning",
    [b"GE", b"GET / HTTP/1.1\r\nHo", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"],
)
async def test_what_a_half_close_cuts_is_never_answered_with_success(
    node: Gateway, asked: list[Received], beginning: bytes
) -> None:
    answer = await node.send(GET % 1 + beginning, half_close=True)

    assert answer.count(b"HTTP/1.1 ") <= 2
    assert answer.count(b"HTTP/1.1 200") == 1
    assert [received.target for received in asked] == ["/1"]


async def test_empty_lines_before_a_request_are_ignored(node: Gateway) -> None:
    answer = await node.send(b"\r\n" * 20_000 + b"GET / HTTP/1.0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_request_may_come_byte_by_byte(node: Gateway, asked: list[Received]) -> None:
    async with connected(node.proxy) as client:
        request = (
            b"\r\nPOST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        )
        for byte in request:
            client.send(bytes([byte]))
            await client.writer.drain()
            await asyncio.sleep(0)

        assert (await client.reply()).status == 200
    assert asked[-1].body == b"abc"


async def test_a_head_answer_has_no_body_but_its_length(node: Gateway) -> None:
    async with connected(node.proxy) as client:
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.get()

        first = await client.reply(head_only=True)
        assert (first.status, first.headers["content-length"]) == (200, "15")
        assert len((await client.reply()).body) == 15


async def test_a_head_of_an_error_has_no_body(node: Gateway) -> None:
    empty = await Gateway.start('_format_version: "3.0"\n')
    try:
        async with connected(empty.proxy) as client:
            client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.reply(head_only=True)).status == 404
            assert (await client.reply()).status == 404
    finally:
        await empty.stop()


# Expect


@pytest.mark.parametrize("framing", ["Content-Length: 5", "Transfer-Encoding: chunked"])
async def test_a_client_that_asks_is_invited_once(node: Gateway, asked: list[Received], framing: str) -> None:
    async with connected(node.proxy) as client:
        client.send(f"POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\nExpect: 100-continue\r\n\r\n")
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send("hello" if framing.endswith("5") else "5\r\nhello\r\n0\r\n\r\n")

        line = await client.reader.readline()

    assert line == b"HTTP/1.1 200 OK\r\n"
    assert asked[-1].body == b"hello"


async def test_a_body_that_comes_along_needs_no_invitation(node: Gateway) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"

    assert (await node.send(head + b"ok", half_close=True)).startswith(b"HTTP/1.1 200 ")


async def test_nobody_is_invited_for_nothing(node: Gateway, asked: list[Received]) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 102401\r\nExpect: 100-continue\r\n\r\n"

    answer = await node.send(head, half_close=True)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert asked == []


# Bodies


async def test_a_body_that_comes_while_the_target_is_dialled_is_sent(upstream: Upstream) -> None:
    """The head alone starts the exchange; a name that must be looked up keeps it busy."""
    config = CONFIG.format(url=f"http://named.localhost:{upstream.port}")
    node = await Gateway.start(config)
    try:
        upstream.answer = answer_ok
        async with connected(node.proxy) as client:
            client.send("POST /late HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            await client.writer.drain()
            client.send("3\r\nabc\r\n0\r\n\r\n")
            status = (await client.reply()).status
        assert status == 200
        assert upstream.received[-1].body == b"abc"
    finally:
        await node.stop()


async def test_an_unread_body_does_not_cost_the_answer(node: Gateway, asked: list[Received]) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n"

    answer = await send(node.proxy, head + b"x" * 5_000_000)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert asked == []


async def test_a_chunked_body_is_counted_as_it_comes(node: Gateway) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

    answer = await send(
        node.proxy, head + b"8000\r\n" + b"x" * 0x8000 + b"\r\n" + b"ffff\r\n" + b"x" * 200_000
    )

    assert answer.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 400 "))


async def test_a_body_of_exactly_the_limit_passes(node: Gateway, asked: list[Received]) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 102400\r\n\r\n"

    assert (await send(node.proxy, head + b"x" * 102_400)).startswith(b"HTTP/1.1 200 ")
    assert len(asked[-1].body) == 102_400


# Heads


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"a" * 8_000 + b" HTTP/1.1\r\nHost: a\r\n", b"200"),
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n", b"414"),
        (b"GET /" + b"a" * 200_000, b"414"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 8_000 + b"\r\n", b"200"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9_000 + b"\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: %b\r\n" % (b"a" * 8000) * 9, b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 998, b"200"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 999, b"400"),
        (b"GET / HTTP/1.1\nHost: a\n", b"400"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n", b"505"),
        (b"PRI * HTTP/2.0\r\n", b"505"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", b"400"),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n", b"400"),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\n", b"405"),
        (b"GET / HTTP/1.1\r\n", b"400"),
        (b"GET /../x HTTP/1.1\r\nHost: a\r\n", b"400"),
    ],
    ids=lambda value: repr(value[:20]),
)
async def test_a_head_has_its_limits(node: Gateway, head: bytes, status: bytes) -> None:
    answer = await send(node.proxy, head + b"Connection: close\r\n\r\n" if status != b"414" else head)

    assert answer[9:12] == status
    if status != b"200":
        assert b"\r\nConnection: close\r\n" in answer


# Going down


async def test_a_draining_node_answers_what_it_has_begun(upstream: Upstream) -> None:
    gate = Gate()
    upstream.answer = gate.answer
    upstream.received.clear()
    node = await Gateway.start(CONFIG.format(url=upstream.url))
    async with connected(node.proxy) as busy, connected(node.proxy) as idle:
        idle.send("GET")
        busy.get("/busy")
        await upstream.until(1, "/busy")

        node.process.send_signal(signal.SIGTERM)
        assert await idle.rest() == b""
        gate.open.set()

        reply = await busy.reply()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert reply.body == OK.partition(b"\r\n\r\n")[2]
        assert await busy.rest() == b""
    assert await node.process.wait() == 0
    await node.stop()
