"""What decK's files say once for many entities, and how they nest."""

from collections.abc import Callable

import pytest

from tollhouse.config.declarative import Refused
from tollhouse.model.entities import Ref
from tollhouse.model.snapshot import Snapshot

Load = Callable[[str], Snapshot]
Refuse = Callable[[str], Refused]

GROUPS = """
_format_version: "3.0"
_konnect: {control_plane_name: x}
consumer_groups:
- name: gold
  consumers: [alice, {username: bob}, {id: 00000002-0000-4000-8000-000000000000}]
  plugins: [{name: rate-limiting, config: {minute: 5}}]
- name: silver
  consumer_group_plugins: [{name: rate-limiting, config: {minute: 2}}]
consumers:
- {username: alice, groups: [{name: silver}]}
- {username: bob, groups: [silver]}
- {username: carol, id: 00000002-0000-4000-8000-000000000000}
- {username: dave, consumer_group_consumers: [{consumer_group: gold}]}
plugins:
- {name: rate-limiting, config: {minute: 3}, consumer_group: gold, protocols: [http]}
"""


def test_memberships_are_written_on_either_side(snapshot_of: Load) -> None:
    snapshot = snapshot_of(GROUPS.rpartition("plugins:")[0])
    groups = {group.id: group.name for group in snapshot.consumer_groups}
    consumers = {consumer.id: consumer.username for consumer in snapshot.consumers}
    members = {
        (groups[each.consumer_group.id], consumers[each.consumer.id])
        for each in snapshot.consumer_group_consumers
    }
    assert members == {
        *(("gold", name) for name in ("alice", "bob", "carol", "dave")),
        *(("silver", name) for name in ("alice", "bob")),
    }
    assert [groups[plugin.consumer_group.id] for plugin in snapshot.plugins if plugin.consumer_group] == [
        "gold",
        "silver",
    ]


def test_two_plugins_of_one_name_for_one_group_are_refused(refusal_of: Refuse) -> None:
    (error,) = refusal_of(GROUPS).errors
    assert error.message.startswith("UNIQUE violation detected on '{")
    assert error.line == 16


@pytest.mark.parametrize(
    ("text", "path", "problem"),
    [
        (
            "consumers: [{username: a, groups: [gold]}]",
            "consumers[0].groups[0].consumer_group",
            "invalid reference 'consumer_group: gold' (no such entry in 'consumer_groups')",
        ),
        ("consumers: [{username: a, groups: [5]}]", "consumers[0].groups[0]", "expected a record"),
        (
            "consumer_groups: [{name: g, consumers: [{age: 5}]}]",
            "consumer_groups[0].consumers[0].age",
            "unknown field",
        ),
        ("_info: {select_tags: x}", "_info.select_tags", "expected an array of strings"),
        ("_info: {defaults: {sevrice: {}}}", "_info.defaults.sevrice", "unknown field"),
        ("_info: {bogus: 1}", "_info.bogus", "unknown field"),
        ("_info: {defaults: {service: 5}}", "_info.defaults.service", "expected a record"),
        (
            "plugins: [{name: rate-limiting, _config: x}]",
            "plugins[0]._config",
            "there is no 'x' in _plugin_configs",
        ),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(
    text: str, path: str, problem: str, refusal_of: Refuse
) -> None:
    errors = refusal_of(f'_format_version: "3.0"\n{text}\n').errors
    assert (path, problem) in [(error.path, error.message) for error in errors]


def test_tags_and_defaults_are_said_once_for_all(snapshot_of: Load) -> None:
    snapshot = snapshot_of(
        """
_format_version: "3.0"
_info:
  select_tags: [mine, a]
  defaults:
    service: {retries: 1, connect_timeout: 7}
    upstream: {healthchecks: {active: {timeout: 9}}}
services: [{name: s, host: h, retries: 2, tags: [a, b]}]
upstreams: [{name: u.test, healthchecks: {active: {concurrency: 3}}}]
consumer_groups: [{name: g, consumers: [c]}]
consumers: [{username: c}]
"""
    )
    service, active = snapshot.services[0], snapshot.upstreams[0].healthchecks.active
    assert (service.retries, service.connect_timeout) == (2, 7)
    assert service.tags == ("a", "b", "mine")
    assert snapshot.consumers[0].tags == ("mine", "a")
    assert (active.timeout, active.concurrency) == (9, 3)


def test_plugins_share_settings_and_may_override_them(snapshot_of: Load) -> None:
    one, two = snapshot_of(
        """
_format_version: "3.0"
_plugin_configs: {limits: {minute: 5, policy: local}}
services:
- {name: s, host: h, plugins: [{name: rate-limiting, _config: limits}]}
plugins: [{name: rate-limiting, _config: limits, config: {minute: 7}}]
"""
    ).plugins
    assert sorted((one.config["minute"], two.config["minute"])) == [5, 7]


def test_passwords_are_hashed_once(snapshot_of: Load) -> None:
    text = """
_format_version: "3.0"
_transform: {}
consumers:
- id: 00000001-0000-4000-8000-000000000000
  username: a
  basicauth_credentials: [{{username: u, password: p}}]
"""
    plain = snapshot_of(text.format("false")).basicauth_credentials[0]
    kept = snapshot_of(text.format("true")).basicauth_credentials[0]
    assert plain.password == "p"
    assert kept.consumer == Ref("00000001-0000-4000-8000-000000000000")
    # sha1("p" + the consumer's id)
    assert kept.password == "8aa5dc38084eb846088d777abbb71570d1f1c592"
