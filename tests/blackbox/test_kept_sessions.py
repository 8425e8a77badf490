"""Sessions with the storage `kong`: kept in the database that nodes share."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.cli import tollhouse
from tests.support.gateway import Gateway
from tests.support.postgres import Postgres
from tests.support.upstream import Upstream

from tollhouse.stores.postgres import migrations

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes: [{{name: all, paths: [/]}}]
  plugins:
  - {{name: session, config: {{storage: kong, secret: one}}}}
  - {{name: key-auth, config: {{anonymous: nobody}}}}
  - {{name: acl, config: {{allow: [staff]}}}}
consumers:
- {{username: alice, keyauth_credentials: [{{key: k}}], acls: [{{group: staff}}]}}
- {{username: nobody}}
"""


@pytest.fixture
async def nodes(postgres: Postgres, upstream: Upstream, tmp_path: Path) -> AsyncIterator[list[Gateway]]:
    database = await postgres.new_database()
    await migrations.bootstrap(postgres.server(database))
    (tmp_path / "kong.yml").write_text(CONFIG.format(url=upstream.url))
    settings = postgres.environment(database)
    done = await tollhouse("config", "import", str(tmp_path / "kong.yml"), **settings)
    assert done.code == 0, done.errors
    started = list(await asyncio.gather(*(Gateway.start(None, environment=settings) for _ in range(2))))
    yield started
    await asyncio.gather(*(node.stop() for node in started))


async def statuses(nodes: list[Gateway], cookie: str) -> list[int]:
    return [(await node.request("GET", "/", {"Cookie": cookie})).status for node in nodes]


async def test_a_secret_that_is_not_given_is_made_up_once_for_all_nodes(nodes: list[Gateway]) -> None:
    body = b'{"name": "session", "config": {"cookie_name": "c"}}'
    made = await nodes[0].admin_request("POST", "/plugins", {"Content-Type": "application/json"}, body)
    assert made.status == 201
    plugin = made.json()
    assert isinstance(plugin, dict)
    assert len(plugin["config"]["secret"]) >= 32

    changed = await nodes[0].admin_request(
        "PATCH", f"/plugins/{plugin['id']}", {"Content-Type": "application/json"}, b'{"enabled": false}'
    )
    told = await nodes[1].admin_request("GET", f"/plugins/{plugin['id']}")

    assert changed.status == 200
    shown = told.json()
    assert isinstance(shown, dict)
    assert shown["config"]["secret"] == plugin["config"]["secret"]


async def test_all_nodes_know_a_session_until_one_ends_it(nodes: list[Gateway], postgres: Postgres) -> None:
    begun = await nodes[0].request("GET", "/", {"apikey": "k"})
    cookie = begun.headers["set-cookie"].partition(";")[0]
    assert await statuses(nodes, cookie) == [200, 200]
    assert (await nodes[1].request("POST", "/?session_logout", {"Cookie": cookie})).body == b""
    # Asked for later, so the other node sees it once the first one does.
    assert await statuses(nodes[::-1], cookie) == [401, 401]

    begun = await nodes[0].request("GET", "/", {"apikey": "k"})
    cookie = begun.headers["set-cookie"].partition(";")[0]
    assert await statuses(nodes, cookie) == [200, 200]
    postgres.kill()
    assert await statuses(nodes, cookie) == [401, 401], "nobody is known, and nobody waits"
