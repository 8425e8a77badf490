"""route-by-header and canary: who gets to which version."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.gateway import Gateway
from tests.support.routes import routes
from tests.support.upstream import Upstream

ALL = {"hash": "ip", "percentage": 100}


@pytest.fixture(scope="module")
async def old() -> AsyncIterator[Upstream]:
    server = await Upstream().start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def new() -> AsyncIterator[Upstream]:
    server = await Upstream().start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def node(old: Upstream, new: Upstream) -> AsyncIterator[Gateway]:
    there = {"upstream_host": "127.0.0.1", "upstream_port": new.port}
    now = time.time()
    stages = {"stages": [10, 25, 50, 100], "duration": 1000, "hash": "header", "hash_header": "X-User"}
    rules = [
        {"condition": {"X-Version": "new", "x-region": "eu"}, "upstream_name": "new.upstream"},
        {"condition": {"X-Version": "none"}, "upstream_name": "nowhere.upstream"},
    ]
    plugins: dict[str, tuple[str, dict[str, Any]]] = {
        "rules": ("route-by-header", {"rules": rules}),
        "none": ("canary", {**there, "percentage": 0}),
        "all": ("canary", {**there, **ALL}),
        "named": ("canary", {"upstream_host": "new.upstream", **ALL}),
        "uri": ("canary", {"upstream_uri": "/v2", **ALL}),
        "chosen": ("canary", {**there, "percentage": 0, "canary_by_header_name": "X-Canary"}),
        "users": ("canary", {**there, "hash": "header", "hash_header": "X-User", "percentage": 30}),
        "chance": ("canary", {**there, "hash": "none", "percentage": 50}),
        "first": ("canary", {**there, **stages, "start": now - 10}),
        "second": ("canary", {**there, **stages, "start": now - 300}),
        "third": ("canary", {**there, **stages, "start": now - 600}),
        "fourth": ("canary", {**there, **stages, "start": now - 800}),
        "over": ("canary", {**there, **stages, "start": now - 5000}),
        "before": ("canary", {**there, **stages, "start": now + 5000}),
        "growing": (
            "canary",
            {
                **there,
                "start": now - 300,
                "duration": 1000,
                "steps": 10,
                "hash": "header",
                "hash_header": "X-User",
            },
        ),
        "fallback": (
            "canary",
            {"upstream_host": "127.0.0.1", "upstream_port": 1, "upstream_fallback": True, **ALL},
        ),
        "failing": ("canary", {"upstream_host": "127.0.0.1", "upstream_port": 1, **ALL}),
        "allowed": ("canary", {**there, "hash": "allow", "groups": ["beta"]}),
        "denied": ("canary", {**there, "hash": "deny", "groups": ["beta"]}),
    }
    consumers = [
        {"username": "anne", "keyauth_credentials": [{"key": "anne"}], "acls": [{"group": "beta"}]},
        {"username": "bob", "keyauth_credentials": [{"key": "bob"}]},
    ]
    more = {
        "consumers": consumers,
        "upstreams": [{"name": "new.upstream", "targets": [{"target": f"127.0.0.1:{new.port}"}]}],
        "plugins": [
            {"name": "key-auth", "config": {"anonymous": "bob"}},
        ],
    }
    gateway = await Gateway.start(routes(old.url, plugins, **more))
    yield gateway
    await gateway.stop()


async def is_new(
    node: Gateway, old: Upstream, new: Upstream, path: str, headers: dict[str, str] | None = None
) -> bool:
    before = len(old.received), len(new.received)
    reply = await node.request("GET", path, headers or {})
    assert reply.status == 200, reply.body
    asked = len(old.received) - before[0], len(new.received) - before[1]
    assert sorted(asked) == [0, 1]
    return asked == (0, 1)


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/rules", {"X-Version": "new", "X-Region": "eu"}, True),
        ("/rules", {"X-Version": "new"}, False),
        ("/rules", {}, False),
        ("/none", {}, False),
        ("/all", {}, True),
        ("/named", {}, True),
        ("/chosen", {"X-Canary": "always"}, True),
        ("/chosen", {"X-Canary": "other"}, False),
        ("/before", {}, False),
        ("/fourth", {}, True),
        ("/over", {}, True),
        ("/fallback", {}, False),
        ("/allowed", {"apikey": "anne"}, True),
        ("/allowed", {"apikey": "bob"}, False),
        ("/denied", {"apikey": "anne"}, False),
        ("/denied", {"apikey": "bob"}, True),
    ],
)
async def test_who_gets_to_the_new_version(
    node: Gateway, old: Upstream, new: Upstream, path: str, headers: dict[str, str], expected: bool
) -> None:
    assert await is_new(node, old, new, path, headers) is expected


async def test_the_path_of_the_new_version(node: Gateway, old: Upstream) -> None:
    await node.request("GET", "/uri/x?y=1")
    assert old.received[-1].target == "/v2?y=1"


async def test_without_fallback_the_new_versions_failure_is_the_answer(node: Gateway) -> None:
    assert (await node.request("GET", "/failing")).status == 502


async def test_an_unknown_upstream_is_a_name_that_leads_nowhere(node: Gateway) -> None:
    assert (await node.request("GET", "/rules", {"X-Version": "none"})).status == 503


@pytest.mark.parametrize(
    ("path", "percent"), [("/users", 30), ("/first", 10), ("/second", 25), ("/third", 50), ("/growing", 30)]
)
async def test_a_share_is_about_right_and_stays_with_its_users(
    node: Gateway, old: Upstream, new: Upstream, path: str, percent: int
) -> None:
    users = [f"user-{number}" for number in range(200)]
    first = [await is_new(node, old, new, path, {"X-User": user}) for user in users]
    again = [await is_new(node, old, new, path, {"X-User": user}) for user in users[:50]]

    assert abs(sum(first) / 2 - percent) < 12
    assert first[:50] == again


async def test_by_chance_both_versions_are_asked(node: Gateway, old: Upstream, new: Upstream) -> None:
    found = {await is_new(node, old, new, "/chance") for _ in range(64)}
    assert found == {True, False}
