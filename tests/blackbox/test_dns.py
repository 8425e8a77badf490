"""Names of targets: addresses in turn, time to live, failures in Kong's shapes, and nobody waits for others.

The machine's name server is one of the test's own: a `sitecustomize` in the node's path has c-ares ask
it, as an entry in /etc/resolv.conf would.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.client import connected
from tests.support.dns import FORMAT_ERROR, REFUSED, SERVER_FAILURE, NameServer, Zone
from tests.support.gateway import Gateway, Reply
from tests.support.upstream import Upstream

CONFIG = """_format_version: "3.0"
services:
- {{name: one, url: "http://one.test:{port}", retries: 0, routes: [{{paths: [/one]}}]}}
- {{name: many, url: "http://many.test:{port}", retries: 0, routes: [{{paths: [/many]}}]}}
- {{name: short, url: "http://short.test:{port}", retries: 0, routes: [{{paths: [/short]}}]}}
- {{name: missing, url: "http://missing.test:{port}", routes: [{{paths: [/missing]}}]}}
- {{name: empty, url: "http://empty.test:{port}", routes: [{{paths: [/empty]}}]}}
- {{name: broken, url: "http://broken.test:{port}", routes: [{{paths: [/broken]}}]}}
- {{name: refused, url: "http://refused.test:{port}", routes: [{{paths: [/refused]}}]}}
- {{name: slow, url: "http://slow.test:{port}", routes: [{{paths: [/slow]}}]}}
- {{name: address, url: "http://127.0.0.1:{port}", routes: [{{paths: [/address]}}]}}
- {{name: both, host: pool.test, routes: [{{paths: [/both]}}]}}
- {{name: lost, host: lost.test, routes: [{{paths: [/lost]}}]}}
- {{name: checked, host: checked.test, routes: [{{paths: [/checked]}}]}}
- {{name: served, host: served.test, routes: [{{paths: [/served]}}]}}
- {{name: called, host: called.test, routes: [{{paths: [/called]}}]}}
upstreams:
- {{name: served.test, targets: [{{target: "_here._tcp.test:80"}}]}}
- {{name: called.test, use_srv_name: true, targets: [{{target: "_here._tcp.test:80"}}]}}
- name: checked.test
  healthchecks: {{passive: {{unhealthy: {{http_failures: 1}}}}}}
  targets:
  - {{target: "one.test:{port}"}}
  - {{target: "short.test:{port}"}}
  - {{target: "_web._tcp.test:80"}}
- name: pool.test
  targets: [{{target: "one.test:{port}"}}, {{target: "missing.test:{port}"}}]
- name: lost.test
  targets: [{{target: "missing.test:{port}"}}]
"""
ASK_OURS = """
import os
import aiodns

ask = aiodns.DNSResolver
aiodns.DNSResolver = lambda **_: ask(nameservers=[os.environ["TEST_NAME_SERVER"]], timeout=0.5, tries=2)
"""


@pytest.fixture(scope="module")
async def names() -> AsyncIterator[NameServer]:
    server = await NameServer().start()
    yield server
    await server.stop()


async def start(names: NameServer, upstream: Upstream, folder: Path, **settings: str) -> Gateway:
    (folder / "sitecustomize.py").write_text(ASK_OURS)
    return await Gateway.start(
        CONFIG.format(port=upstream.port),
        environment={
            "PYTHONPATH": f"{folder}:{Path(__file__).parents[2] / 'src'}",
            "TEST_NAME_SERVER": names.address,
            **settings,
        },
    )


@pytest.fixture(scope="module")
async def node(
    names: NameServer, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    gateway = await start(names, upstream, tmp_path_factory.mktemp("dns"), KONG_DNS_NOT_FOUND_TTL="300")
    yield gateway
    await gateway.stop()


@pytest.fixture(autouse=True)
def zones(names: NameServer) -> None:
    names.asked.clear()
    names.zones.update(
        {
            "one.test": Zone(("127.0.0.1",)),
            "many.test": Zone(("127.0.0.1", "127.0.0.2", "127.0.0.3")),
            "short.test": Zone(("127.0.0.1",), seconds=1),
            "empty.test": Zone(),
            "broken.test": Zone(code=SERVER_FAILURE),
            "refused.test": Zone(code=REFUSED),
            "slow.test": Zone(silent=True),
            "_web._tcp.test": Zone(services=((1, 7, 9, "many.test"),)),
        }
    )


async def ask(node: Gateway, path: str) -> Reply:
    return await node.request("GET", path)


def message(reply: Reply) -> object:
    body = reply.json()
    assert isinstance(body, dict)
    return body["message"]


async def test_a_name_is_resolved_once_for_many_requests(
    node: Gateway, names: NameServer, upstream: Upstream
) -> None:
    replies = await asyncio.gather(*(ask(node, "/one") for _ in range(10)))

    assert [reply.status for reply in replies] == [200] * 10
    assert names.times("one.test") == 1
    assert upstream.received[-1].headers["host"] == f"one.test:{upstream.port}"


async def test_several_addresses_take_turns(names: NameServer, tmp_path: Path) -> None:
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.append(writer.get_extra_info("sockname")[0])
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "0.0.0.0", 0)
    upstream = Upstream(_server=server)
    node = await start(names, upstream, tmp_path)
    try:
        for _ in range(6):
            assert (await ask(node, "/many")).status == 200
    finally:
        await node.stop()
        server.close()

    assert sorted(asked[:3]) == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    assert asked[:3] == asked[3:]


async def test_an_old_answer_serves_while_a_new_one_is_asked_for(node: Gateway, names: NameServer) -> None:
    assert (await ask(node, "/short")).status == 200
    names.zones["short.test"] = Zone(silent=True)
    while names.times("short.test") < 2:
        assert (await ask(node, "/short")).status == 200
        await asyncio.sleep(0.05)

    assert (await ask(node, "/short")).status == 200


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/missing", 503, "name resolution failed"),
        ("/empty", 503, "name resolution failed"),
        ("/broken", 500, "dns server error: 2 server failure"),
        ("/refused", 500, "dns server error: 5 refused"),
    ],
)
async def test_a_failure_is_told_in_kongs_words(node: Gateway, path: str, status: int, text: str) -> None:
    reply = await ask(node, path)

    assert (reply.status, message(reply)) == (status, text)
    assert "via" not in reply.headers  # nothing was proxied
    assert "x-kong-response-latency" in reply.headers


async def test_a_missing_name_is_remembered(node: Gateway, names: NameServer) -> None:
    await ask(node, "/missing")
    names.asked.clear()

    for _ in range(3):
        assert (await ask(node, "/missing")).status == 503
    assert names.asked == []


async def test_a_name_that_comes_to_be_is_found(
    names: NameServer, upstream: Upstream, tmp_path: Path
) -> None:
    node = await start(names, upstream, tmp_path, KONG_DNS_NOT_FOUND_TTL="0", KONG_DNS_ERROR_TTL="0")
    try:
        assert (await ask(node, "/missing")).status == 503
        assert (await ask(node, "/broken")).status == 500
        names.zones["missing.test"] = names.zones["broken.test"] = Zone(("127.0.0.1",))
        assert (await ask(node, "/missing")).status == 200
        assert (await ask(node, "/broken")).status == 200
    finally:
        names.zones.pop("missing.test", None)
        await node.stop()


async def test_nobody_waits_for_anothers_name(node: Gateway, names: NameServer) -> None:
    async with connected(node.proxy) as waiting:
        waiting.get("/slow")
        await names.until_asked("slow.test", 1)

        for path in ("/address", "/one", "/address"):
            assert (await ask(node, path)).status == 200

        reply = await waiting.reply()
    assert reply.status == 500
    assert str(message(reply)).startswith("dns client error: ")


async def test_a_client_that_goes_while_a_name_is_asked_harms_nobody(
    names: NameServer, upstream: Upstream, tmp_path: Path
) -> None:
    node = await start(names, upstream, tmp_path)
    try:
        async with connected(node.proxy) as client:
            client.get("/slow")
            await names.until_asked("slow.test", 1)
        names.zones["slow.test"] = Zone(("127.0.0.1",))

        assert (await ask(node, "/slow")).status == 200
        assert not any("Traceback" in line for line in node.errors)
    finally:
        await node.stop()


async def test_a_target_without_an_address_is_passed_over(node: Gateway) -> None:
    assert [(await ask(node, "/both")).status for _ in range(6)] == [200] * 6


async def test_the_health_of_names_is_told_apart_though_they_stand_for_one_address(
    node: Gateway, upstream: Upstream
) -> None:
    async def health() -> dict[str, list[tuple[str, int, int, str]]]:
        shown: Any = (await node.admin_request("GET", "/upstreams/checked.test/health")).json()
        return {
            target["data"]["host"]: [
                (each["ip"], each["port"], each["weight"], each["health"])
                for each in target["data"]["addresses"]
            ]
            for target in shown["data"]
        }

    async def decide(target: str, word: str) -> None:
        path = f"/upstreams/checked.test/targets/{target}/{word}"
        assert (await node.admin_request("PUT", path)).status == 204

    port = upstream.port
    await decide(f"short.test:{port}", "unhealthy")
    await decide("_web._tcp.test:80/many.test:9", "unhealthy")

    assert await health() == {
        "one.test": [("127.0.0.1", port, 100, "HEALTHY")],
        "short.test": [("127.0.0.1", port, 100, "UNHEALTHY")],
        "_web._tcp.test": [("many.test", 9, 7, "UNHEALTHY")],
    }
    assert [(await ask(node, "/checked")).status for _ in range(3)] == [200] * 3
    await decide(f"one.test:{port}", "unhealthy")
    assert (await ask(node, "/checked")).status == 503


@pytest.mark.parametrize(("path", "host"), [("/served", "_here._tcp.test"), ("/called", "one.test")])
async def test_targets_are_asked_by_their_names_or_those_of_their_services(
    node: Gateway, upstream: Upstream, names: NameServer, path: str, host: str
) -> None:
    names.zones["_here._tcp.test"] = Zone(services=((1, 1, upstream.port, "one.test"),))

    assert (await ask(node, path)).status == 200
    assert upstream.received[-1].headers["host"] == f"{host}:{upstream.port}"


async def test_an_upstream_whose_targets_have_no_address_has_no_peer(node: Gateway) -> None:
    reply = await ask(node, "/lost")

    assert (reply.status, message(reply)) == (503, "failure to get a peer from the ring-balancer")


async def test_a_garbled_answer_is_a_failure_and_no_more(
    names: NameServer, upstream: Upstream, tmp_path: Path
) -> None:
    names.zones["one.test"] = Zone(code=FORMAT_ERROR)
    node = await start(names, upstream, tmp_path)
    try:
        assert (await ask(node, "/one")).status in (500, 503)
        assert (await ask(node, "/address")).status == 200
    finally:
        await node.stop()


async def test_the_name_servers_of_the_settings_go_before_the_systems(
    names: NameServer, upstream: Upstream
) -> None:
    node = await Gateway.start(
        CONFIG.format(port=upstream.port), environment={"KONG_DNS_RESOLVER": names.address}
    )
    try:
        assert (await ask(node, "/one")).status == 200
    finally:
        await node.stop()
