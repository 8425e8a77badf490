"""Connections without HTTP: which route takes them, what passes, and how they end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.gateway import Gateway, send
from tests.support.tcp import TcpClient, TcpServer, talking

CONFIG = """_format_version: "3.0"
services:
- {{name: any, url: "tcp://127.0.0.1:{any}", routes: [
    {{name: any, protocols: [tcp], destinations: [{{ip: 127.0.0.0/8}}]}}]}}
- {{name: near, url: "tcp://localhost:{near}", routes: [
    {{name: near, protocols: [tcp], sources: [{{ip: 127.0.0.5}}]}},
    {{name: web, paths: [/], plugins: [{{name: request-termination}}]}}]}}
- {{name: "off", url: "tcp://127.0.0.1:{near}", enabled: false, routes: [
    {{name: "off", protocols: [tcp], sources: [{{ip: 127.0.0.6, port: 1}}, {{ip: 127.0.0.5}}],
      destinations: [{{ip: 127.0.0.1}}]}}]}}
"""
SETTINGS = {"KONG_STREAM_LISTEN": "127.0.0.1:0, 127.0.0.1:0"}


@pytest.fixture(scope="module")
async def servers() -> AsyncIterator[dict[str, TcpServer]]:
    found = {name: await TcpServer(name).start() for name in ("any", "near")}
    yield found
    for server in found.values():
        server.stop()


@pytest.fixture(scope="module")
async def node(servers: dict[str, TcpServer]) -> AsyncIterator[Gateway]:
    ports = {name: server.port for name, server in servers.items()}
    gateway = await Gateway.start(CONFIG.format(**ports), environment=SETTINGS)
    yield gateway
    await gateway.stop()


@pytest.mark.parametrize(
    ("source", "server"), [("127.0.0.1", b"any"), ("127.0.0.5", b"near"), ("127.0.0.6", b"any")]
)
async def test_the_route_is_found_by_where_a_client_comes_from(
    node: Gateway, source: str, server: bytes
) -> None:
    async with talking(node.addresses["stream0"], source=(source, 0)) as client:
        assert await client.line() == server + b"\n"  # the server speaks first
        assert await client.say(b"hello\n") == b"hello\n"


async def test_the_route_is_found_by_the_port_that_was_connected_to(
    node: Gateway, servers: dict[str, TcpServer]
) -> None:
    text = """_format_version: "3.0"
services:
- {{url: "tcp://127.0.0.1:{any}", routes: [
    {{name: first, protocols: [tcp, tls], destinations: [{{port: {first}}}]}}]}}
- {{url: "tcp://127.0.0.1:{near}", routes: [
    {{name: second, protocols: [tcp], destinations: [{{port: {second}}}]}}]}}
"""
    ports = {name: server.port for name, server in servers.items()}
    ports |= {"first": node.addresses["stream0"][1], "second": node.addresses["stream1"][1]}
    before = (node.folder / "kong.yml").read_text()
    assert (await node.configure(text.format(**ports))).status == 201
    try:
        greetings = []
        for name in ("stream0", "stream1"):
            async with talking(node.addresses[name]) as client:
                greetings.append(await client.line())
    finally:
        assert (await node.configure(before)).status == 201

    assert greetings == [b"any\n", b"near\n"]


async def test_a_client_that_sends_no_more_gets_the_rest(node: Gateway) -> None:
    assert (
        await send(node.addresses["stream0"], b"last words\n", half_close=True) == b"any\nlast words\nbye\n"
    )


async def test_a_client_that_no_route_takes_is_disconnected(node: Gateway) -> None:
    before = (node.folder / "kong.yml").read_text()
    assert (await node.configure('_format_version: "3.0"\nservices: []\n')).status == 201
    try:
        async with talking(node.addresses["stream0"]) as client:
            assert await client.rest() == b""
    finally:
        assert (await node.configure(before)).status == 201
    await node.until_logged("status: 500, err: no Route found with those values")


async def test_megabytes_pass_both_ways_at_the_speed_of_who_reads(node: Gateway) -> None:
    data = bytes(range(256)) * 4096 * 64  # 64 MiB, more than sockets hold
    before = await peak_bytes(node)
    async with talking(node.addresses["stream0"]) as client:
        assert await client.line() == b"any\n"
        writing = asyncio.ensure_future(_write(client, data))
        # Nobody reads yet: what does not fit into the sockets must not pile up in the gateway.
        await asyncio.wait([writing], timeout=1)
        async with asyncio.timeout(60):
            returned = await client.reader.readexactly(len(data))
            await writing
    assert returned == data
    assert await peak_bytes(node) - before < 16 * 1024 * 1024


async def peak_bytes(node: Gateway) -> int:
    """The most memory that the worker ever had."""
    about = (await node.admin_request("GET", "/")).json()
    assert isinstance(about, dict)
    status = Path(f"/proc/{about['pids']['workers'][0]}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def _write(client: TcpClient, data: bytes) -> None:
    view = memoryview(data)
    for place in range(0, len(data), 65_536):
        client.writer.write(view[place : place + 65_536])
        await client.writer.drain()


async def test_http_is_served_beside(node: Gateway) -> None:
    reply = await node.request("GET", "/")

    assert reply.status == 503


@pytest.mark.parametrize(
    ("listen", "wrong"),
    [("127.0.0.1:0 http2", "unknown listen flag 'http2'"), ("127.0.0.1:0 proxy_protocol", "PROXY protocol")],
)
async def test_a_listener_that_cannot_be_is_refused_at_start(listen: str, wrong: str) -> None:
    with pytest.raises(AssertionError) as ended:
        await Gateway.start(CONFIG.format(any=1, near=1), environment={"KONG_STREAM_LISTEN": listen})

    assert "KONG_STREAM_LISTEN" in str(ended.value)
    assert wrong in str(ended.value)
