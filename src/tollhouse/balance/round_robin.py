"""Weighted round-robin.

As in Kong: the weights, divided by their greatest common divisor, say how often each member stands on
a wheel; the wheel is shuffled once when it is built and then walked in order, by each worker for itself.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from math import gcd
from typing import Generic, TypeVar

from tollhouse.balance.members import Member

E = TypeVar("E")


class RoundRobin(Generic[E]):
    """Members in turn, each as often as its weight says."""

    def __init__(self, members: Sequence[Member[E]], shuffle: Callable[[list[Member[E]]], None]) -> None:
        divisor = reduce(gcd, (member.weight for member in members), 0) or 1
        self._places = [member for member in members for _ in range(member.weight // divisor)]
        shuffle(self._places)
        self._at = -1

    def choose(self, value: str | None, failed: Sequence[Member[E]], now: float) -> Member[E] | None:
        """The next healthy member on the wheel."""
        places = self._places
        second_choice: Member[E] | None = None
        for _ in places:
            self._at = (self._at + 1) % len(places)
            member = places[self._at]
            if member.condition.healthy:
                if member not in failed:
                    return member
                second_choice = second_choice or member
        return second_choice
