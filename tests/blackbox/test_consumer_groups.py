"""Plugins bound to consumer groups: which of several configurations counts."""

from collections.abc import AsyncIterator

import pytest
from tests.support.gateway import Gateway

TERMINATION = "name: request-termination, config"
CONFIG = f"""_format_version: "3.0"
consumer_groups:
- name: gold
  consumers: [alice, bob]
  plugins: [{{{TERMINATION}: {{message: gold}}}}]
- name: basic
  plugins: [{{{TERMINATION}: {{message: basic}}}}]
- {{name: empty}}
consumers:
- {{username: alice, keyauth_credentials: [{{key: a}}], groups: [{{name: basic}}]}}
- {{username: bob, keyauth_credentials: [{{key: b}}]}}
- username: carol
  keyauth_credentials: [{{key: c}}]
  groups: [gold]
  plugins: [{{{TERMINATION}: {{message: carol}}}}]
- {{username: dave, keyauth_credentials: [{{key: d}}], groups: [empty]}}
routes:
- {{name: plain, paths: [/plain]}}
- {{name: own, paths: [/own]}}
plugins:
- {{name: key-auth}}
- {{{TERMINATION}: {{message: everyone}}}}
- {{{TERMINATION}: {{message: gold here}}, route: own, consumer_group: gold}}
"""


@pytest.fixture(scope="module")
async def gateway() -> AsyncIterator[Gateway]:
    node = await Gateway.start(CONFIG)
    yield node
    await node.stop()


@pytest.mark.parametrize(
    ("path", "key", "message"),
    [
        ("/plain", "a", "basic"),  # of several groups the first by name
        ("/plain", "b", "gold"),
        ("/plain", "c", "carol"),  # the consumer's own counts more than the group's
        ("/plain", "d", "everyone"),
        ("/own", "b", "gold here"),  # the group on the route counts more than the group alone
        ("/own", "c", "gold here"),
        ("/own", "a", "gold here"),
        ("/own", "d", "everyone"),
    ],
)
async def test_the_nearest_configuration_counts(gateway: Gateway, path: str, key: str, message: str) -> None:
    assert (await gateway.request("GET", path, {"apikey": key})).json() == {"message": message}
