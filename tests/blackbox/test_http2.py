"""HTTP/2 of clients: by ALPN and by prior knowledge, many streams at once, and what is not put up with."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import httpx
import pytest
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, StreamReset
from hyperframe.frame import ContinuationFrame, HeadersFrame, PingFrame
from tests.support.client import connected
from tests.support.gateway import Gateway
from tests.support.http2 import http2_connected
from tests.support.upstream import Received, Upstream, answer_ok

CONFIG = """_format_version: "3.0"
services:
- {{url: "{url}", routes: [{{name: all, paths: [/]}}]}}
"""
BIG = bytes(range(256)) * 8192


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(
        CONFIG.format(url=upstream.url),
        environment={"KONG_PROXY_LISTEN": "127.0.0.1:0 http2", "KONG_CLIENT_MAX_BODY_SIZE": "8m"},
    )
    yield gateway
    await gateway.stop()


@pytest.fixture(autouse=True)
def plain_answers(upstream: Upstream) -> None:
    upstream.answer = answer_ok


async def echo(received: Received, writer: asyncio.StreamWriter) -> bool:
    content = received.body
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content))
    return True


async def test_a_client_chooses_http2_by_alpn(upstream: Upstream) -> None:
    node = await Gateway.start(
        CONFIG.format(url=upstream.url), environment={"KONG_PROXY_LISTEN": "127.0.0.1:0 http2 ssl"}
    )
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    upstream.answer = echo
    versions = []
    try:
        for http2 in (True, False):
            async with httpx.AsyncClient(verify=tls, http2=http2, http1=not http2) as client:
                url = f"https://127.0.0.1:{node.proxy[1]}/a?b=c"
                answers = await asyncio.gather(*(client.post(url, content=BIG) for _ in range(4)))
                assert all(answer.content == BIG for answer in answers)
                versions.append(answers[0].http_version)
    finally:
        await node.stop()

    assert versions == ["HTTP/2", "HTTP/1.1"]
    assert upstream.received[-1].target == "/a?b=c"


async def test_both_versions_are_spoken_on_one_port(node: Gateway, upstream: Upstream) -> None:
    async with http2_connected(node.proxy) as client:
        head, body = await client.answer(client.request("/two", {"cookie": "a=1"}))
    async with connected(node.proxy) as older:
        older.get("/one")
        assert (await older.reply()).status == 200

    assert head[":status"] == "200"
    assert body.startswith(b"{")
    assert "connection" not in head
    assert "transfer-encoding" not in head
    two, one = upstream.received[-2:]
    assert two.headers["via"].startswith("2 ")
    assert one.headers["via"].startswith("1.1 ")
    assert (two.headers["host"], two.headers["cookie"]) == (one.headers["host"], "a=1")


async def test_streams_do_not_wait_for_one_another(node: Gateway, upstream: Upstream) -> None:
    slow = asyncio.Event()

    async def answer(received: Received, writer: asyncio.StreamWriter) -> bool:
        if received.target == "/slow":
            await slow.wait()
        return await answer_ok(received, writer)

    upstream.answer = answer
    async with http2_connected(node.proxy) as client:
        waiting = client.request("/slow")
        others = [client.request(f"/{number}") for number in range(20)]
        for stream in others:
            assert (await client.answer(stream))[0][":status"] == "200"
        slow.set()
        assert (await client.answer(waiting))[0][":status"] == "200"


async def test_a_body_without_a_length_is_passed_on(node: Gateway, upstream: Upstream) -> None:
    upstream.answer = echo
    async with http2_connected(node.proxy) as client:
        stream = client.request("/", method="POST", end=False)
        for _ in range(4):
            client.h2.send_data(stream, b"x" * 1000)
        client.h2.end_stream(stream)
        client.flush()
        _, body = await client.answer(stream)

    assert body == b"x" * 4000
    assert upstream.received[-1].headers["transfer-encoding"] == "chunked"


async def test_a_client_without_window_stops_its_own_stream_only(node: Gateway, upstream: Upstream) -> None:
    async def answer(received: Received, writer: asyncio.StreamWriter) -> bool:
        size = len(BIG) if received.target == "/big" else 2
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, BIG[:size]))
        return True

    upstream.answer = answer
    async with http2_connected(node.proxy) as client:
        client.h2.increment_flow_control_window(1 << 20)
        client.flush()
        big = client.request("/big")

        def arrived() -> int:
            return sum(
                len(event.data)
                for event in client.events
                if isinstance(event, DataReceived) and event.stream_id == big
            )

        await client.until(lambda: arrived() == 65535)
        assert (await client.answer(client.request("/small"), acknowledge=False))[0][":status"] == "200"
        assert arrived() == 65535
        client.h2.increment_flow_control_window(65535, big)
        client.h2.increment_flow_control_window(len(BIG), big)
        client.h2.increment_flow_control_window(len(BIG))
        client.flush()
        _, body = await client.answer(big, acknowledge=False)

    assert body == BIG


async def test_no_body_follows_an_answer_to_head(node: Gateway) -> None:
    async with http2_connected(node.proxy) as client:
        head, body = await client.answer(client.request("/", method="HEAD"))

    assert (head[":status"], body) == ("200", b"")


async def test_a_reset_of_the_client_reaches_the_upstream(node: Gateway, upstream: Upstream) -> None:
    gone = asyncio.Event()
    asked = asyncio.Event()

    async def watched(received: Received, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        asked.set()
        try:
            while True:
                writer.write(b"1\r\nx\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            gone.set()
        return False

    upstream.answer = watched
    async with http2_connected(node.proxy) as client:
        stream = client.request("/")
        await asyncio.wait_for(asked.wait(), 10)
        client.h2.reset_stream(stream, ErrorCodes.CANCEL)
        client.flush()
        await asyncio.wait_for(gone.wait(), 10)
        upstream.answer = answer_ok
        assert (await client.answer(client.request("/")))[0][":status"] == "200"


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/a b", {}, "400"),
        ("*", {}, "400"),
        ("http://elsewhere.test/", {}, "400"),
        ("/", {"x-big": "a" * 20000}, "400"),
    ],
)
async def test_what_is_no_request_is_refused(
    node: Gateway, path: str, fields: dict[str, str], status: str
) -> None:
    async with http2_connected(node.proxy) as client:
        head, _ = await client.answer(client.request(path, fields))
        assert head[":status"] == status
        assert (await client.answer(client.request("/")))[0][":status"] == "200"


async def test_a_body_that_is_too_large_is_refused(node: Gateway) -> None:
    async with http2_connected(node.proxy) as client:
        stream = client.request("/", {"content-length": str(9 * 1024 * 1024)}, method="POST", end=False)
        head, _ = await client.answer(stream)

    assert head[":status"] == "413"


# What is not put up with


def terminated(events: list[object]) -> int | None:
    ends = (each for each in events if isinstance(each, ConnectionTerminated))
    return next((int(end.error_code or 0) for end in ends), None)


async def test_rapid_resets_end_the_connection(node: Gateway) -> None:
    async with http2_connected(node.proxy) as client:
        for _ in range(1000):
            stream = client.h2.get_next_available_stream_id()
            head = [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "gw.test")]
            client.h2.send_headers(stream, head, end_stream=True)
            client.h2.reset_stream(stream, ErrorCodes.CANCEL)
        client.flush()
        await client.until(lambda: terminated(list(client.events)) is not None)

    assert client.closed or terminated(list(client.events)) == ErrorCodes.ENHANCE_YOUR_CALM


async def test_a_flood_of_pings_ends_the_connection(node: Gateway) -> None:
    async with http2_connected(node.proxy) as client:
        client.send(PingFrame(0, b"12345678").serialize() * 5000)
        await client.until(lambda: terminated(list(client.events)) is not None)

    assert client.closed or terminated(list(client.events)) == ErrorCodes.ENHANCE_YOUR_CALM


async def test_a_flood_of_continuations_ends_the_connection(node: Gateway) -> None:
    async with http2_connected(node.proxy) as client:
        client.send(HeadersFrame(1, b"").serialize() + ContinuationFrame(1, b"").serialize() * 5000)
        await client.until(lambda: False)

    assert client.closed


async def test_a_node_that_ends_lets_streams_end(upstream: Upstream) -> None:
    node = await Gateway.start(
        CONFIG.format(url=upstream.url), environment={"KONG_PROXY_LISTEN": "127.0.0.1:0 http2"}
    )
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def answer(received: Received, writer: asyncio.StreamWriter) -> bool:
        asked.set()
        await go_on.wait()
        return await answer_ok(received, writer)

    upstream.answer = answer
    async with http2_connected(node.proxy) as client:
        stream = client.request("/")
        await asyncio.wait_for(asked.wait(), 10)
        stopping = asyncio.ensure_future(node.stop())
        await client.until(lambda: terminated(list(client.events)) is not None)
        go_on.set()
        # To h2 the connection is over, to the gateway it is not: what comes is read by hand.
        rest = b"".join([piece async for piece in client.remaining()])
        await stopping

    assert terminated(list(client.events)) == ErrorCodes.NO_ERROR
    assert b"ok" in rest
    assert not any(isinstance(event, StreamReset) and event.stream_id == stream for event in client.events)
