"""Connections to targets: kept and reused, and what is tried again when one fails."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from tests.support.client import connected
from tests.support.gateway import Gateway, Reply
from tests.support.upstream import OK, Received, Upstream, answer_ok

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  retries: 2
  read_timeout: 400
  routes: [{{name: all, paths: [/], strip_path: false}}]
- name: pair
  host: pair.test
  retries: 1
  routes: [{{name: pair, paths: [/pair], strip_path: false}}]
- name: none
  url: http://127.0.0.1:{closed}
  retries: 3
  routes: [{{name: none, paths: [/none]}}]
- name: empty
  host: empty.test
  routes: [{{name: empty, paths: [/empty]}}]
upstreams:
- name: pair.test
  targets:
  - {{target: "127.0.0.1:{port}"}}
  - {{target: "127.0.0.1:{closed}"}}
- name: empty.test
  targets: [{{target: "127.0.0.1:{port}", weight: 0}}]
"""
SAFE = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]
UNSAFE = ["POST", "PATCH", "LOCK"]


def closed_port() -> int:
    """A port that nobody listens on. It stays bound, so that no other test gets it."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    HELD.append(sock)
    return int(sock.getsockname()[1])


HELD: list[socket.socket] = []


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await start(upstream)
    yield gateway
    await gateway.stop()
    while HELD:
        HELD.pop().close()


async def start(upstream: Upstream, **environment: str) -> Gateway:
    config = CONFIG.format(url=upstream.url, port=upstream.port, closed=closed_port())
    return await Gateway.start(config, environment=environment)


@pytest.fixture(autouse=True)
def friendly(upstream: Upstream) -> None:
    upstream.answer = answer_ok
    upstream.received.clear()
    upstream.connections = 0


async def ask(node: Gateway, method: str = "GET", path: str = "/", body: str = "") -> Reply:
    async with connected(node.proxy) as client:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        client.send(f"{method} {path} HTTP/1.1\r\nHost: a\r\n{length}\r\n{body}")
        return await client.reply(head_only=method == "HEAD")


# Keeping


async def test_clients_share_kept_connections(node: Gateway, upstream: Upstream) -> None:
    for _ in range(5):
        assert (await ask(node)).status == 200

    assert upstream.connections <= 1


async def test_requests_at_the_same_time_never_share_one(node: Gateway, upstream: Upstream) -> None:
    arrived: list[str] = []
    everybody = asyncio.Event()

    async def together(received: Received, writer: asyncio.StreamWriter) -> bool:
        arrived.append(received.target)
        if len(arrived) == 5:
            everybody.set()
        await everybody.wait()
        body = received.target.encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        return True

    upstream.answer = together
    replies = await asyncio.gather(*(ask(node, path=f"/{number}") for number in range(5)))

    assert [reply.body for reply in replies] == [b"/%d" % number for number in range(5)]


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n", 1),
        OK.replace(b"HTTP/1.1", b"HTTP/1.0", 1),
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\nevil",
    ],
)
async def test_a_connection_that_cannot_be_trusted_is_not_reused(
    node: Gateway, upstream: Upstream, answer: bytes
) -> None:
    carried: dict[str, asyncio.StreamWriter] = {}

    async def once(received: Received, writer: asyncio.StreamWriter) -> bool:
        carried[received.target] = writer
        if received.target != "/odd":
            return await answer_ok(received, writer)
        writer.write(answer)
        return True

    upstream.answer = once
    assert (await ask(node, path="/odd")).status < 300

    assert b"okay" in (await ask(node, path="/next")).body
    # The connection used last is the first to be used again.
    assert carried["/next"] is not carried["/odd"]


async def test_what_a_target_says_unasked_reaches_nobody(upstream: Upstream) -> None:
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        if not closed.is_set():
            await writer.drain()
            await answered.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            assert await reader.read() == b""
            closed.set()
        writer.close()

    answered = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = CONFIG.format(url=f"http://127.0.0.1:{port}", port=port, closed=closed_port())
    node = await Gateway.start(config)
    try:
        await ask(node)
        answered.set()
        async with asyncio.timeout(10):
            await closed.wait()
        assert b"okay" in (await ask(node)).body
    finally:
        server.close()
        await node.stop()


@pytest.mark.parametrize(
    ("setting", "value", "connections"),
    [
        ("KONG_UPSTREAM_KEEPALIVE_POOL_SIZE", "0", 4),
        ("KONG_UPSTREAM_KEEPALIVE_MAX_REQUESTS", "2", 2),
        ("KONG_UPSTREAM_KEEPALIVE_MAX_REQUESTS", "0", 1),
        ("KONG_UPSTREAM_KEEPALIVE_IDLE_TIMEOUT", "0", 1),
    ],
)
async def test_the_settings_say_how_long_connections_are_kept(
    upstream: Upstream, setting: str, value: str, connections: int
) -> None:
    node = await start(upstream, **{setting: value})
    try:
        for _ in range(4):
            await ask(node)
        assert upstream.connections == connections
    finally:
        await node.stop()


async def test_an_idle_connection_is_closed_in_time(upstream: Upstream) -> None:
    closed = asyncio.Event()
    node = await start(upstream, KONG_UPSTREAM_KEEPALIVE_IDLE_TIMEOUT="0.3")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        assert await reader.read() == b""
        closed.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        await node.configure(CONFIG.format(url=f"http://127.0.0.1:{port}", port=port, closed=closed_port()))
        await ask(node)
        async with asyncio.timeout(10):
            await closed.wait()
    finally:
        server.close()
        await node.stop()


# Trying again


class Faulty:
    """Fails in some way until it has done so often enough."""

    def __init__(self, failures: int, says: bytes = b"") -> None:
        self.failures = failures
        self.says = says
        self.asked = 0

    async def answer(self, received: Received, writer: asyncio.StreamWriter) -> bool:
        self.asked += 1
        if self.asked > self.failures:
            return await answer_ok(received, writer)
        writer.write(self.says)
        return False


@pytest.mark.parametrize("method", SAFE)
async def test_a_safe_request_is_tried_again(node: Gateway, upstream: Upstream, method: str) -> None:
    await close_kept(node, upstream)
    upstream.answer = (faulty := Faulty(2)).answer

    assert (await ask(node, method)).status == 200
    assert faulty.asked == 3


async def test_retries_come_to_an_end(node: Gateway, upstream: Upstream) -> None:
    await close_kept(node, upstream)
    upstream.answer = (faulty := Faulty(99)).answer

    reply = await ask(node)

    assert (reply.status, faulty.asked) == (502, 3)
    assert b"An invalid response was received from the upstream server" in reply.body
    assert "via" in reply.headers


@pytest.mark.parametrize("method", UNSAFE)
async def test_an_unsafe_request_that_was_seen_is_never_repeated(
    node: Gateway, upstream: Upstream, method: str
) -> None:
    await ask(node)  # so that a kept connection is at hand
    upstream.answer = (faulty := Faulty(1)).answer

    assert (await ask(node, method, body="x")).status == 502
    assert faulty.asked == 1


async def test_a_kept_connection_that_has_gone_costs_no_retry(upstream: Upstream) -> None:
    config = CONFIG.replace("retries: 2", "retries: 0")
    node = await Gateway.start(config.format(url=upstream.url, port=upstream.port, closed=closed_port()))
    try:
        await ask(node)
        upstream.answer = (faulty := Faulty(1)).answer

        assert (await ask(node)).status == 200
        assert faulty.asked == 2
    finally:
        await node.stop()


async def test_a_new_connection_without_an_answer_is_no_stale_one(upstream: Upstream) -> None:
    config = CONFIG.replace("retries: 2", "retries: 0")
    node = await Gateway.start(config.format(url=upstream.url, port=upstream.port, closed=closed_port()))
    try:
        upstream.answer = (faulty := Faulty(1)).answer

        assert (await ask(node)).status == 502
        assert faulty.asked == 1
    finally:
        await node.stop()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    ],
)
async def test_nonsense_is_an_answer_and_not_asked_for_again(
    node: Gateway, upstream: Upstream, nonsense: bytes
) -> None:
    upstream.answer = (faulty := Faulty(99, nonsense)).answer

    assert (await ask(node)).status == 502
    assert faulty.asked == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
async def test_a_status_is_never_tried_again(node: Gateway, upstream: Upstream, status: int) -> None:
    says = b"HTTP/1.1 %d X\r\nContent-Length: 3\r\n\r\nbad" % status
    upstream.answer = (faulty := Faulty(99, says)).answer

    reply = await ask(node)

    assert (reply.status, reply.body, faulty.asked) == (status, b"bad", 1)


async def test_a_timeout_is_tried_again(node: Gateway, upstream: Upstream) -> None:
    ending = asyncio.Event()
    asked = 0

    async def slow_first(received: Received, writer: asyncio.StreamWriter) -> bool:
        nonlocal asked
        asked += 1
        if asked == 1:
            await ending.wait()
            return False
        return await answer_ok(received, writer)

    upstream.answer = slow_first
    assert (await ask(node)).status == 200
    assert asked == 2
    ending.set()


@pytest.mark.parametrize("method", [*SAFE, *UNSAFE])
async def test_a_refused_connection_goes_to_another_target(
    node: Gateway, upstream: Upstream, method: str
) -> None:
    statuses = [(await ask(node, method, "/pair", "x" if method in UNSAFE else "")).status for _ in range(4)]

    assert statuses == [200] * 4
    assert {received.headers["host"] for received in upstream.received} == {f"127.0.0.1:{upstream.port}"}


async def test_nobody_there_at_all_is_a_502(node: Gateway) -> None:
    reply = await ask(node, path="/none")

    assert reply.status == 502
    assert {"via", "x-kong-proxy-latency"} <= reply.headers.keys()


async def test_an_upstream_without_weight_is_a_503(node: Gateway) -> None:
    reply = await ask(node, path="/empty")

    assert reply.status == 503
    assert reply.json()["message"] == "failure to get a peer from the ring-balancer"  # type: ignore[index]
    assert "via" not in reply.headers


async def test_a_streamed_upload_is_not_begun_twice(node: Gateway, upstream: Upstream) -> None:
    await close_kept(node, upstream)
    upstream.answer = (faulty := Faulty(1)).answer
    async with connected(node.proxy) as client:
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        await client.writer.drain()
        await asyncio.sleep(0.05)
        client.send("cd")
        status = (await client.reply()).status

    assert (status, faulty.asked) == (502, 1)


async def close_kept(node: Gateway, upstream: Upstream) -> None:
    """Has the target end the connection that the gateway keeps."""

    async def last(received: Received, writer: asyncio.StreamWriter) -> bool:
        writer.write(OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n", 1))
        return False

    upstream.answer = last
    await ask(node, path="/last")
