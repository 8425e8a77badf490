"""Nodes that share a database, as they are run: processes of their own, the real server beside them."""

import asyncio
import itertools
import os
import signal
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.cli import tollhouse
from tests.support.gateway import Gateway, clean_environment
from tests.support.postgres import Postgres
from tests.support.rows import IDS
from tests.support.upstream import Upstream

from tollhouse.model.entities import ENTITIES
from tollhouse.stores.postgres import migrations
from tollhouse.stores.postgres.store import PostgresStore

SERVICES, ROUTES = ENTITIES["services"], ENTITIES["routes"]
#: how long a change may take until it is served everywhere
SECONDS = 15


@pytest.fixture
async def store(postgres: Postgres, upstream: Upstream) -> AsyncIterator[PostgresStore]:
    """A database with one service."""
    server = postgres.server(await postgres.new_database())
    await migrations.bootstrap(server)
    opened = PostgresStore(server)
    service = _row("services", 1, name="up", host="127.0.0.1", port=upstream.port)
    async with opened.transaction() as transaction:
        await transaction.insert(SERVICES, service)
    yield opened
    await opened.close()


def _row(kind: str, number: int, **fields: Any) -> dict[str, Any]:
    values = {**ENTITIES[kind].schema.blank(), **fields, "id": IDS[number]}
    ENTITIES[kind].fill_auto(values, 1_700_000_000)
    return values


def _route(number: int, path: str) -> dict[str, Any]:
    return _row("routes", number, paths=[path], service={"id": IDS[1]})


async def _insert(store: PostgresStore, *routes: dict[str, Any]) -> None:
    async with store.transaction() as transaction:
        for route in routes:
            await transaction.insert(ROUTES, route)


@asynccontextmanager
async def nodes(
    postgres: Postgres, store: PostgresStore, count: int, workers: int = 2
) -> AsyncIterator[list[Gateway]]:
    environment = postgres.environment(store.server.database)
    started: list[Gateway] = []
    try:
        for _ in range(count):
            started.append(await Gateway.start(None, workers=workers, environment=environment))  # noqa: PERF401
        yield started
    finally:
        for node in started:
            await node.stop()


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await holds():
            await asyncio.sleep(0.01)


async def _serves(node: Gateway, path: str, status: int = 200) -> bool:
    """Whether several connections, so that both workers are asked, are all answered so."""
    replies = await asyncio.gather(*(node.request("GET", path) for _ in range(6)))
    return all(reply.status == status for reply in replies)


async def test_a_change_is_served_by_all_workers_of_all_nodes(
    postgres: Postgres, store: PostgresStore
) -> None:
    async with nodes(postgres, store, 2) as (one, two):
        assert await _serves(one, "/a", 404)

        await _insert(store, _route(2, "/a"))

        await until(lambda: _serves(one, "/a"))
        await until(lambda: _serves(two, "/a"))
        for node in (one, two):
            await node.until_logged(" entities changed)", 2)
        async with store.transaction() as transaction:
            await transaction.delete(ROUTES, IDS[2])
        await until(lambda: _serves(one, "/a", 404))
        await until(lambda: _serves(two, "/a", 404))
        for node in (one, two):
            await node.until_logged(" entities changed)", 4)


async def test_a_database_that_dies_and_comes_back_costs_no_request(
    postgres: Postgres, store: PostgresStore
) -> None:
    await _insert(store, _route(2, "/a"))
    async with nodes(postgres, store, 2) as both:
        statuses: list[int] = []
        ending = asyncio.Event()

        async def ask(node: Gateway) -> None:
            while not ending.is_set():
                statuses.append((await node.request("GET", "/a")).status)

        async def longer_than(count: int) -> bool:
            return len(statuses) > count

        async with asyncio.TaskGroup() as asking:
            for node in both:
                asking.create_task(ask(node))
            for times in (1, 2):
                postgres.kill()
                for node in both:
                    await node.until_logged("is away, serving on without it", times)
                await until(partial(longer_than, len(statuses) + 20))
                await postgres.start()
                await _insert(store, _route(10 + times, f"/b{times}"))
                for node in both:
                    await until(partial(_serves, node, f"/b{times}"))
            ending.set()
        assert set(statuses) == {200}


async def test_a_node_starts_while_the_database_is_away_and_catches_up(
    postgres: Postgres, store: PostgresStore, tmp_path: Any
) -> None:
    await _insert(store, _route(2, "/a"))
    environment = {**postgres.environment(store.server.database), "KONG_PREFIX": str(tmp_path)}
    first = await Gateway.start(None, workers=2, environment=environment)
    await first.stop()
    await _insert(store, _route(3, "/b"))
    postgres.kill()

    second = await Gateway.start(None, workers=2, environment=environment)
    try:
        assert await _serves(second, "/a")
        assert await _serves(second, "/b", 404)
        await postgres.start()
        await until(lambda: _serves(second, "/b"))
    finally:
        await second.stop()


async def test_a_node_that_never_saw_the_database_says_what_is_missing(postgres: Postgres) -> None:
    environment = postgres.environment(await postgres.new_database())
    empty = await tollhouse("start", **environment, KONG_DECLARATIVE_CONFIG="kong.yml")
    assert empty.code == 1
    assert "KONG_DECLARATIVE_CONFIG has no effect: KONG_DATABASE is 'postgres'" in empty.errors
    assert "run 'tollhouse migrations bootstrap'" in empty.errors

    away = await tollhouse("start", **{**environment, "KONG_PG_PORT": "1"})
    assert away.code == 1
    assert "KONG_PG_HOST: cannot read postgres://127.0.0.1:1/" in away.errors

    both = await tollhouse("start", "-c", "kong.yml", **environment)
    assert "-c: KONG_DATABASE is 'postgres'" in both.errors


async def test_what_cannot_be_served_leaves_what_was(postgres: Postgres, store: PostgresStore) -> None:
    await _insert(store, _route(2, "/a"))
    async with nodes(postgres, store, 1) as (node,):
        plugin = _row("plugins", 5, name="of-another-node", config={})
        async with store.transaction() as transaction:
            await transaction.insert(ENTITIES["plugins"], plugin)

        await node.until_logged("plugin 'of-another-node' is in use but not enabled on this node")

        assert await _serves(node, "/a")
        async with store.transaction() as transaction:
            await transaction.delete(ENTITIES["plugins"], IDS[5])
        await _insert(store, _route(3, "/b"))
        await until(lambda: _serves(node, "/b"))


async def test_entities_are_changed_over_any_node_s_admin_api(
    postgres: Postgres, store: PostgresStore
) -> None:
    async with nodes(postgres, store, 2) as (one, two):
        route = await _call(one, "POST", "/services/up/routes", 201, name="r", paths=["/a"], tags=["t"])
        await until(partial(_serves, two, "/a"))
        await _call(two, "PATCH", "/routes/r", 200, paths=["/b"])
        await until(partial(_serves, one, "/b"))
        await until(partial(_serves, one, "/a", 404))
        shown = await _call(one, "GET", f"/routes/{route['id']}", 200)
        assert (shown["paths"], shown["tags"]) == (["/b"], ["t"])
        await _call(one, "POST", "/consumers", 201, username="c")
        await _call(two, "POST", "/consumers/c/key-auth", 201, key="k")
        await _call(two, "POST", "/routes/r/plugins", 201, name="key-auth")
        await until(partial(_serves, one, "/b", 401))
        assert (await one.request("GET", "/b", {"apikey": "k"})).status == 200
        await _call(one, "POST", "/consumers", 409, username="c")
        await _call(two, "DELETE", "/services/up", 400)
        await _call(two, "DELETE", "/routes/r", 204)
        await until(partial(_serves, one, "/b", 404))
        assert (await _call(one, "GET", "/plugins", 200))["data"] == []


async def test_who_was_given_a_key_can_use_it_at_once_and_no_longer_than_it_is_there(
    postgres: Postgres, store: PostgresStore
) -> None:
    async with nodes(postgres, store, 1) as (node,):
        await _call(node, "POST", "/services/up/routes", 201, name="r", paths=["/a"])
        await _call(node, "POST", "/routes/r/plugins", 201, name="key-auth")
        await _call(node, "POST", "/consumers", 201, username="alice")
        for key in ("/a?apikey=one", "/a?apikey=two", "/a?apikey=three"):
            await _call(node, "PUT", f"/consumers/alice/key-auth/{key[10:]}", 200)
            assert await _serves(node, key)
            await _call(node, "DELETE", f"/consumers/alice/key-auth/{key[10:]}", 204)
            assert await _serves(node, key, 401)


async def test_changes_are_refused_while_the_database_is_away(
    postgres: Postgres, store: PostgresStore
) -> None:
    async with nodes(postgres, store, 1) as (node,):
        postgres.kill()
        await _call(node, "POST", "/consumers", 503, username="c")
        await postgres.start()
        await _call(node, "POST", "/consumers", 201, username="c")


async def _call(node: Gateway, method: str, path: str, status: int, **body: Any) -> Any:
    content = msgspec.json.encode(body) if body else b""
    fields = {"Content-Type": "application/json"} if body else {}
    reply = await node.admin_request(method, path, fields, content)
    assert reply.status == status, reply.body
    return reply.json() if reply.body else None


async def test_a_file_is_brought_into_the_database_and_compared_with_it(
    postgres: Postgres, store: PostgresStore, upstream: Upstream, tmp_path: Path
) -> None:
    file = tmp_path / "kong.yml"
    environment = postgres.environment(store.server.database)
    async with nodes(postgres, store, 1) as (node,):
        for path in ("/a", "/b"):
            file.write_text(_declared(upstream, path, consumers=3))
            done = await tollhouse("config", "sync", str(file), **environment)
            assert done.code == 0, done.errors
            await until(partial(_serves, node, path))
        assert await _serves(node, "/a", 404)
    same = await tollhouse("config", "diff", str(file), **environment)
    assert same.code == 0, same.output


async def test_what_the_admin_api_made_is_shown_as_its_own_and_no_file_deletes_it(
    postgres: Postgres, store: PostgresStore, upstream: Upstream, tmp_path: Path
) -> None:
    file = tmp_path / "kong.yml"
    environment = postgres.environment(store.server.database)

    async def config(command: str, *arguments: str) -> str:
        done = await tollhouse("config", command, *arguments, **environment)
        assert done.code == 0, done.errors
        return done.output

    async def owner(path: str) -> str:
        reply = await node.admin_request("GET", path)
        assert reply.status == 200
        return reply.headers["x-tollhouse-owner"]

    async with nodes(postgres, store, 1) as (node,):
        file.write_text(_declared(upstream, "/a", consumers=1))
        await config("sync", str(file))
        await _call(node, "POST", "/consumers/c0/key-auth", 201, key="by-hand")
        await _call(node, "POST", "/consumers", 201, username="by-hand")
        await _call(node, "PATCH", "/routes/r", 200, tags=["t"])
        assert await owner("/services/up") == await owner("/routes/r/service") == "file:kong.yml"
        assert await owner("/routes/r") == "file:kong.yml"
        assert await owner("/consumers/by-hand") == "admin-api"
        assert (
            await owner("/consumers") == await owner("/consumers/c0/key-auth") == "admin-api, file:kong.yml"
        )

        file.write_text(_declared(upstream, "/b", consumers=0))
        for command in ("diff", "sync"):
            shown = await config(command, str(file))
            assert "left alone, made through the Admin API" in shown
            assert "  = consumers by-hand" in shown
            assert "  = consumers c0" in shown  # what the key by hand belongs to
            assert "keyauth_credentials" in shown
        await until(partial(_serves, node, "/b"))
        assert [each["key"] for each in (await _call(node, "GET", "/key-auths", 200))["data"]] == ["by-hand"]
        dumped = await config("dump")
        assert "owned there by: admin-api, file:kong.yml" in dumped
        assert "#   consumers by-hand\n" in dumped

        file.write_text(_declared(upstream, "/b", consumers=0) + "- {username: by-hand}\n")
        assert "no changes" in await config("sync", str(file))
        assert await owner("/consumers/by-hand") == "file:kong.yml"

        file.write_text(_declared(upstream, "/b", consumers=0))
        assert "- by-hand" in await config("sync", str(file))
        await config("sync", str(file), "--all-owners")
        assert (await _call(node, "GET", "/consumers", 200))["data"] == []


async def test_a_sync_that_is_killed_at_any_moment_leaves_the_old_or_the_new(
    postgres: Postgres, store: PostgresStore, upstream: Upstream, tmp_path: Path
) -> None:
    before = (await store.snapshot()).hash
    file = tmp_path / "kong.yml"
    file.write_text(_declared(upstream, "/a", consumers=3000))
    command = (sys.executable, "-m", "tollhouse", "config", "sync", str(file))
    environment = {**clean_environment(), **postgres.environment(store.server.database)}
    seen = set()
    for tenths in itertools.count(8, 2):
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=DEVNULL)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), tenths / 10)
        if process.returncode is None:
            process.kill()
            await process.wait()
        snapshot = await store.snapshot()
        seen.add(len(snapshot.consumers))
        assert len(snapshot.consumers) in (0, 3000)
        assert len(snapshot.keyauth_credentials) == len(snapshot.consumers)
        assert len(snapshot.routes) == (1 if snapshot.consumers else 0)
        assert bool(snapshot.consumers) == (snapshot.hash != before)
        if snapshot.consumers:
            break
    assert 3000 in seen


def _declared(upstream: Upstream, path: str, consumers: int) -> str:
    keys = "".join(
        f"- {{username: c{number}, keyauth_credentials: [{{key: k{number}}}]}}\n"
        for number in range(consumers)
    )
    return f"""_format_version: "3.0"
services:
- name: up
  host: 127.0.0.1
  port: {upstream.port}
  routes: [{{name: r, paths: [{path}]}}]
consumers:
{keys}"""


async def test_a_burst_of_changes_ends_with_all_of_them(postgres: Postgres, store: PostgresStore) -> None:
    async with nodes(postgres, store, 1) as (node,):
        for number in range(2, 62):
            await _insert(store, _route(number, f"/r{number}/"))

        await until(lambda: _serves(node, "/r61/"))
        for number in (2, 30, 60):
            assert await _serves(node, f"/r{number}/")


async def test_a_control_process_that_is_killed_is_replaced_by_one_that_follows(
    postgres: Postgres, store: PostgresStore
) -> None:
    async with nodes(postgres, store, 1) as (node,):
        for number, path in ((2, "/a"), (3, "/b"), (4, "/c")):
            os.kill(await _control_pid(node), signal.SIGKILL)
            await _insert(store, _route(number, path))
            await until(partial(_serves, node, path))


async def _control_pid(node: Gateway) -> int:
    """The child of the supervisor that is no worker."""
    workers: list[int] = []

    async def is_there() -> bool:
        with suppress(OSError):
            shown: Any = (await node.admin_request("GET", "/")).json()
            workers[:] = shown["pids"]["workers"]
        return len(workers) == 2

    await until(is_there)
    folder = Path(f"/proc/{node.process.pid}/task/{node.process.pid}")
    children = map(int, (folder / "children").read_text().split())
    return next(pid for pid in children if pid not in workers)


async def test_a_key_is_refused_and_deleted_when_its_time_is_over(
    postgres: Postgres, store: PostgresStore
) -> None:
    async with nodes(postgres, store, 1) as (node,):
        await _insert(store, _route(2, "/a"))
        await _call(node, "POST", "/plugins", 201, name="key-auth")
        await _call(node, "POST", "/consumers", 201, username="u")
        await _call(node, "POST", "/consumers/u/key-auth", 201, key="brief", ttl=2)
        await _call(node, "POST", "/consumers/u/key-auth", 201, key="lasting")
        await until(lambda: _serves(node, "/a?apikey=brief", 401))
        await until(lambda: _serves(node, "/a?apikey=lasting"))

        async def left() -> list[str]:
            return [each.key for each in (await store.snapshot()).keyauth_credentials]

        async def one_left() -> bool:
            return await left() == ["lasting"]

        await until(one_left)


async def test_nodes_serve_changes_in_their_order(
    postgres: Postgres, store: PostgresStore, record_testsuite_property: Callable[[str, object], None]
) -> None:
    paths = [f"/r{number}/" for number in range(2, 22)]
    served: dict[str, float] = {}
    async with nodes(postgres, store, 2, workers=1) as (_, other):
        clock = asyncio.get_running_loop().time

        async def watch() -> None:
            """Asks the other node for all paths, the last first: what came before is there if it is."""
            while len(served) < len(paths):
                seen = [(await other.request("GET", path)).status == 200 for path in reversed(paths)]
                assert seen == sorted(seen), "a later change is served and an earlier one is not"
                now = clock()
                for path, holds in zip(reversed(paths), seen, strict=True):
                    if holds:
                        served.setdefault(path, now)

        async def change() -> dict[str, float]:
            made = {}
            for number, path in enumerate(paths, 2):
                await _insert(store, _route(number, path))
                made[path] = clock()
            return made

        async with asyncio.timeout(SECONDS):
            made, _ = await asyncio.gather(change(), watch())

    slowest = max(served[path] - made[path] for path in paths)
    record_testsuite_property("seconds_until_the_slowest_change_was_served", round(slowest, 3))
