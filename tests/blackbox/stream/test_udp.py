"""Datagrams: who gets them, that answers find back, and when a session is over."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from tests.support.gateway import Gateway
from tests.support.lines import lines_of

CONFIG = """_format_version: "3.0"
upstreams:
- {{name: hashed, algorithm: consistent-hashing, hash_on: ip, targets: [
    {{target: "127.0.0.1:{one}"}}, {{target: "127.0.0.1:{two}"}}]}}
- name: passive
  healthchecks: {{passive: {{unhealthy: {{tcp_failures: 1}}}}}}
  targets: [{{target: "127.0.0.1:{closed}"}}, {{target: "127.0.0.1:{one}"}}]
services:
- {{name: plain, url: "udp://localhost:{one}", read_timeout: 300, routes: [
    {{name: plain, protocols: [udp], sources: [{{ip: 127.0.1.1}}], plugins: [
      {{name: file-log, protocols: [udp], config: {{path: {log}}}}}]}},
    {{name: stranger, protocols: [tcp], destinations: [{{ip: 127.0.0.1}}]}}]}}
- {{name: hashed, protocol: udp, host: hashed, routes: [
    {{name: hashed, protocols: [udp], sources: [{{ip: 127.0.2.0/24}}]}}]}}
- {{name: passive, protocol: udp, host: passive, routes: [
    {{name: passive, protocols: [udp], sources: [{{ip: 127.0.1.2}}]}}]}}
- {{name: denied, url: "udp://127.0.0.1:{one}", routes: [
    {{name: denied, protocols: [udp], sources: [{{ip: 127.0.1.3}}], plugins: [
      {{name: ip-restriction, protocols: [udp], config: {{deny: [127.0.0.0/8]}}}}]}}]}}
"""


class Echo(asyncio.DatagramProtocol):
    """Answers each datagram with its name before it."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.clients: set[object] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        self.port = int(transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.clients.add(addr)
        self.transport.sendto(self.name + b" " + data, addr)


class Client(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.answers.put_nowait(data)

    async def ask(self, data: bytes) -> bytes:
        self.transport.sendto(data)
        async with asyncio.timeout(15):
            return await self.answers.get()


@asynccontextmanager
async def client(node: Gateway, source: str) -> AsyncIterator[Client]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        Client, local_addr=(source, 0), remote_addr=node.addresses["stream0"]
    )
    try:
        yield protocol
    finally:
        transport.close()


@pytest.fixture(scope="module")
async def servers() -> AsyncIterator[dict[str, Echo]]:
    found = {}
    for name in ("one", "two"):
        _, found[name] = await asyncio.get_running_loop().create_datagram_endpoint(
            partial(Echo, name.encode()), local_addr=("127.0.0.1", 0)
        )
    yield found
    for server in found.values():
        server.transport.close()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs") / "datagrams.log"


@pytest.fixture(scope="module")
async def node(servers: dict[str, Echo], log: Path) -> AsyncIterator[Gateway]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        closed = sock.getsockname()[1]
    ports = {name: server.port for name, server in servers.items()}
    gateway = await Gateway.start(
        CONFIG.format(**ports, closed=closed, log=log),
        workers=2,
        environment={"KONG_STREAM_LISTEN": "127.0.0.1:0 udp reuseport"},
    )
    yield gateway
    await gateway.stop()


async def test_datagrams_go_to_the_target_and_answers_find_back(
    node: Gateway, servers: dict[str, Echo], log: Path
) -> None:
    before = len(servers["one"].clients)
    async with client(node, "127.0.1.1") as first, client(node, "127.0.1.1") as second:
        for number in range(3):
            assert await first.ask(b"%d" % number) == b"one %d" % number
        assert await second.ask(b"other") == b"one other"
    assert len(servers["one"].clients) == before + 2  # a session for each client address

    records = [msgspec.json.decode(line) for line in await lines_of(log, 2)]  # when they have rested
    counted = {(record["session"]["received"], record["session"]["sent"]) for record in records}
    assert counted == {(3, 15), (5, 9)}
    assert {record["upstream"]["received"] for record in records} == {15, 9}
    assert all(record["session"]["status"] == 200 for record in records)


async def test_the_same_client_always_gets_the_same_target(node: Gateway) -> None:
    found = {}
    for number in range(1, 13):
        names = set()
        for _ in range(2):
            async with client(node, f"127.0.2.{number}") as asking:
                names.add((await asking.ask(b"x")).split()[0])
        found[number] = names

    assert all(len(names) == 1 for names in found.values())
    assert set().union(*found.values()) == {b"one", b"two"}


async def test_a_target_where_nobody_listens_is_left_out(node: Gateway) -> None:
    for _ in range(8):  # a turn of the balancer for each session: one of them fails
        async with client(node, "127.0.1.2") as asking:
            asking.transport.sendto(b"x")
            with suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    await asking.answers.get()
    await node.until_logged("of upstream passive is unhealthy by its traffic")
    for _ in range(4):
        async with client(node, "127.0.1.2") as asking:
            assert await asking.ask(b"x") == b"one x"


async def test_what_a_plugin_refuses_gets_nowhere(node: Gateway) -> None:
    async with client(node, "127.0.1.3") as asking:
        asking.transport.sendto(b"x")
        await node.until_logged("of 127.0.1.3, status: 403, err: IP address not allowed: 127.0.1.3")
        assert asking.answers.empty()


async def test_what_no_route_takes_gets_nowhere(node: Gateway) -> None:
    async with client(node, "127.0.1.9") as asking:
        asking.transport.sendto(b"x")
        await node.until_logged("of 127.0.1.9, status: 500, err: no Route found with those values")


async def test_a_node_that_ends_does_not_wait_for_clients_that_rest(servers: dict[str, Echo]) -> None:
    text = CONFIG.format(one=servers["one"].port, two=servers["two"].port, closed=1, log="/dev/null")
    node = await Gateway.start(
        text.replace("read_timeout: 300", "read_timeout: 60000"),
        environment={"KONG_STREAM_LISTEN": "127.0.0.1:0 udp"},
    )
    async with client(node, "127.0.1.1") as asking:
        assert await asking.ask(b"x") == b"one x"
        assert await node.stop() == 0


async def test_datagrams_have_no_tls_and_no_file() -> None:
    for listen in ("127.0.0.1:0 udp ssl", "unix:/tmp/x.sock udp"):
        with pytest.raises(AssertionError, match="`udp` goes neither with `ssl`"):
            await Gateway.start(None, environment={"KONG_STREAM_LISTEN": listen})
