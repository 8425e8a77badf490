"""acl: groups let consumers in or keep them out."""

from collections.abc import AsyncIterator

import pytest
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes:
  - {{name: allow, paths: [/allow], plugins: [{{name: key-auth}},
      {{name: acl, config: {{allow: [staff, beta]}}}}]}}
  - {{name: deny, paths: [/deny], plugins: [{{name: key-auth}}, {{name: acl, config: {{deny: [staff]}}}}]}}
  - {{name: hide, paths: [/hide], plugins: [{{name: key-auth}},
      {{name: acl, config: {{allow: [staff], hide_groups_header: true}}}}]}}
  - {{name: groups, paths: [/groups], plugins: [{{name: key-auth}},
      {{name: acl, config: {{allow: [gold], include_consumer_groups: true}}}}]}}
  - {{name: without, paths: [/without], plugins: [{{name: key-auth}},
      {{name: acl, config: {{allow: [gold]}}}}]}}
  - {{name: always, paths: [/always], plugins: [{{name: key-auth}},
      {{name: acl, config: {{allow: [staff], always_use_authenticated_groups: true}}}}]}}
  - {{name: alone, paths: [/alone], plugins: [{{name: acl, config: {{deny: [staff]}}}}]}}
  - {{name: anonymous, paths: [/anonymous], plugins: [{{name: key-auth, config: {{anonymous: nobody}}}},
      {{name: acl, config: {{allow: [staff]}}}}]}}
  - {{name: guests, paths: [/guests], plugins: [{{name: key-auth, config: {{anonymous: guest}}}},
      {{name: acl, config: {{allow: [guests]}}}}]}}
consumer_groups: [{{name: gold}}]
consumers:
- {{username: staff, keyauth_credentials: [{{key: staff}}], acls: [{{group: staff}}, {{group: all}}]}}
- {{username: user, keyauth_credentials: [{{key: user}}], acls: [{{group: users}}]}}
- {{username: bare, keyauth_credentials: [{{key: bare}}]}}
- {{username: golden, keyauth_credentials: [{{key: golden}}], acls: [{{group: users}}],
    groups: [{{name: gold}}]}}
- {{username: nobody}}
- {{username: guest, acls: [{{group: guests}}]}}
"""


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(url=upstream.url))
    yield gateway
    await gateway.stop()


@pytest.mark.parametrize(
    ("path", "key", "status", "groups"),
    [
        ("/allow", "staff", 200, "staff, all"),
        ("/allow", "user", 403, None),
        ("/allow", "bare", 403, None),
        ("/deny", "staff", 403, None),
        ("/deny", "user", 200, "users"),
        ("/deny", "bare", 200, ""),
        ("/hide", "staff", 200, None),
        ("/groups", "golden", 200, "users, gold"),
        ("/groups", "staff", 403, None),
        ("/without", "golden", 403, None),
        ("/always", "staff", 200, "staff, all"),
        ("/alone", "staff", 401, None),
        ("/anonymous", "unknown", 401, None),
        ("/anonymous", "user", 403, None),
        ("/guests", "unknown", 200, "guests"),
    ],
)
async def test_groups_decide(
    node: Gateway, upstream: Upstream, path: str, key: str, status: int, groups: str | None
) -> None:
    reply = await node.request("GET", path, {"apikey": key})

    assert reply.status == status
    if status == 200:
        assert upstream.received[-1].headers.get("x-consumer-groups") == groups
    else:
        text = "Unauthorized" if status == 401 else "You cannot consume this service"
        assert f'"message":"{text}"' in reply.body.decode()


async def test_a_client_cannot_tell_its_own_groups(node: Gateway, upstream: Upstream) -> None:
    assert (
        await node.request("GET", "/allow", {"apikey": "user", "X-Consumer-Groups": "staff"})
    ).status == 403
    await node.request("GET", "/allow", {"apikey": "staff", "X-Consumer-Groups": "root"})

    assert upstream.received[-1].headers["x-consumer-groups"] == "staff, all"


@pytest.mark.parametrize("config", ["{}", "{allow: [a], deny: [b]}"])
async def test_one_list_has_to_be_given(node: Gateway, config: str) -> None:
    text = f'_format_version: "3.0"\nplugins: [{{name: acl, config: {config}}}]'

    assert (await node.configure(text)).status == 400
