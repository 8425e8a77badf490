"""Which target a connection goes to, what happens when one is away, and how long anybody waits."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import msgspec
import pytest
from tests.support.gateway import Gateway
from tests.support.tcp import TcpServer, talking

CONFIG = """_format_version: "3.0"
upstreams:
- {{name: turns, targets: [{{target: "127.0.0.1:{one}"}}, {{target: "127.0.0.1:{two}"}}]}}
- name: passive
  healthchecks: {{passive: {{unhealthy: {{tcp_failures: 1}}}}}}
  targets: [{{target: "127.0.0.1:{closed}"}}, {{target: "127.0.0.1:{one}"}}]
- {{name: hashed, algorithm: consistent-hashing, hash_on: ip, targets: [
    {{target: "127.0.0.1:{one}"}}, {{target: "127.0.0.1:{two}"}}]}}
- {{name: fewest, algorithm: least-connections, targets: [
    {{target: "127.0.0.1:{one}"}}, {{target: "127.0.0.1:{two}"}}]}}
- name: probed
  healthchecks:
    active: {{type: tcp, unhealthy: {{interval: 0.1, tcp_failures: 1}}, healthy: {{interval: 0.1}}}}
  targets: [{{target: "127.0.0.1:{closed}"}}, {{target: "127.0.0.1:{one}"}}]
services:
- {{name: turns, protocol: tcp, host: turns, routes: [{{protocols: [tcp], sources: [{{ip: 127.0.1.1}}]}}]}}
- {{name: passive, protocol: tcp, host: passive, retries: 1, routes: [
    {{protocols: [tcp], sources: [{{ip: 127.0.1.2}}]}}]}}
- {{name: hashed, protocol: tcp, host: hashed, routes: [
    {{protocols: [tcp], sources: [{{ip: 127.0.2.0/24}}]}}]}}
- {{name: fewest, protocol: tcp, host: fewest, routes: [
    {{protocols: [tcp], sources: [{{ip: 127.0.1.3}}]}}]}}
- {{name: away, url: "tcp://127.0.0.1:{closed}", retries: 2, routes: [
    {{protocols: [tcp], sources: [{{ip: 127.0.1.4}}]}}]}}
- {{name: nowhere, url: "tcp://nowhere.invalid:1", routes: [
    {{protocols: [tcp], sources: [{{ip: 127.0.1.5}}]}}]}}
- {{name: silent, url: "tcp://127.0.0.1:{full}", retries: 0, connect_timeout: 300, routes: [
    {{protocols: [tcp], sources: [{{ip: 127.0.1.6}}]}}]}}
- {{name: resting, url: "tcp://127.0.0.1:{one}", read_timeout: 300, routes: [
    {{protocols: [tcp], sources: [{{ip: 127.0.1.7}}]}}]}}
- {{name: stuck, url: "tcp://127.0.0.1:{deaf}", write_timeout: 300, routes: [
    {{protocols: [tcp], sources: [{{ip: 127.0.1.8}}]}}]}}
- {{name: probed, protocol: tcp, host: probed, retries: 0, routes: [
    {{protocols: [tcp], sources: [{{ip: 127.0.1.9}}]}}]}}
routes:
- {{name: empty, protocols: [tcp], sources: [{{ip: 127.0.1.10}}]}}
"""


@pytest.fixture(scope="module")
async def servers() -> AsyncIterator[dict[str, TcpServer]]:
    found = {name: await TcpServer(name).start() for name in ("one", "two")}
    yield found
    for server in found.values():
        server.stop()


@pytest.fixture(scope="module")
async def ports(servers: dict[str, TcpServer]) -> AsyncIterator[dict[str, int]]:
    """Ports of the servers, of nobody, of one that takes no connections, and of one that never reads."""
    sockets = {name: socket.socket() for name in ("closed", "full", "deaf")}
    for sock in sockets.values():
        sock.bind(("127.0.0.1", 0))
    sockets["full"].listen(0)
    sockets["deaf"].listen(5)
    filling = [socket.socket() for _ in range(2)]
    for sock in filling:  # once its queue is full, the kernel drops what comes
        sock.setblocking(False)
        sock.connect_ex(sockets["full"].getsockname())
    yield {
        **{name: sock.getsockname()[1] for name, sock in sockets.items()},
        **{name: server.port for name, server in servers.items()},
    }
    for sock in (*sockets.values(), *filling):
        sock.close()


@pytest.fixture(scope="module")
async def node(ports: dict[str, int]) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(**ports), environment={"KONG_STREAM_LISTEN": "127.0.0.1:0"})
    yield gateway
    await gateway.stop()


async def greeting(node: Gateway, source: str) -> str:
    async with talking(node.addresses["stream0"], source=(source, 0)) as client:
        return (await client.line()).decode().strip()


async def test_targets_take_turns(node: Gateway) -> None:
    assert Counter([await greeting(node, "127.0.1.1") for _ in range(10)]) == {"one": 5, "two": 5}


async def test_the_same_client_always_gets_the_same_target(node: Gateway) -> None:
    found = {}
    for number in range(1, 21):
        source = f"127.0.2.{number}"
        found[source] = {await greeting(node, source) for _ in range(3)}

    assert all(len(targets) == 1 for targets in found.values())
    assert set().union(*found.values()) == {"one", "two"}


async def test_open_connections_count_until_they_end(node: Gateway) -> None:
    async with AsyncExitStack() as stack:
        greetings = []
        for _ in range(6):
            client = await stack.enter_async_context(
                talking(node.addresses["stream0"], source=("127.0.1.3", 0))
            )
            greetings.append(await client.line())

    assert Counter(greetings) == {b"one\n": 3, b"two\n": 3}


async def test_a_target_that_is_away_costs_a_retry_and_is_left_out_then(node: Gateway) -> None:
    assert {await greeting(node, "127.0.1.2") for _ in range(4)} == {"one"}

    reply = (await node.admin_request("GET", "/upstreams/passive/health")).json()
    assert isinstance(reply, dict)
    assert Counter(target["health"] for target in reply["data"]) == {"HEALTHY": 1, "UNHEALTHY": 1}


async def test_probes_over_tcp_find_out_before_a_client_does(node: Gateway) -> None:
    await node.until_logged("of upstream probed is unhealthy by its probes")

    assert {await greeting(node, "127.0.1.9") for _ in range(4)} == {"one"}


@pytest.mark.parametrize(
    ("source", "logged"),
    [
        ("127.0.1.4", "status: 502, err: connect_refused"),
        ("127.0.1.5", "status: 503, err: name resolution failed"),
        ("127.0.1.6", "status: 502, err: connect_timeout"),
        ("127.0.1.10", "status: 503, err: no Service found with those values"),
    ],
)
async def test_without_a_target_the_client_is_disconnected(node: Gateway, source: str, logged: str) -> None:
    assert await greeting(node, source) == ""
    await node.until_logged(f"of {source}, {logged}")


async def test_a_connection_that_rests_too_long_ends(node: Gateway) -> None:
    async with talking(node.addresses["stream0"], source=("127.0.1.7", 0)) as client:
        assert await client.line() == b"one\n"
        assert await client.rest() == b""


async def test_a_connection_whose_target_takes_nothing_ends(node: Gateway) -> None:
    async with talking(node.addresses["stream0"], source=("127.0.1.8", 0)) as client:
        client.writer.write(bytes(64 * 1024 * 1024))
        assert await client.rest() == b""


async def test_a_target_that_breaks_off_is_seen_to_break_off(node: Gateway, ports: dict[str, int]) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        text = CONFIG.format(**{**ports, "deaf": listening.getsockname()[1]})
        assert (await node.configure(text)).status == 201
        async with talking(node.addresses["stream0"], source=("127.0.1.8", 0)) as client:
            target, _ = await loop.sock_accept(listening)
            client.writer.write(b"?")
            assert await loop.sock_recv(target, 1) == b"?"
            target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            target.close()  # which resets the connection
            with pytest.raises(ConnectionResetError):
                async with asyncio.timeout(15):
                    await client.reader.read()


async def test_schemas_of_routes_have_kongs_texts(node: Gateway) -> None:
    """What a route without HTTP may say is told by the Admin API in Kong's words."""
    stream = "'tcp', 'tls', 'tls_passthrough' or 'udp'"
    wrong = {
        '{"protocols":["tcp"],"paths":["/"]}': {
            "paths": f"cannot set 'paths' when 'protocols' is {stream}",
            "@entity": [
                "must set one of 'sources', 'destinations', 'snis' when 'protocols' is 'tcp', 'tls' or 'udp'"
            ],
        },
        '{"protocols":["tls_passthrough"]}': {
            "@entity": ["must set snis when 'protocols' is 'tls_passthrough'"]
        },
        '{"protocols":["tcp","http"],"sources":[{"port":1}]}': {
            "protocols": "these sets are mutually exclusive: ('tcp', 'tls', 'udp'), ('http', 'https')",
        },
    }
    for body, fields in wrong.items():
        reply = await node.admin_request(
            "POST", "/schemas/routes/validate", {"Content-Type": "application/json"}, body.encode()
        )
        assert reply.status == 400
        assert msgspec.json.decode(reply.body)["fields"] == fields
