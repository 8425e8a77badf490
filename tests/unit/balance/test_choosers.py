"""Consistent hashing, least connections and lowest latency."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.balance.consistent_hashing import ConsistentHashing
from tollhouse.balance.latency import LowestLatency, answered
from tollhouse.balance.least_connections import LeastConnections
from tollhouse.balance.members import Condition, Member

VALUES = [f"value {number}" for number in range(2000)]


def members(*weights: int) -> list[Member[str]]:
    return [Member(f"10.0.0.{number}", 80, weight, str(number)) for number, weight in enumerate(weights)]


def owners(ring: ConsistentHashing[str]) -> dict[str, str]:
    chosen = {value: ring.choose(value, (), 0.0) for value in VALUES}
    return {value: member.endpoint for value, member in chosen.items() if member}


def test_the_same_value_goes_to_the_same_member() -> None:
    assert owners(ConsistentHashing(members(1, 1, 1), 10_000)) == owners(
        ConsistentHashing(members(1, 1, 1), 10_000)
    )


def test_shares_follow_weights() -> None:
    counts = Counter(owners(ConsistentHashing(members(100, 300), 10_000)).values())
    assert counts["1"] / counts["0"] == pytest.approx(3, rel=0.35)


def test_few_values_move_when_a_member_goes() -> None:
    some = members(1, 1, 1, 1)
    before = owners(ConsistentHashing(some, 10_000))
    some[2].condition.healthy = False
    after = owners(ConsistentHashing(some, 10_000))
    assert "2" not in after.values()
    assert all(after[value] == owner for value, owner in before.items() if owner != "2")


@given(st.text(), st.integers(10, 65536), st.lists(st.integers(1, 100), min_size=1, max_size=5))
def test_some_member_is_always_found(value: str, slots: int, weights: list[int]) -> None:
    assert ConsistentHashing(members(*weights), slots).choose(value, (), 0.0) is not None


def test_a_retry_goes_to_another_member() -> None:
    some = members(1, 1)
    ring = ConsistentHashing(some, 1000)
    first = ring.choose("x", (), 0.0)
    assert first is not None
    second = ring.choose("x", (first,), 0.0)
    assert second is not None
    assert second is not first


def test_the_least_busy_for_its_weight_is_chosen() -> None:
    some = members(1, 4)
    some[0].condition.open, some[1].condition.open = 1, 6
    chosen = LeastConnections(some).choose(None, (), 0.0)
    assert chosen is some[1]  # (6 + 1) / 4 < (1 + 1) / 1


def test_equals_take_turns() -> None:
    balancer = LeastConnections(members(1, 1, 1))
    chosen = [balancer.choose(None, (), 0.0) for _ in range(6)]
    assert [member.endpoint for member in chosen if member] == ["0", "1", "2", "0", "1", "2"]


def test_the_faster_of_two_is_chosen() -> None:
    some = members(1, 1)
    answered(some[0].condition, 0.5, 10.0)
    answered(some[1].condition, 0.1, 10.0)
    balancer = LowestLatency(some, lambda below: 0)
    assert balancer.choose(None, (), 10.0) is some[1]
    assert balancer.choose(None, (some[1],), 10.0) is some[0]


def test_latencies_are_smoothed_and_forgotten() -> None:
    condition = Condition()
    answered(condition, 1.0, 100.0)
    answered(condition, 0.0, 100.0)
    assert condition.latency == pytest.approx(1.0)
    answered(condition, 0.0, 1000.0)
    assert condition.latency == pytest.approx(0.0)


def test_without_healthy_members_there_is_nobody() -> None:
    some = members(1)
    some[0].condition.healthy = False
    for chooser in (
        ConsistentHashing(some, 1000),
        LeastConnections(some),
        LowestLatency(some, lambda below: 0),
    ):
        assert chooser.choose("x", (), 0.0) is None


def test_least_connections_compares_by_what_a_weight_has_grown_to() -> None:
    some = members(1, 1)
    some[1].slow_start, some[1].condition.began_at = 10.0, 100.0
    some[0].condition.open = 3
    chooser = LeastConnections(some)
    chosen = [chooser.choose(None, (), now) for now in (100.0, 102.0, 103.0)]
    assert [member.endpoint for member in chosen if member] == ["0", "0", "1"]
