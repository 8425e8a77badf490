"""Limits of policy `cluster`: counted in the database that nodes share, exact over nodes and workers.

Windows are years, so that no test runs into the end of one.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import pytest
from tests.support.cli import tollhouse
from tests.support.gateway import Gateway
from tests.support.load import Load
from tests.support.postgres import Postgres
from tests.support.upstream import Received, Upstream

from tollhouse.stores.postgres import migrations

LIMIT = 400


def limited(url: str, limits: str, name: str = "rate-limiting") -> str:
    return f"""_format_version: "3.0"
plugins: [{{name: prometheus}}]
services:
- name: one
  url: {url}
  routes:
  - name: all
    paths: ["/"]
    plugins:
    - name: {name}
      config: {{{limits}, limit_by: ip, policy: cluster}}
"""


async def filled(postgres: Postgres, text: str, folder: Path) -> Mapping[str, str]:
    """The settings of nodes whose database holds that configuration."""
    database = await postgres.new_database()
    await migrations.bootstrap(postgres.server(database))
    file = folder / "kong.yml"
    file.write_text(text)
    settings = postgres.environment(database)
    done = await tollhouse("config", "import", str(file), **settings)
    assert done.code == 0, done.errors
    return settings


async def two(settings: Mapping[str, str], workers: int = 1) -> list[Gateway]:
    starting = (Gateway.start(None, workers=workers, environment=settings) for _ in range(2))
    return list(await asyncio.gather(*starting))


async def statuses(node: Gateway, count: int) -> list[int]:
    return [(await node.request("GET", "/")).status for _ in range(count)]


@pytest.mark.parametrize("window_type", ["fixed", "sliding"])
async def test_two_nodes_with_two_workers_each_let_exactly_the_limit_pass(
    postgres: Postgres, upstream: Upstream, tmp_path: Path, window_type: str
) -> None:
    text = limited(upstream.url, f"year: {LIMIT}, window_type: {window_type}")
    nodes = await two(await filled(postgres, text, tmp_path), workers=2)
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


async def test_requests_that_are_refused_do_not_count(
    postgres: Postgres, upstream: Upstream, tmp_path: Path
) -> None:
    text = limited(upstream.url, "month: 2, year: 100")
    nodes = await two(await filled(postgres, text, tmp_path))
    try:
        first = await nodes[0].request("GET", "/")
        assert (first.headers["x-ratelimit-remaining-month"], first.headers["ratelimit-limit"]) == ("1", "2")
        assert await statuses(nodes[1], 3) == [200, 429, 429]
        last = await nodes[0].request("GET", "/")
        assert last.headers["x-ratelimit-remaining-year"] == "98"
        assert last.headers["retry-after"] == last.headers["ratelimit-reset"]
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))


@pytest.mark.parametrize(("rate", "exact"), [("0", True), ("-1", True), ("0.05", False)])
async def test_counts_reach_the_other_node_at_the_sync_rate(
    postgres: Postgres, upstream: Upstream, tmp_path: Path, rate: str, exact: bool
) -> None:
    text = limited(upstream.url, f"year: 10, sync_rate: {rate}")
    nodes = await two(await filled(postgres, text, tmp_path))
    try:
        assert await statuses(nodes[0], 6) == [200] * 6
        told = await nodes[1].request("GET", "/")
        assert told.status == 200
        if exact:
            assert told.headers["ratelimit-remaining"] == "3"
        async with asyncio.timeout(20):
            while (await nodes[1].request("GET", "/")).headers["ratelimit-remaining"] != "0":
                await asyncio.sleep(0.05)
            while (await nodes[0].request("GET", "/")).status != 429:
                await asyncio.sleep(0.05)
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))


async def test_what_a_node_has_not_told_yet_is_told_when_it_ends(
    postgres: Postgres, upstream: Upstream, tmp_path: Path
) -> None:
    settings = await filled(postgres, limited(upstream.url, "year: 10, sync_rate: 1000"), tmp_path)
    node = await Gateway.start(None, environment=settings)
    assert await statuses(node, 4) == [200] * 4
    await node.stop()
    connection = await asyncpg.connect(postgres.uri(settings["KONG_PG_DATABASE"]))
    try:
        assert await connection.fetchval("SELECT sum(count)::int FROM tollhouse_counters") == 4
    finally:
        await connection.close()


@pytest.mark.parametrize(("tolerant", "allowed"), [("true", {200}), ("false", {200, 500})])
async def test_a_database_that_dies_under_load_and_comes_back(
    upstream: Upstream, tmp_path: Path, tolerant: str, allowed: set[int]
) -> None:
    server = Postgres()
    await server.start()
    text = limited(upstream.url, f"year: 1000000, fault_tolerant: {tolerant}")
    settings = await filled(server, text, tmp_path)
    node = await Gateway.start(None, environment=settings, workers=2)
    try:
        load = Load(node.proxy).start(8)
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
        await node.until_logged("the database postgres", 4)
        await node.until_logged("is back", 2)
        assert set(await statuses(node, 4)) == {200}
        await load.stop()
        assert load.failures == []
        assert set(load.statuses) == allowed
        metrics = (await node.admin_request("GET", "/metrics")).body.decode()
        where = f"postgres://127.0.0.1:{server.port}/{settings['KONG_PG_DATABASE']}?schema=public"
        assert f'tollhouse_database_errors_total{{server="{where}",kind="away"}}' in metrics
        assert f'tollhouse_database_connects_total{{server="{where}"}}' in metrics
    finally:
        await node.stop()
        server.stop()


async def costly(received: Received, writer: asyncio.StreamWriter) -> bool:
    """Says what the query tells it to say."""
    cost = received.target.partition("?")[2]
    line = f"X-Kong-Limit: {cost}\r\n" if cost else ""
    writer.write(f"HTTP/1.1 200 OK\r\n{line}Content-Length: 2\r\n\r\nok".encode())
    return True


async def test_response_ratelimiting_counts_for_all_nodes(postgres: Postgres, tmp_path: Path) -> None:
    upstream = await Upstream(costly).start()
    limits = "limits: {video: {year: 5}}, block_on_first_violation: true"
    text = limited(upstream.url, limits, "response-ratelimiting")
    nodes = await two(await filled(postgres, text, tmp_path))
    try:
        first = await nodes[0].request("GET", "/?video=4")
        assert first.headers["x-ratelimit-remaining-video-year"] == "1"
        async with asyncio.timeout(20):
            while (await nodes[1].request("GET", "/")).headers["x-ratelimit-remaining-video-year"] != "1":
                await asyncio.sleep(0.05)
        assert (await nodes[1].request("GET", "/?video=1")).status == 200
        async with asyncio.timeout(20):
            while (await nodes[0].request("GET", "/")).status != 429:
                await asyncio.sleep(0.05)
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))
        await upstream.stop()


@pytest.mark.parametrize("name", ["rate-limiting", "response-ratelimiting"])
async def test_without_a_database_the_policy_is_refused_as_by_kong(upstream: Upstream, name: str) -> None:
    limits = "year: 1" if name == "rate-limiting" else "limits: {video: {year: 5}}"
    node = await Gateway.start('_format_version: "3.0"\n')
    try:
        refused = await node.configure(limited(upstream.url, limits, name))
        assert refused.status == 400
        assert "expected one of: local, redis" in refused.body.decode()
        assert "cluster" not in await policies(node, name)
    finally:
        await node.stop()


async def test_the_schema_of_a_node_with_a_database_has_the_policy(
    postgres: Postgres, upstream: Upstream, tmp_path: Path
) -> None:
    settings = await filled(postgres, limited(upstream.url, "year: 1"), tmp_path)
    node = await Gateway.start(None, environment=settings)
    try:
        for name in ("rate-limiting", "response-ratelimiting"):
            assert '["local","cluster","redis"]' in await policies(node, name)
    finally:
        await node.stop()


async def policies(node: Gateway, name: str) -> str:
    return (await node.admin_request("GET", f"/schemas/plugins/{name}")).body.decode()
