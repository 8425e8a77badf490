"""The wheel: every member as often as its weight says, in turn."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tollhouse.balance.members import Member
from tollhouse.balance.round_robin import RoundRobin


def unshuffled(members: list[Member[str]]) -> None:
    """Leaves them in order."""


def members(*weights: int) -> list[Member[str]]:
    return [Member(f"10.0.0.{number}", 80, weight, str(number)) for number, weight in enumerate(weights)]


def turns(wheel: RoundRobin[str], count: int, failed: tuple[Member[str], ...] = ()) -> list[str | None]:
    chosen = [wheel.choose(None, failed, 0.0) for _ in range(count)]
    return [member.endpoint if member else None for member in chosen]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(1, 3))
def test_each_turn_of_the_wheel_is_fair(weights: list[int], rounds: int) -> None:
    seen = Counter(turns(RoundRobin(members(*weights), unshuffled), rounds * sum(weights)))

    assert seen == {str(number): rounds * weight for number, weight in enumerate(weights)}


def test_the_wheel_is_shuffled_once_and_then_walked_in_order() -> None:
    assert turns(RoundRobin(members(2, 4), list.reverse), 6) == ["1", "1", "0", "1", "1", "0"]


def test_the_unhealthy_are_passed_over() -> None:
    some = members(1, 1, 1)
    some[1].condition.healthy = False
    assert turns(RoundRobin(some, unshuffled), 4) == ["0", "2", "0", "2"]
    some[0].condition.healthy = some[2].condition.healthy = False
    assert turns(RoundRobin(some, unshuffled), 1) == [None]


def test_who_failed_is_asked_again_only_if_nobody_else_is_left() -> None:
    some = members(1, 1)
    assert turns(RoundRobin(some, unshuffled), 2, (some[0],)) == ["1", "1"]
    assert turns(RoundRobin(some, unshuffled), 1, tuple(some)) == ["0"]


def test_without_members_there_is_nobody() -> None:
    assert turns(RoundRobin([], unshuffled), 1) == [None]
