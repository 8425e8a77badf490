"""Metrics, as plugins make and count them."""

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, TypeVar


class Counter(Protocol):
    """A metric that only grows."""

    def series(self, labels: tuple[str, ...]) -> "Count":
        """The count for these label values; to be kept and added to."""
        ...


class Count(Protocol):
    """One series of a counter."""

    #: add to it what is to be counted
    value: float


class Histogram(Protocol):
    """A metric of a distribution."""

    def series(self, labels: tuple[str, ...]) -> "Distribution":
        """The distribution for these label values; to be kept and observed with."""
        ...


class Distribution(Protocol):
    """One series of a histogram; `distribution[value] += 1` counts one observation."""

    def __getitem__(self, value: float, /) -> int: ...

    def __setitem__(self, value: float, times: int, /) -> None: ...


class Sums(Protocol):
    """What is counted in one place and told by several series, which get it when they are gathered."""

    def pour(self) -> None:
        """Adds what was counted since the last time to the series."""
        ...


SumsT = TypeVar("SumsT", bound=Sums)


class Meter(Protocol):
    """Where metrics are made. Asking twice for one name gives the same metric."""

    def sums(self, key: Hashable, make: Callable[[], SumsT]) -> SumsT:
        """What was made under that key, or is made now. It pours as long as the worker runs."""
        ...

    def counter(self, name: str, help_: str, labels: Sequence[str]) -> Counter: ...

    def histogram(
        self, name: str, help_: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> Histogram: ...
