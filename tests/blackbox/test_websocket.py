"""WebSocket through the gateway: real peers on both sides, then byte by byte."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import websockets
from tests.support.client import Client, connected
from tests.support.gateway import Gateway
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

CONFIG = """_format_version: "3.0"
plugins: [{{name: correlation-id, config: {{header_name: X-Trace, echo_downstream: true}}}}]
services:
- {{name: real, url: "http://127.0.0.1:{real}", routes: [{{paths: [/real]}}]}}
- name: raw
  url: http://127.0.0.1:{raw}
  read_timeout: 800
  routes: [{{paths: [/raw], strip_path: false}}]
"""
ASK = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: k\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n"
MEGABYTE = 1024 * 1024


class RawServer:
    """Switches protocols without knowing any: what follows is bytes."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.peers: asyncio.Queue[Client] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []
        self.greeting = SWITCH
        self.may_switch = asyncio.Event()
        self.may_switch.set()

    async def start(self) -> "RawServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    def stop(self) -> None:
        self._server.close()

    async def hang_up(self) -> None:
        """Ends what a test has left open."""
        while self._writers:
            writer = self._writers.pop()
            writer.transport.abort()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        while not self.peers.empty():
            self.peers.get_nowait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        await self.may_switch.wait()
        writer.write(self.greeting)
        await self.peers.put(Client(reader, writer))


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@pytest.fixture(scope="module")
async def raw() -> AsyncIterator[RawServer]:
    server = await RawServer().start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
async def node(raw: RawServer) -> AsyncIterator[Gateway]:
    async with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        gateway = await Gateway.start(CONFIG.format(real=port, raw=raw.port))
        yield gateway
        await gateway.stop()


@pytest.fixture(autouse=True)
async def polite(raw: RawServer) -> AsyncIterator[None]:
    raw.greeting = SWITCH
    raw.may_switch.set()
    yield
    await raw.hang_up()


async def joined(client: Client, raw: RawServer) -> Client:
    """Upgrades; returns the target's end."""
    client.get("/raw", ASK)
    assert (await client.reply()).status == 101
    async with asyncio.timeout(10):
        return await raw.peers.get()


# Real peers


async def test_messages_pass_both_ways(node: Gateway) -> None:
    async with connect("ws://{}:{}/real".format(*node.proxy), max_size=None) as socket:
        for message in ("hello", b"\x00\xff", "é" * 1000, b"x" * MEGABYTE):
            await socket.send(message)
            assert await socket.recv() == message
        await asyncio.wait_for(await socket.ping(), 10)
    assert socket.close_code == 1000


async def test_many_tunnels_at_once_do_not_mix(node: Gateway) -> None:
    async def talk(number: int) -> list[str | bytes]:
        async with connect("ws://{}:{}/real".format(*node.proxy)) as socket:
            got = []
            for turn in range(20):
                await socket.send(f"{number}/{turn}")
                got.append(await socket.recv())
            return got

    talks = await asyncio.gather(*(talk(number) for number in range(10)))

    assert talks == [[f"{number}/{turn}" for turn in range(20)] for number in range(10)]


async def test_a_refused_handshake_is_an_ordinary_answer(node: Gateway) -> None:
    with pytest.raises(websockets.InvalidStatus) as refusal:
        await connect("ws://{}:{}/nowhere".format(*node.proxy))

    assert refusal.value.response.status_code == 404


# The handshake


async def test_the_target_is_asked_as_the_client_asked(node: Gateway, raw: RawServer) -> None:
    async with connected(node.proxy) as client:
        await joined(client, raw)

    lines = raw.heads[-1].decode().lower().split("\r\n")
    assert "connection: keep-alive, upgrade" in lines
    assert "upgrade: websocket" in lines
    assert "sec-websocket-key: k" in lines


async def test_the_switch_passes_the_gateways_own_fields_and_plugins(node: Gateway, raw: RawServer) -> None:
    raw.greeting = SWITCH[:-2] + b"Via: 1.0 inner\r\nContent-Length: 5\r\nSec-WebSocket-Accept: a\r\n\r\n"
    async with connected(node.proxy) as client:
        client.get("/raw", ASK)
        reply = await client.reply()

    names = [name for name, _ in reply.fields]
    assert names.count("via") == names.count("connection") == 1
    assert reply.headers["via"].startswith("1.0 inner, 1.1 tollhouse/")
    assert reply.headers["connection"] == "upgrade"
    assert reply.headers["upgrade"].lower() == "websocket"
    assert reply.headers["sec-websocket-accept"] == "a"
    assert "content-length" not in names
    assert {"x-trace", "x-kong-request-id"} <= set(names)


@pytest.mark.parametrize(
    "fields",
    ["", "Upgrade: websocket\r\n", "Connection: Upgrade\r\nUpgrade: h2c\r\n"],
)
async def test_a_switch_that_nobody_asked_for_is_a_502(node: Gateway, raw: RawServer, fields: str) -> None:
    async with connected(node.proxy) as client:
        client.get("/raw", fields)

        assert (await client.reply()).status == 502


async def test_bytes_that_come_with_the_switch_are_passed_on(node: Gateway, raw: RawServer) -> None:
    raw.greeting = SWITCH + b"first"
    async with connected(node.proxy) as client:
        await joined(client, raw)

        assert await client.reader.readexactly(5) == b"first"


async def test_a_client_may_speak_before_the_switch(node: Gateway, raw: RawServer) -> None:
    early = b"e" * (2 * MEGABYTE)
    raw.may_switch.clear()
    async with connected(node.proxy) as client:
        client.get("/raw", ASK)
        client.send(early)
        await asyncio.sleep(0.1)
        raw.may_switch.set()
        assert (await client.reply()).status == 101
        peer = await raw.peers.get()

        assert await peer.reader.readexactly(len(early)) == early


# The tunnel


async def test_bytes_pass_at_once_and_unchanged(node: Gateway, raw: RawServer) -> None:
    async with connected(node.proxy) as client:
        peer = await joined(client, raw)
        for number in range(50):
            client.send(b"up\r\n\r\n%d" % number)
            assert (await peer.reader.readexactly(6 + len(str(number)))).startswith(b"up")
            peer.send(b"\x00down%d" % number)
            assert (await client.reader.readexactly(5 + len(str(number)))).startswith(b"\x00down")


@pytest.mark.parametrize("upwards", [True, False])
async def test_a_side_that_does_not_read_stops_the_other(
    node: Gateway, raw: RawServer, upwards: bool
) -> None:
    async with connected(node.proxy) as client:
        peer = await joined(client, raw)
        source, sink = (client, peer) if upwards else (peer, client)
        sink.stop_reading()
        total, sent = 48 * MEGABYTE, 0

        async def push() -> None:
            nonlocal sent
            while sent < total:
                source.send(b"z" * 65536)
                sent += 65536
                await source.writer.drain()

        pushing = asyncio.ensure_future(push())
        last = -1
        while last != sent:
            last = sent
            await asyncio.sleep(0.2)
        assert sent < total / 2

        sink.read_on()
        got = 0
        while data := await sink.reader.read(MEGABYTE):
            got += len(data)
            if got == total:
                break
        assert got == total
        await pushing


async def test_a_client_that_closed_its_side_still_hears_the_target(node: Gateway, raw: RawServer) -> None:
    async with connected(node.proxy) as client:
        peer = await joined(client, raw)
        client.send(b"last words")
        client.writer.write_eof()
        assert await peer.reader.read() == b"last words"

        await asyncio.sleep(0.3)
        peer.send(b"answer")
        peer.writer.close()

        assert await client.rest() == b"answer"


async def test_a_target_that_ends_ends_the_tunnel(node: Gateway, raw: RawServer) -> None:
    async with connected(node.proxy) as client:
        peer = await joined(client, raw)
        peer.send(b"x" * MEGABYTE)
        peer.writer.write_eof()

        assert len(await client.rest()) == MEGABYTE
        assert await peer.rest() == b""


async def test_a_client_that_goes_ends_the_tunnel(node: Gateway, raw: RawServer) -> None:
    async with connected(node.proxy) as client:
        peer = await joined(client, raw)
        client.send(b"bye")
        await client.writer.drain()
        client.writer.close()

        assert await peer.rest() == b"bye"


async def test_a_silent_tunnel_ends_by_the_services_timeout(node: Gateway, raw: RawServer) -> None:
    async with connected(node.proxy) as client:
        peer = await joined(client, raw)

        assert await client.rest() == b""
        assert await peer.rest() == b""


async def test_bytes_of_the_client_keep_a_tunnel_alive(node: Gateway, raw: RawServer) -> None:
    async with connected(node.proxy) as client:
        peer = await joined(client, raw)
        for _ in range(8):
            await asyncio.sleep(0.2)
            client.send(b".")
        assert await peer.reader.readexactly(8) == b"." * 8

        peer.send(b"still here")
        assert await client.reader.readexactly(10) == b"still here"
