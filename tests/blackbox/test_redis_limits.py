"""Limits in Redis: exact over nodes and workers, whatever happens to the server, wherever it is.

Windows are years, so that no test runs into the end of one.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from tests.support.certificates import Authority
from tests.support.gateway import Gateway
from tests.support.load import Load
from tests.support.upstream import Received, Upstream
from tests.support.valkey import Valkey, cluster, sentinel

LIMIT = 400


def config(url: str, redis: str, limits: str = f"year: {LIMIT}", more: str = "", path: str = "/") -> str:
    return f"""_format_version: "3.0"
plugins: [{{name: prometheus}}]
services:
- name: one
  url: {url}
  routes:
  - name: all
    paths: ["{path}"]
    plugins:
    - name: rate-limiting
      config: {{{limits}, limit_by: ip, policy: redis, redis: {{{redis}}}{more}}}
"""


@pytest.fixture(scope="module")
async def valkey() -> AsyncIterator[Valkey]:
    server = await Valkey.started()
    yield server
    server.stop()


@pytest.fixture
async def empty(valkey: Valkey) -> Valkey:
    await valkey.say("FLUSHALL")
    return valkey


def at(server: Valkey) -> str:
    return f"host: 127.0.0.1, port: {server.port}"


async def statuses(node: Gateway, count: int) -> list[int]:
    return [(await node.request("GET", "/")).status for _ in range(count)]


@pytest.mark.parametrize("window_type", ["fixed", "sliding"])
async def test_two_nodes_with_two_workers_each_let_exactly_the_limit_pass(
    empty: Valkey, upstream: Upstream, window_type: str
) -> None:
    text = config(upstream.url, at(empty), more=f", window_type: {window_type}")
    nodes = await asyncio.gather(Gateway.start(text, workers=2), Gateway.start(text, workers=2))
    try:
        before = len(upstream.received)
        loads = [Load(node.proxy).start(16) for node in nodes]
        await asyncio.gather(*(load.until(LIMIT // 2 + 100) for load in loads))
        await asyncio.gather(*(load.stop() for load in loads))
        assert [load.failures for load in loads] == [[], []]
        assert sum(load.statuses[200] for load in loads) == LIMIT
        assert all(load.statuses[200] for load in loads)
        assert len(upstream.received) - before == LIMIT
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))


async def test_requests_that_are_refused_count_as_in_kong_and_keys_go_with_their_window(
    empty: Valkey, upstream: Upstream
) -> None:
    node = await Gateway.start(config(upstream.url, at(empty), "month: 2, year: 100"))
    try:
        first = await node.request("GET", "/")
        assert (first.headers["x-ratelimit-remaining-month"], first.headers["ratelimit-limit"]) == ("1", "2")
        assert await statuses(node, 3) == [200, 429, 429]
        last = await node.request("GET", "/")
        assert last.headers["x-ratelimit-remaining-year"] == "95"
        assert last.headers["retry-after"] == last.headers["ratelimit-reset"]
        lives = sorted([await empty.say("TTL", key) for key in await empty.counts()])
        assert [round(seconds / 86_400) for seconds in lives] == [30, 365]
    finally:
        await node.stop()


async def test_counts_told_now_and_then_reach_the_other_node(empty: Valkey, upstream: Upstream) -> None:
    text = config(upstream.url, at(empty), "year: 10", more=", sync_rate: 0.05")
    nodes = await asyncio.gather(Gateway.start(text), Gateway.start(text))
    try:
        assert await statuses(nodes[0], 6) == [200] * 6
        assert (await nodes[1].request("GET", "/")).status == 200
        async with asyncio.timeout(20):
            while (await nodes[1].request("GET", "/")).headers["ratelimit-remaining"] != "0":
                await asyncio.sleep(0.05)
            while (await nodes[0].request("GET", "/")).status != 429:
                await asyncio.sleep(0.05)
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))


@pytest.mark.parametrize(("rate", "exact"), [("0", True), ("0.05", False), ("-1", True)])
async def test_rate_limiting_advanced_counts_for_all_nodes(
    empty: Valkey, upstream: Upstream, rate: str, exact: bool
) -> None:
    text = config(upstream.url, at(empty), "year: 1")
    head, _, _ = text.partition("    - name: rate-limiting")
    text = f"""{head}    - name: rate-limiting-advanced
      config: {{limit: [5, 9], window_size: [31536000, 63072000], window_type: fixed, identifier: ip,
        namespace: all, strategy: redis, sync_rate: {rate}, redis: {{{at(empty)}}}}}
"""
    nodes = await asyncio.gather(Gateway.start(text), Gateway.start(text))
    try:
        assert await statuses(nodes[0], 5) == [200] * 5
        if rate == "-1":  # no node learns of the other
            assert (await nodes[1].request("GET", "/")).status == 200
            assert await empty.counts() == {}
            return
        async with asyncio.timeout(20):
            while (await nodes[1].request("GET", "/")).status != 429:
                assert not exact
                await asyncio.sleep(0.05)
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))


@pytest.mark.parametrize(("tolerant", "allowed"), [("true", {200}), ("false", {200, 500})])
async def test_a_server_that_dies_under_load_and_comes_back(
    upstream: Upstream, tolerant: str, allowed: set[int]
) -> None:
    server = await Valkey.started()
    text = config(upstream.url, at(server), "year: 1000000", more=f", fault_tolerant: {tolerant}")
    node = await Gateway.start(text, workers=2)
    try:
        load = Load(node.proxy).start(16)
        await load.until(200)
        server.kill()
        await node.until_logged("cannot be reached", 2)
        await load.until(200)
        told = await node.request("GET", "/")
        assert told.status == (200 if tolerant == "true" else 500)
        if tolerant == "false":
            assert told.json() == {
                "message": "An unexpected error occurred",
                "request_id": told.headers["x-kong-request-id"],
            }
        await server.start()
        await node.until_logged("is back", 2)
        assert set(await statuses(node, 4)) == {200}
        await load.stop()
        assert load.failures == []
        assert set(load.statuses) == allowed
        assert sum((await server.counts()).values()) >= 4, "the server counts again"
        metrics = (await node.admin_request("GET", "/metrics")).body.decode()
        assert f'tollhouse_redis_errors_total{{server="127.0.0.1:{server.port}/0",kind="away"}}' in metrics
        assert f'tollhouse_redis_connects_total{{server="127.0.0.1:{server.port}/0"}} 4' in metrics
    finally:
        await node.stop()
        server.stop()


async def test_while_the_server_is_away_a_tolerant_node_counts_alone(upstream: Upstream) -> None:
    server = Valkey()
    node = await Gateway.start(config(upstream.url, at(server), "year: 3"), workers=2)
    try:
        assert await statuses(node, 5) == [200, 200, 200, 429, 429]
    finally:
        await node.stop()
        server.stop()


async def test_a_server_that_is_silent_holds_nobody_up_for_longer_than_the_timeout(
    upstream: Upstream,
) -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass
        writer.close()

    silent = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    redis = f"host: 127.0.0.1, port: {port}, timeout: 200"
    node = await Gateway.start(config(upstream.url, redis, "year: 3"))
    try:
        assert await statuses(node, 5) == [200, 200, 200, 429, 429]
        await node.until_logged("cannot be reached")
    finally:
        await node.stop()
        silent.close()


async def test_acl_user_and_database(upstream: Upstream) -> None:
    server = await Valkey.started("user gate on >secret ~* +@all", "user default off")
    login = f"{at(server)}, username: gate, password: secret, database: 3"
    node = await Gateway.start(config(upstream.url, login, "year: 2", ", fault_tolerant: false"))
    wrong = await Gateway.start(
        config(upstream.url, login.replace("secret", "guess"), "year: 2", ", fault_tolerant: false")
    )
    try:
        assert await statuses(node, 3) == [200, 200, 429]
        assert await statuses(wrong, 1) == [500]
        await wrong.until_logged("WRONGPASS")
        assert not [line for line in wrong.errors if "guess" in line]
        assert list((await server.counts("gate:secret", 3)).values()) == [3]
    finally:
        await asyncio.gather(node.stop(), wrong.stop())
        server.stop()


async def test_a_cluster_of_three_and_a_slot_that_moves(upstream: Upstream) -> None:
    nodes = await cluster()
    places = ", ".join(f"{{ip: 127.0.0.1, port: {node.port}}}" for node in nodes[:2])
    header = "year: 2, month: 2, limit_by: header, header_name: X-Who"
    text = config(upstream.url, f"cluster_nodes: [{places}]", header, ", fault_tolerant: false")
    node = await Gateway.start(text.replace("limit_by: ip, ", ""), workers=2)

    async def asked(who: str) -> int:
        return (await node.request("GET", "/", {"X-Who": who})).status

    try:
        for number in range(30):
            assert [await asked(f"caller{number}") for _ in range(3)] == [200, 200, 429]
        counts = [len(await server.counts()) for server in nodes]
        assert sum(counts) == 60
        assert all(counts), "every node has some"
        await _move_a_slot(nodes)
        for number in range(30):
            assert await asked(f"caller{number}") == 429
    finally:
        await node.stop()
        for server in nodes:
            server.stop()


async def _move_a_slot(nodes: Sequence[Valkey]) -> None:
    """What `valkey-cli --cluster reshard` does with one slot that has keys."""
    source, target = nodes[0], nodes[1]
    names = [(await server.say("CLUSTER", "MYID")).decode() for server in (source, target)]
    key = next(iter(await source.counts()))
    slot = await source.say("CLUSTER", "KEYSLOT", key)
    await target.say("CLUSTER", "SETSLOT", slot, "IMPORTING", names[0])
    await source.say("CLUSTER", "SETSLOT", slot, "MIGRATING", names[1])
    keys = await source.say("CLUSTER", "GETKEYSINSLOT", slot, 100)
    await source.say("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
    for server in (target, source):
        await server.say("CLUSTER", "SETSLOT", slot, "NODE", names[1])


async def test_a_new_master_that_sentinels_chose_is_found(upstream: Upstream) -> None:
    master = await Valkey.started()
    replica = await Valkey.started(f"replicaof 127.0.0.1 {master.port}")
    async with asyncio.timeout(30):
        while (await replica.say("ROLE"))[3] != b"connected":
            await asyncio.sleep(0.05)
    watcher = await sentinel(master)
    redis = f"sentinel_master: main, sentinel_nodes: [{{host: 127.0.0.1, port: {watcher.port}}}]"
    node = await Gateway.start(config(upstream.url, redis, "year: 1000000", ", fault_tolerant: false"))
    try:
        assert await statuses(node, 3) == [200, 200, 200]
        async with asyncio.timeout(30):
            while not await replica.counts() or not await watcher.say("SENTINEL", "REPLICAS", "main"):
                await asyncio.sleep(0.05)
        master.kill()
        async with asyncio.timeout(60):
            while (await node.request("GET", "/")).status != 200:
                await asyncio.sleep(0.05)
        (count,) = (await replica.counts()).values()
        assert count >= 4, "the counts went on at the replica"
    finally:
        await node.stop()
        for server in (watcher, replica, master):
            server.stop()


async def costly(received: Received, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Kong-Limit: video=2\r\nContent-Length: 0\r\n\r\n")
    return True


async def test_response_ratelimiting_counts_for_all_nodes(empty: Valkey) -> None:
    upstream = await Upstream(costly).start()
    text = f"""_format_version: "3.0"
services:
- url: {upstream.url}
  routes:
  - paths: [/]
    plugins:
    - name: response-ratelimiting
      config: {{limit_by: ip, policy: redis, redis_host: 127.0.0.1, redis_port: {empty.port},
        fault_tolerant: false, block_on_first_violation: true, limits: {{video: {{year: 5}}}}}}
"""
    nodes = await asyncio.gather(Gateway.start(text), Gateway.start(text))
    try:
        await nodes[0].until_logged(
            "response-ratelimiting: config.redis_port is deprecated, please use config.redis.port instead "
            "(deprecated after 4.0)"
        )
        assert not any("config.redis_ssl is deprecated" in line for line in nodes[0].errors)
        told = []
        for number in range(3):
            reply = await nodes[number % 2].request("GET", "/video")
            told.append((reply.status, reply.headers["x-ratelimit-remaining-video-year"]))
            async with asyncio.timeout(10):
                while list((await empty.counts()).values()) != [2 * number + 2]:
                    await asyncio.sleep(0.02)
        assert told == [(200, "3"), (200, "1"), (200, "0")]
        refused = await nodes[1].request("GET", "/video")
        assert refused.status == 429
        assert "API rate limit exceeded for 'video'" in refused.body.decode()
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))
        await upstream.stop()


async def test_tls_with_a_certificate_that_is_checked(upstream: Upstream, tmp_path: Path) -> None:
    """The server's program knows no TLS: what stands before it does, as in clouds."""
    server = await Valkey.started()
    authority = Authority(tmp_path)
    issued = authority.issue("redis.test")

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    front = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=issued.server_context())
    place = f"host: 127.0.0.1, port: {front.sockets[0].getsockname()[1]}, ssl: true"
    trusting = {"KONG_LUA_SSL_TRUSTED_CERTIFICATE": f"system,{authority.file}"}
    cases = {
        f"{place}, ssl_verify: true, server_name: redis.test": (trusting, [200, 200, 429]),
        f"{place}, ssl_verify: true, server_name: other.test": (trusting, [500]),
        f"{place}, ssl_verify: true": ({}, [500]),
        f"{place}, ssl_verify: false": ({}, [200, 200, 429]),
    }
    try:
        for redis, (environment, expected) in cases.items():
            await server.say("FLUSHALL")
            text = config(upstream.url, redis, "year: 2", ", fault_tolerant: false")
            node = await Gateway.start(text, environment=environment)
            try:
                assert await statuses(node, len(expected)) == expected, redis
            finally:
                await node.stop()
    finally:
        front.close()
        server.stop()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


async def test_a_configuration_that_names_no_server_uses_the_nodes_own(
    empty: Valkey, upstream: Upstream
) -> None:
    text = config(upstream.url, "", "year: 2", ", fault_tolerant: false")
    node = await Gateway.start(
        text, environment={"TOLLHOUSE_REDIS_HOST": "127.0.0.1", "TOLLHOUSE_REDIS_PORT": str(empty.port)}
    )
    try:
        assert await statuses(node, 3) == [200, 200, 429]
    finally:
        await node.stop()


async def test_a_full_backlog_fails_at_once(upstream: Upstream) -> None:
    server = await Valkey.started()
    text = config(
        upstream.url, f"{at(server)}, keepalive_backlog: 0", "year: 1000000", ", fault_tolerant: false"
    )
    node = await Gateway.start(text)
    try:
        assert await statuses(node, 2) == [200, 200]
        await server.say("CLIENT", "PAUSE", 700, "ALL")
        load = Load(node.proxy).start(8)
        await load.until(8)
        await load.stop()
        assert load.statuses[500] > 0
    finally:
        await node.stop()
        server.stop()


async def test_answers_are_kept_for_all_nodes(upstream: Upstream) -> None:
    server = await Valkey.started()
    text = f"""_format_version: "3.0"
services:
- url: {upstream.url}
  routes:
  - name: all
    paths: [/]
    plugins:
    - name: proxy-cache
      config: {{strategy: redis, content_type: ["*/*"], redis: {{{at(server)}}}}}
"""
    nodes = await asyncio.gather(Gateway.start(text), Gateway.start(text))

    async def told(node: Gateway) -> tuple[int, str]:
        reply = await node.request("GET", "/kept")
        return reply.status, reply.headers["x-cache-status"]

    try:
        assert await told(nodes[0]) == (200, "Miss")
        async with asyncio.timeout(10):
            while not (keys := await server.say("KEYS", "*")):
                await asyncio.sleep(0.02)
        assert [await told(node) for node in nodes] == [(200, "Hit"), (200, "Hit")]
        assert 290 <= await server.say("TTL", keys[0]) <= 300
        server.kill()
        assert [await told(node) for node in nodes] == [(200, "Miss"), (200, "Miss")]
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))
        server.stop()
