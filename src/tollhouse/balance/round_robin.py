"""Weighted round-robin.

As in Kong: the weights, divided by their greatest common divisor, say how often each target stands on
a wheel; the wheel is shuffled once when it is built and then walked in order, by each worker for itself.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from math import gcd
from typing import Generic, TypeVar

T = TypeVar("T")


class Wheel(Generic[T]):
    """Items in turn, each as often as its weight says. Weight 0 never comes up."""

    def __init__(self, items: Sequence[tuple[T, int]], shuffle: Callable[[list[T]], None]) -> None:
        divisor = reduce(gcd, (weight for _, weight in items), 0) or 1
        self._places: list[T] = [item for item, weight in items for _ in range(weight // divisor)]
        shuffle(self._places)
        self._at = -1

    def __len__(self) -> int:
        return len(self._places)

    def next(self) -> T:
        """The next item. The wheel must not be empty."""
        self._at = (self._at + 1) % len(self._places)
        return self._places[self._at]

    def back(self) -> None:
        """Lets the item that came last come again."""
        self._at -= 1
