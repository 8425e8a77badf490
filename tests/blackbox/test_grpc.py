"""gRPC through the gateway, with the library that its users have on both sides."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
from tests.support.certificates import Authority
from tests.support.gateway import Gateway
from tests.support.grpc_echo import SERVICE, GrpcEcho, both, down, unary, up
from tests.support.http2 import http2_connected

CONFIG = """_format_version: "3.0"
services:
- name: clear
  protocol: grpc
  host: 127.0.0.1
  port: {port}
  routes: [{{name: clear, protocols: [grpc, grpcs], paths: [/test.Echo]}}]
- name: secured
  protocol: grpcs
  host: 127.0.0.1
  port: {secured}
  routes: [{{name: secured, protocols: [grpc], paths: [/test.Echo], headers: {{x-to: [secured]}}}}]
- name: down
  protocol: grpc
  host: 127.0.0.1
  port: 1
  retries: 0
  routes:
  - {{name: down, protocols: [grpc], paths: [/down]}}
  - {{name: strict, protocols: [grpcs], paths: [/strict]}}
  - {{name: keyed, protocols: [grpc], paths: [/keyed], plugins: [{{name: key-auth}}]}}
"""


@pytest.fixture(scope="module")
async def echo() -> AsyncIterator[GrpcEcho]:
    server = await GrpcEcho().start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def secured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GrpcEcho]:
    issued = Authority(tmp_path_factory.mktemp("certificates")).issue("127.0.0.1")
    server = await GrpcEcho((issued.key.read_bytes(), issued.certificate.read_bytes())).start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def node(echo: GrpcEcho, secured: GrpcEcho) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(
        CONFIG.format(port=echo.port, secured=secured.port),
        environment={"KONG_PROXY_LISTEN": "127.0.0.1:0 http2", "KONG_PROXY_ACCESS_LOG": "/dev/stderr"},
    )
    yield gateway
    await gateway.stop()


@pytest.fixture
async def channel(node: Gateway) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{node.proxy[1]}") as opened:
        yield opened


async def test_one_message_each_way_with_fields_before_and_after(channel: grpc.aio.Channel) -> None:
    call = unary(channel)(b"hello", timeout=10)

    assert await call == b"hello"
    before = dict(await call.initial_metadata())
    assert str(before["x-via"]).startswith("2 ")
    assert str(before["via"]).startswith("2 ")
    assert dict(await call.trailing_metadata())["x-after"] == "all"
    assert await call.code() is grpc.StatusCode.OK


async def test_a_service_in_tls_is_reached(channel: grpc.aio.Channel) -> None:
    call = unary(channel)(b"hello", metadata=(("x-to", "secured"),), timeout=10)

    assert await call == b"hello"


async def test_a_status_of_the_service_comes_with_its_message(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await unary(channel)(b"fail", timeout=10)

    assert failed.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert failed.value.details() == "as asked: 100 % ✓"
    assert dict(failed.value.trailing_metadata())["x-reason"] == "asked for"


async def test_a_service_streams(channel: grpc.aio.Channel) -> None:
    call = down(channel)(b"1000", timeout=20)

    assert [int(piece) async for piece in call] == list(range(1000))


async def test_a_client_streams(channel: grpc.aio.Channel) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(100):
            yield b"%d" % number

    answer = await up(channel)(pieces(), timeout=20)

    assert answer == b",".join(b"%d" % number for number in range(100))


async def test_both_stream_in_turns(channel: grpc.aio.Channel) -> None:
    call = both(channel)(timeout=20)
    answers = []
    for word in (b"one", b"two", b"three"):
        await call.write(word)
        answers.append(await call.read())  # before the next is sent
    await call.done_writing()

    assert answers == [b"ONE", b"TWO", b"THREE"]
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_many_calls_at_once_and_large_messages(channel: grpc.aio.Channel) -> None:
    large = bytes(range(256)) * 8192
    call = unary(channel)

    async def answer(message: bytes) -> bytes:
        return await call(message, timeout=30)

    answers = await asyncio.gather(*map(answer, [large] * 8 + [b"small"] * 150))

    assert answers == [large] * 8 + [b"small"] * 150


@pytest.mark.parametrize(
    ("method", "code", "details"),
    [
        ("/nowhere/X", grpc.StatusCode.NOT_FOUND, "no Route matched with those values"),
        (
            "/down/X",
            grpc.StatusCode.INTERNAL,
            "An invalid response was received from the upstream server",
        ),
        ("/strict/X", grpc.StatusCode.CANCELLED, "gRPC request matched gRPCs route"),
        ("/keyed/X", grpc.StatusCode.UNAUTHENTICATED, "No API key found in request"),
    ],
)
async def test_what_the_gateway_refuses_is_a_status(
    channel: grpc.aio.Channel, method: str, code: grpc.StatusCode, details: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await unary(channel, method)(b"x", timeout=10)

    assert (failed.value.code(), failed.value.details()) == (code, details)


async def test_a_route_for_tls_alone_believes_a_trusted_proxy(echo: GrpcEcho) -> None:
    behind = await Gateway.start(
        CONFIG.format(port=echo.port, secured=echo.port),
        environment={"KONG_PROXY_LISTEN": "127.0.0.1:0 http2", "KONG_TRUSTED_IPS": "127.0.0.1"},
    )
    call = {"content-type": "application/grpc", "te": "trailers"}
    try:
        heads = []
        for told in ({}, {"x-forwarded-proto": "https"}):
            async with http2_connected(behind.proxy) as client:
                head, _ = await client.answer(client.request("/strict/X", {**call, **told}, method="POST"))
                heads.append(head)
    finally:
        await behind.stop()

    assert (heads[0]["content-type"], heads[0]["grpc-status"]) == ("application/grpc", "1")
    assert heads[1]["grpc-status"] == "13"  # it is let through; the target is away


async def test_a_route_of_grpc_serves_nothing_else(node: Gateway) -> None:
    async with http2_connected(node.proxy) as client:
        head, _ = await client.answer(client.request(f"/{SERVICE}/Unary"))
    older = await node.request("POST", f"/{SERVICE}/Unary", {"Content-Type": "application/grpc"})

    assert head[":status"] == "415"
    assert (older.status, older.headers["upgrade"]) == (426, "HTTP/2")
    assert older.headers["content-type"].startswith("application/json")


async def test_the_access_log_names_the_version(node: Gateway, channel: grpc.aio.Channel) -> None:
    await unary(channel)(b"logged", timeout=10)

    await node.until_logged(f'"POST /{SERVICE}/Unary HTTP/2.0" 200')


async def test_a_call_that_is_given_up_ends_at_the_service(channel: grpc.aio.Channel) -> None:
    call = both(channel)(timeout=20)
    await call.write(b"one")
    assert await call.read() == b"ONE"
    call.cancel()

    answer = await unary(channel)(b"still there", timeout=10)

    assert answer == b"still there"
