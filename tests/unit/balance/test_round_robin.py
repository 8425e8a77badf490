"""The wheel: every item as often as its weight says, in turn."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tollhouse.balance.round_robin import Wheel


def unshuffled(items: list[str]) -> None:
    """Leaves them in order."""


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.integers(1, 3))
def test_each_turn_of_the_wheel_is_fair(weights: list[int], turns: int) -> None:
    wheel = Wheel([(str(number), weight) for number, weight in enumerate(weights)], unshuffled)
    if not any(weights):
        assert not wheel
        return

    seen = Counter(wheel.next() for _ in range(turns * len(wheel)))

    share = sum(weights) // len(wheel)
    assert seen == {str(n): turns * weight // share for n, weight in enumerate(weights) if weight}


def test_the_wheel_is_shuffled_once_and_then_walked_in_order() -> None:
    wheel = Wheel([("a", 2), ("b", 4)], list.reverse)

    assert [wheel.next() for _ in range(6)] == ["b", "b", "a", "b", "b", "a"]


def test_a_step_back_gives_the_same_again() -> None:
    wheel = Wheel([("a", 1), ("b", 1)], unshuffled)

    first = wheel.next()
    wheel.back()

    assert wheel.next() == first == "a"
    wheel.back()
    wheel.back()
    assert wheel.next() == "b"
