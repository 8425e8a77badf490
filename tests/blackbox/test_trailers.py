"""Fields after the content: HTTP/2 carries them through, HTTP/1.1 only to clients that ask for them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from h2.events import TrailersReceived
from tests.support.gateway import Gateway, send
from tests.support.http2 import Http2Client, http2_connected
from tests.support.http2_upstream import Http2Upstream
from tests.support.upstream import Received, Upstream

CONFIG = """_format_version: "3.0"
services:
- name: two
  protocol: grpc
  host: 127.0.0.1
  port: {port}
  routes:
  - {{name: grpc, protocols: [grpc], paths: [/two]}}
  - {{name: read, protocols: [http], paths: [/read], plugins: [{{name: request-validator,
      config: {{version: draft4, body_schema: '{{"type": "object"}}'}}}}]}}
  - {{name: older, protocols: [http], paths: [/older]}}
- name: one
  url: {url}
  routes: [{{name: one, paths: [/one]}}]
"""
GRPC = {"content-type": "application/grpc", "te": "trailers"}


@pytest.fixture(scope="module")
async def two() -> AsyncIterator[Http2Upstream]:
    server = await Http2Upstream().start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def node(two: Http2Upstream, upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(
        CONFIG.format(port=two.port, url=upstream.url),
        environment={"KONG_PROXY_LISTEN": "127.0.0.1:0 http2"},
    )
    yield gateway
    await gateway.stop()


def trailers_of(client: Http2Client, stream: int) -> list[tuple[str, str]]:
    found = [
        event for event in client.events if isinstance(event, TrailersReceived) and event.stream_id == stream
    ]
    return [(str(name), str(value)) for event in found for name, value in event.headers or ()]


@pytest.mark.parametrize("length", [{}, {"content-length": "5"}])
@pytest.mark.parametrize("in_pieces", [False, True])
async def test_a_client_s_trailers_reach_the_target_after_the_content(
    node: Gateway, two: Http2Upstream, length: dict[str, str], in_pieces: bool
) -> None:
    two.asked.clear()
    async with http2_connected(node.proxy) as client:
        stream = client.request("/two/a", {**GRPC, **length}, method="POST", end=False)
        client.h2.send_data(stream, b"hello")
        if in_pieces:
            client.flush()
            await two.until_body(b"hello")
            assert not two.asked[-1].ended
        client.h2.send_headers(stream, [("x-sum", "12"), ("x-sum", "34")], end_stream=True)
        client.flush()
        head, body = await client.answer(stream)

    assert (head[":status"], body) == ("200", b"echo hello")
    assert two.asked[-1].body == b"hello"
    assert two.asked[-1].trailers == [("x-sum", "12"), ("x-sum", "34")]
    assert trailers_of(client, stream) == [("x-after", "all")]


async def test_trailers_stay_with_a_body_that_a_plugin_has_read(node: Gateway, two: Http2Upstream) -> None:
    async with http2_connected(node.proxy) as client:
        stream = client.request("/read", {"content-type": "application/json"}, method="POST", end=False)
        client.h2.send_data(stream, b"{}")
        client.h2.send_headers(stream, [("x-sum", "12")], end_stream=True)
        client.flush()
        await client.answer(stream)

    assert (two.asked[-1].body, two.asked[-1].trailers) == (b"{}", [("x-sum", "12")])


async def test_a_body_without_trailers_ends_without_them(node: Gateway, two: Http2Upstream) -> None:
    async with http2_connected(node.proxy) as client:
        stream = client.request("/two", GRPC, method="POST", end=False)
        client.h2.send_data(stream, b"plain", end_stream=True)
        client.flush()
        await client.answer(stream)

    assert (two.asked[-1].body, two.asked[-1].trailers) == (b"plain", [])


@pytest.mark.parametrize(
    "name",
    ["authorization", "content-type", "cookie", "host", "x-consumer-id", "x-forwarded-for", "x-real-ip"],
)
async def test_what_only_a_head_may_say_is_not_taken_from_trailers(
    node: Gateway, two: Http2Upstream, name: str
) -> None:
    async with http2_connected(node.proxy) as client:
        stream = client.request("/two", GRPC, method="POST", end=False)
        client.h2.send_data(stream, b"x")
        client.h2.send_headers(stream, [(name, "forged"), ("x-sum", "1")], end_stream=True)
        client.flush()
        await client.answer(stream)

    assert two.asked[-1].trailers == [("x-sum", "1")]
    assert "forged" not in dict(two.asked[-1].fields).values()


@pytest.mark.parametrize(("te", "passed"), [("", False), ("TE: trailers\r\n", True)])
async def test_a_client_of_http1_gets_trailers_if_it_asks_for_them(
    node: Gateway, two: Http2Upstream, te: str, passed: bool
) -> None:
    chunked = (
        f"POST /older HTTP/1.1\r\nHost: a\r\n{te}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    answer = await send(node.proxy, f"{chunked}5\r\nhello\r\n0\r\nX-Sum: 12\r\n\r\n".encode())

    assert answer.endswith(b"0\r\nx-after: all\r\n\r\n" if passed else b"0\r\n\r\n")
    assert (two.asked[-1].body, two.asked[-1].trailers) == (b"hello", []), "those of HTTP/1.1 are dropped"


async def with_trailers(received: Received, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-After: all\r\n\r\n")
    return True


@pytest.mark.parametrize("http2", [True, False])
async def test_http1_to_a_target_carries_no_trailers_either_way(
    node: Gateway, upstream: Upstream, http2: bool
) -> None:
    upstream.answer = with_trailers
    if http2:
        async with http2_connected(node.proxy) as client:
            stream = client.request("/one", {"te": "trailers"}, method="POST", end=False)
            client.h2.send_data(stream, b"hello")
            client.h2.send_headers(stream, [("x-sum", "12")], end_stream=True)
            client.flush()
            _, body = await client.answer(stream)
        assert body == b"ok"
        assert trailers_of(client, stream) == []
    else:
        head = "POST /one HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close\r\n"
        head += "Transfer-Encoding: chunked\r\n\r\n"
        answer = await send(node.proxy, f"{head}5\r\nhello\r\n0\r\nX-Sum: 12\r\n\r\n".encode())
        assert answer.endswith(b"\r\n\r\n2\r\nok\r\n0\r\n\r\n")
        assert b"after" not in answer
    last = upstream.received[-1]
    assert last.body == b"hello"
    assert "x-sum" not in last.headers
    assert upstream.garbage == []
