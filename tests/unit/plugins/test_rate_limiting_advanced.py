"""rate-limiting-advanced with a clock of our own: sliding and fixed windows, whose counts, every field."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.errors import Reject
from tollhouse.model.schema import build
from tollhouse.pdk.exchange import ClientSide, Exchange
from tollhouse.pdk.messages import Request
from tollhouse.pdk.plugin import Scope
from tollhouse.pdk.services import Services
from tollhouse.plugins import Registry
from tollhouse.plugins.rate_limiting_advanced import Config, RateLimitingAdvanced
from tollhouse.stores.counters import SharedCounters, shared_file
from tollhouse.wire.headers import Headers

#: a multiple of a hundred seconds
START = 1_709_251_200.0


@dataclass
class Node:
    now: float = START
    descriptor: int = field(default_factory=lambda: shared_file(4096))

    def plugin(self, id_: str = "one", **config: Any) -> RateLimitingAdvanced:
        groups = dict.fromkeys(("alice", "anna"), (SimpleNamespace(id="gold"),))
        services = SimpleNamespace(
            counters=SharedCounters(self.descriptor, lambda: self.now),
            wall_clock=lambda: self.now,
            directory=SimpleNamespace(consumer_groups=lambda consumer: groups.get(consumer, ())),
        )
        values, errors = checked(config)
        assert errors == {}
        return RateLimitingAdvanced(build(Config, values), Scope(), cast(Services, services), id_)


def checked(config: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    record = Registry().config("rate-limiting-advanced")
    assert record is not None
    return record.check(config)


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node()
    yield node
    os.close(node.descriptor)


def ask(
    plugin: RateLimitingAdvanced,
    address: str = "10.0.0.1",
    target: bytes = b"/",
    consumer: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, str]]:
    ex = Exchange(cast(ClientSide, SimpleNamespace(peer_ip=address)), Request(), "id", 0.0)
    ex.request.headers = Headers.new(list((headers or {}).items()))
    if consumer is not None:
        ex.consumer = cast(Any, SimpleNamespace(id=consumer, username=f"{consumer}!", custom_id=None))
    status = 200
    try:
        assert plugin.access(ex) is None
    except Reject as reject:
        status = reject.status
    told = dict(
        line.split(": ") for each in ex.early_headers for line in each.data.decode().split("\r\n")[:-1]
    )
    return status, told


def passed(plugin: RateLimitingAdvanced, count: int, **more: Any) -> int:
    return [ask(plugin, **more)[0] for _ in range(count)].count(200)


def test_what_came_in_the_window_before_weighs_as_much_as_is_left_of_this_one(node: Node) -> None:
    plugin = node.plugin(limit=[10], window_size=[100], disable_penalty=True)
    assert passed(plugin, 12) == 10
    node.now = START + 150  # half of the ten still weighs
    assert passed(plugin, 12) == 5
    node.now = START + 190
    assert passed(plugin, 12) == 4


def test_a_fixed_window_forgets_at_once(node: Node) -> None:
    plugin = node.plugin(limit=[10], window_size=[100], window_type="fixed")
    assert passed(plugin, 12) == 10
    node.now = START + 100
    assert passed(plugin, 12) == 10


def test_refused_requests_count_unless_told_otherwise(node: Node) -> None:
    strict = node.plugin(limit=[2], window_size=[100])
    lenient = node.plugin("two", limit=[2], window_size=[100], disable_penalty=True)
    assert (passed(strict, 40), passed(lenient, 40)) == (2, 2)
    node.now = START + 190
    assert (passed(strict, 1), passed(lenient, 1)) == (0, 1)


def test_retry_after_is_when_there_is_room_again(node: Node) -> None:
    plugin = node.plugin(limit=[10], window_size=[100], disable_penalty=True)
    passed(plugin, 10)
    status, told = ask(plugin)
    assert (status, told["RateLimit-Remaining"]) == (429, "0")
    node.now += int(told["Retry-After"]) - 1
    assert ask(plugin)[0] == 429
    node.now += 1
    assert ask(plugin)[0] == 200


@given(
    limit=st.integers(1, 20),
    steps=st.lists(st.tuples(st.floats(0, 40, allow_nan=False), st.integers(1, 5)), max_size=30),
)
def test_a_fixed_window_never_lets_more_than_the_limit_pass(
    limit: int, steps: list[tuple[float, int]]
) -> None:
    node = Node()
    try:
        plugin = node.plugin(limit=[limit], window_size=[60], window_type="fixed")
        by_window: dict[int, int] = {}
        for pause, count in steps:
            node.now += pause
            window = int(node.now // 60)
            by_window[window] = by_window.get(window, 0) + passed(plugin, count)
        assert all(count <= limit for count in by_window.values())
    finally:
        os.close(node.descriptor)


def test_headers_tell_of_every_window_by_name_or_seconds(node: Node) -> None:
    plugin = node.plugin(limit=[5, 2], window_size=[60, 30], window_type="fixed")
    status, told = ask(plugin)
    assert status == 200
    assert told == {
        "X-RateLimit-Limit-30": "2",
        "X-RateLimit-Remaining-30": "1",
        "X-RateLimit-Limit-Minute": "5",
        "X-RateLimit-Remaining-Minute": "4",
        "RateLimit-Limit": "2",
        "RateLimit-Remaining": "1",
        "RateLimit-Reset": "30",
    }
    hidden = node.plugin("two", limit=[1], window_size=[60], hide_client_headers=True)
    assert ask(hidden) == (200, {})


def test_a_refusal_in_other_words_and_at_another_time(node: Node) -> None:
    plugin = node.plugin(
        limit=[1],
        window_size=[60],
        window_type="fixed",
        error_code=503,
        error_message="No",
        retry_after_jitter_max=30,
    )
    ask(plugin)
    answers = [ask(plugin) for _ in range(20)]
    assert {status for status, _ in answers} == {503}
    waits = {int(told["Retry-After"]) for _, told in answers}
    assert waits <= set(range(60, 91))
    assert len(waits) > 1


ELSEWHERE = {"address": "10.0.0.2"}
BOB = {"consumer": "bob"}


@pytest.mark.parametrize(
    ("config", "first", "same", "other"),
    [
        ({"identifier": "ip"}, {}, BOB, ELSEWHERE),
        ({"identifier": "consumer"}, BOB, {**BOB, **ELSEWHERE}, {"consumer": "carol"}),
        ({"identifier": "consumer"}, {}, {}, ELSEWHERE),
        ({"identifier": "consumer", "counter_key": "consumer.username"}, BOB, BOB, {"consumer": "carol"}),
        (
            {"identifier": "consumer-group"},
            {"consumer": "alice"},
            {"consumer": "anna"},
            {"consumer": "carol"},
        ),
        ({"identifier": "credential"}, {}, {}, ELSEWHERE),
        (
            {"identifier": "header", "header_name": "X-Who"},
            {"headers": {"x-who": "a"}},
            {"headers": {"x-who": "a"}, **ELSEWHERE},
            {"headers": {"x-who": "b"}},
        ),
        ({"identifier": "route"}, {}, {}, ELSEWHERE),
        ({"identifier": "service"}, {}, {}, ELSEWHERE),
        ({"compound_identifier": ["ip", "consumer"]}, BOB, BOB, {**BOB, **ELSEWHERE}),
    ],
)
def test_whose_requests_count_together(
    node: Node, config: dict[str, Any], first: dict[str, Any], same: dict[str, Any], other: dict[str, Any]
) -> None:
    plugin = node.plugin(limit=[2], window_size=[100], **config)
    assert passed(plugin, 1, **first) == 1
    assert passed(plugin, 3, **same) == 1
    assert passed(plugin, 3, **other) == 2


def test_configurations_of_one_namespace_count_together(node: Node) -> None:
    shared = [node.plugin(name, limit=[3], window_size=[100], namespace="n") for name in ("a", "b")]
    assert [passed(plugin, 2) for plugin in shared] == [2, 1]
    apart = [node.plugin(name, limit=[3], window_size=[100]) for name in ("c", "d")]
    assert [passed(plugin, 2) for plugin in apart] == [2, 2]


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"limit": [1, 2]}, "You must provide the same number of windows and limits"),
        ({"sync_rate": 1}, "sync_rate cannot be configured when using a local strategy"),
        ({"strategy": "redis"}, "sync_rate is required if not local"),
        (
            {"strategy": "redis", "sync_rate": 0.001},
            "sync_rate must be 0, or greater than 0.02, or -1 to disable",
        ),
        (
            {"strategy": "redis", "sync_rate": 0, "redis": {"sentinel_master": "m"}},
            "sentinel_master and sentinel_nodes are needed together",
        ),
        (
            {"enforce_consumer_groups": True},
            {"enforce_consumer_groups": "not supported: only False, Kong's default, is accepted"},
        ),
        ({"strategy": "cluster"}, {"strategy": "expected one of: local, redis"}),
    ],
)
def test_what_cannot_be_is_refused(config: dict[str, Any], error: Any) -> None:
    assert checked({"limit": [1], "window_size": [60], **config})[1] == error


def test_addresses_in_the_older_form_are_taken() -> None:
    redis = {"sentinel_master": "m", "sentinel_addresses": ["a.test:1", "b.test:2"], "timeout": 7}
    values, errors = checked(
        {"limit": [1], "window_size": [60], "strategy": "redis", "sync_rate": 0, "redis": redis}
    )
    assert errors == {}
    assert values["redis"]["sentinel_nodes"] == [{"host": "a.test", "port": 1}, {"host": "b.test", "port": 2}]
    assert values["redis"]["read_timeout"] == 7
