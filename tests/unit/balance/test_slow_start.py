"""Members that have just come get their share little by little, whoever chooses."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.balance.consistent_hashing import ConsistentHashing
from tollhouse.balance.latency import LowestLatency
from tollhouse.balance.members import Chooser, Member
from tollhouse.balance.round_robin import RoundRobin
from tollhouse.balance.slow_start import SlowStart

VALUES = [f"value {number}" for number in range(2000)]


def members(*began: float) -> list[Member[str]]:
    some = [Member(f"10.0.0.{number}", 80, 100, str(number)) for number in range(len(began))]
    for member, instant in zip(some, began, strict=True):
        member.slow_start, member.condition.began_at = 10.0, instant
    return some


def slow(some: list[Member[str]], algorithm: str) -> SlowStart[str]:
    chance = random.Random(7)
    inner: Chooser[str] = RoundRobin(some, chance.shuffle)
    if algorithm == "hash":
        inner = ConsistentHashing(some, 10_000)
    elif algorithm == "latency":
        inner = LowestLatency(some, chance.randrange)
    return SlowStart(inner, chance.random)


@pytest.mark.parametrize(
    ("now", "share"), [(50.0, 0.1), (50.5, 0.1), (52.5, 0.25), (55.0, 0.5), (60.0, 1.0), (90.0, 1.0)]
)
def test_a_share_grows_from_a_tenth_to_all(now: float, share: float) -> None:
    (member,) = members(50.0)
    assert member.share_at(now) == share
    assert member.weight_at(now) == 100 * share
    assert members(0.0)[0].share_at(now) == 1.0, "it was there from the start"


@pytest.mark.parametrize("algorithm", ["wheel", "hash", "latency"])
@pytest.mark.parametrize(("now", "share"), [(100.0, 0.1), (105.0, 0.5), (110.0, 1.0)])
def test_requests_follow_the_share(algorithm: str, now: float, share: float) -> None:
    chooser = slow(members(0.0, 100.0, 0.0), algorithm)
    hashed = algorithm == "hash"
    chosen = [chooser.choose(value if hashed else None, (), now) for value in VALUES]
    counts = Counter(member.endpoint for member in chosen if member)
    # A wheel turns on past a member that lets a turn go by, a ring does not get any smaller.
    assert share / 3 * 0.7 < counts["1"] / len(VALUES) < share / (2 + share) * 1.3


def test_a_value_that_has_moved_stays() -> None:
    chooser = slow(members(0.0, 100.0), "hash")
    moved: set[str] = set()
    for now in (100.0, 102.0, 105.0, 108.0, 110.0):
        chosen = {value: chooser.choose(value, (), now) for value in VALUES}
        there = {value for value, member in chosen.items() if member and member.endpoint == "1"}
        assert moved < there
        moved = there


@given(
    st.lists(st.sampled_from([0.0, 100.0]), min_size=1, max_size=4),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.sets(st.integers(0, 3)),
    st.sampled_from(["wheel", "hash", "latency"]),
)
def test_there_is_a_member_whenever_one_is_healthy(
    began: list[float], healthy: list[bool], failed: set[int], algorithm: str
) -> None:
    some = members(*began)
    for member, well in zip(some, healthy, strict=False):
        member.condition.healthy = well
    chosen = slow(some, algorithm).choose("value", [some[n] for n in failed if n < len(some)], 100.0)
    if not any(member.condition.healthy for member in some):
        assert chosen is None
        return
    assert chosen is not None
    assert chosen.condition.healthy
    fresh = [m for n, m in enumerate(some) if m.condition.healthy and n not in failed]
    assert not fresh or chosen in fresh
