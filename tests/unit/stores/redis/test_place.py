"""Where a configuration block's server is: every field, in both of Kong's forms."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from tollhouse.model.schema import build, schema_of
from tollhouse.pdk.redis import AdvancedRedis, Redis, redis_problem
from tollhouse.stores.redis.cluster import slot_of
from tollhouse.stores.redis.connection import packed
from tollhouse.stores.redis.place import Login, place_of

OWN = ("own.test", 1)


@pytest.mark.parametrize(
    ("cls", "given", "expected"),
    [
        (Redis, {}, {"addresses": (OWN,), "read_seconds": 2.0, "verify": False, "master": None}),
        (AdvancedRedis, {}, {"addresses": (("127.0.0.1", 6379),), "read_seconds": 2.0, "verify": True}),
        (Redis, {"host": "a.test", "port": 7}, {"addresses": (("a.test", 7),)}),
        (Redis, {"timeout": 5000}, {"connect_seconds": 5.0, "send_seconds": 5.0, "read_seconds": 5.0}),
        (
            Redis,
            {"connect_timeout": 1000, "send_timeout": 2500, "read_timeout": 3000},
            {"connect_seconds": 1.0, "send_seconds": 2.5, "read_seconds": 3.0},
        ),
        (
            AdvancedRedis,
            {"connect_timeout": 1000, "send_timeout": 2500, "read_timeout": 3000},
            {"connect_seconds": 1.0, "send_seconds": 2.5, "read_seconds": 3.0},
        ),
        (Redis, {"username": "u", "password": "p"}, {"login": Login("u", "p")}),
        (Redis, {"database": 4}, {"database": 4}),
        (
            Redis,
            {"ssl": True, "ssl_verify": True, "server_name": "n.test"},
            {"tls": True, "verify": True, "server_name": "n.test"},
        ),
        (Redis, {"keepalive_backlog": 9}, {"backlog": 9}),
        # One connection carries everything: there is no pool that could be larger.
        (Redis, {"keepalive_pool_size": 3}, {"addresses": (OWN,), "backlog": None}),
        (
            Redis,
            {
                "sentinel_master": "m",
                "sentinel_nodes": [{"host": "s.test", "port": 2}],
                "sentinel_role": "any",
            },
            {"addresses": (("s.test", 2),), "master": "m", "role": "any"},
        ),
        (
            AdvancedRedis,
            {"sentinel_username": "u", "sentinel_password": "p"},
            {"sentinel_login": Login("u", "p")},
        ),
        (
            Redis,
            {"cluster_nodes": [{"ip": "c.test"}], "cluster_max_redirections": 2},
            {"addresses": (("c.test", 6379),), "is_cluster": True, "redirections": 2},
        ),
        (
            AdvancedRedis,
            {"cluster_addresses": ["c.test:5"]},
            {"addresses": (("c.test", 5),), "is_cluster": True},
        ),
    ],
)
def test_every_field_says_where_or_how(cls: Any, given: dict[str, Any], expected: dict[str, Any]) -> None:
    values, errors = schema_of(cls).check(given)
    assert errors == {}
    place = place_of(build(cls, values), OWN)
    assert {name: getattr(place, name) for name in expected} == expected


def test_fields_beside_kongs_are_not_shown_until_they_are_set() -> None:
    assert "sentinel_nodes" not in schema_of(Redis).check({})[0]
    assert schema_of(Redis).check({"keepalive_backlog": 3})[0]["keepalive_backlog"] == 3


@pytest.mark.parametrize(
    ("redis", "problem"),
    [
        ({}, None),
        ({"sentinel_master": "m"}, "sentinel_master and sentinel_nodes are needed together"),
        ({"sentinel_nodes": [{}]}, "sentinel_master and sentinel_nodes are needed together"),
        (
            {"sentinel_master": "m", "sentinel_nodes": [{}], "cluster_nodes": [{}]},
            "sentinel_nodes and cluster_nodes cannot be used together",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(redis: dict[str, Any], problem: str | None) -> None:
    assert redis_problem({"redis": redis}) == problem


@given(st.text(alphabet="ab{}:é", max_size=12))
def test_slots_are_those_of_the_server(key: str) -> None:
    assert slot_of(key) == key_slot(key.encode())


def test_commands_are_packed_as_the_protocol_says() -> None:
    assert (
        packed(("SET", "é", b"\r\n", 2)) == b"*4\r\n$3\r\nSET\r\n$2\r\n\xc3\xa9\r\n$2\r\n\r\n\r\n$1\r\n2\r\n"
    )
