"""Which configuration of a plugin counts, for every pair of scopes that may hold one at the same time.

Each case has a service, a route, a consumer and a group of its own. Plugins are configured for two
scopes of them, and there is one for everything; the answer's header tells whose came through.
"""

from collections.abc import AsyncIterator
from itertools import combinations
from typing import Any

import pytest
import yaml
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

Scope = tuple[str, ...]
#: Kong's order, the strongest first
ORDER: tuple[Scope, ...] = (
    ("consumer", "route", "service"),
    ("consumer_group", "route", "service"),
    ("consumer", "route"),
    ("consumer", "service"),
    ("consumer_group", "route"),
    ("consumer_group", "service"),
    ("route", "service"),
    ("consumer",),
    ("consumer_group",),
    ("route",),
    ("service",),
)
CASES: tuple[tuple[Scope, ...], ...] = (
    (),
    *((scope,) for scope in ORDER),
    *combinations(ORDER, 2),
    ORDER,
)


def label(scope: Scope) -> str:
    return "+".join(scope) or "global"


def name_of(case: tuple[Scope, ...]) -> str:
    return "everything" if case == ORDER else ".".join(map(label, case)) or "global"


def plugin(scope: Scope, owner: str, *, enabled: bool = True) -> dict[str, Any]:
    config = {"add": {"headers": [f"X-Scope:{label(scope)}"]}}
    return {
        "name": "response-transformer",
        "config": config,
        "enabled": enabled,
        **dict.fromkeys(scope, owner),
    }


def config(url: str) -> str:
    names = {f"c{number}": case for number, case in enumerate(CASES)}
    groups = [{"name": name} for name in (*names, "off", "two-a", "two-b")]
    consumers: list[dict[str, Any]] = [
        {"username": name, "keyauth_credentials": [{"key": name}], "groups": [{"name": name}]}
        for name in (*names, "off")
    ]
    consumers.append({"username": "stranger", "keyauth_credentials": [{"key": "stranger"}]})
    both = [{"name": "two-b"}, {"name": "two-a"}]
    consumers.append({"username": "two", "keyauth_credentials": [{"key": "two"}], "groups": both})
    services = [
        {"name": name, "url": url, "routes": [{"name": name, "paths": [f"/{name}/"]}]}
        for name in (*names, "off", "two")
    ]
    plugins = [{"name": "key-auth"}, plugin((), "")]
    plugins += [plugin(scope, name) for name, case in names.items() for scope in case]
    plugins += [plugin(("consumer", "route"), "off", enabled=False), plugin(("service",), "off")]
    for group in ("two-a", "two-b"):
        add = {"headers": [f"X-Scope:{group}"]}
        bound = {"name": "response-transformer", "consumer_group": group, "config": {"add": add}}
        plugins.append(bound)
    return yaml.safe_dump(
        {
            "_format_version": "3.0",
            "consumer_groups": groups,
            "consumers": consumers,
            "services": services,
            "plugins": plugins,
        }
    )


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(config(upstream.url))
    yield gateway
    await gateway.stop()


async def scope_of(node: Gateway, place: str, caller: str) -> str:
    reply = await node.request("GET", f"/{place}/", {"apikey": caller})
    assert reply.status == 200
    return reply.headers["x-scope"]


@pytest.mark.parametrize("number", range(len(CASES)), ids=map(name_of, CASES))
async def test_the_strongest_scope_counts(node: Gateway, number: int) -> None:
    name, case = f"c{number}", CASES[number]
    assert await scope_of(node, name, name) == label(case[0] if case else ())


@pytest.mark.parametrize("number", range(len(CASES)), ids=map(name_of, CASES))
async def test_what_is_bound_to_another_caller_does_not_count(node: Gateway, number: int) -> None:
    unbound = [scope for scope in CASES[number] if not {"consumer", "consumer_group"} & set(scope)]
    assert await scope_of(node, f"c{number}", "stranger") == label(unbound[0] if unbound else ())


async def test_a_plugin_that_is_switched_off_gives_way_to_the_next(node: Gateway) -> None:
    assert await scope_of(node, "off", "off") == "service"


async def test_of_two_groups_the_first_by_name_counts(node: Gateway) -> None:
    assert await scope_of(node, "two", "two") == "two-a"
