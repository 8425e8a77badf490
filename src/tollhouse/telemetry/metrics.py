"""Metrics as plain numbers of each worker, gathered and rendered by the control process.

A worker counts into objects that its plugins keep at hand, and hands over what has changed when it is
asked; the gatherer adds it up, so that a worker that is replaced takes nothing away with it.
"""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final, cast

import msgspec

from tollhouse.pdk.meter import Sums, SumsT

#: different values of a distribution that wait for their buckets
_VALUES_KEPT: Final = 256


class Count:
    """One series of a counter: what was counted since it was last handed over."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


class Counter:
    """A metric that only grows."""

    kind = "counter"
    buckets: tuple[float, ...] = ()
    __slots__ = ("help", "labels", "name", "values")

    def __init__(self, name: str, help_: str, labels: Sequence[str]) -> None:
        self.name = name
        self.help = help_
        self.labels = tuple(labels)
        self.values: dict[tuple[str, ...], Count] = {}

    def series(self, labels: tuple[str, ...]) -> Count:
        """The count for these label values."""
        found = self.values.get(labels)
        if found is None:
            found = self.values[labels] = Count()
        return found

    def taken(self) -> list[tuple[tuple[str, ...], list[float]]]:
        """What was counted since the last time."""
        taken = []
        for labels, count in self.values.items():
            if count.value:
                taken.append((labels, [count.value]))
                count.value = 0
        return taken


class Distribution(dict[float, int]):
    """One series of a histogram: how often each value was observed since that was last looked at.

    Most values, being whole milliseconds, come again and again: `distribution[value] += 1` is all that an
    observation costs, and each value is put into its bucket once for many requests.
    """

    __slots__ = ("_buckets", "_numbers")

    def __init__(self, buckets: tuple[float, ...]) -> None:
        self._buckets = buckets
        self._numbers: list[float] = [0] * (len(buckets) + 2)

    def __missing__(self, value: float) -> int:
        if len(self) >= _VALUES_KEPT:
            self._settle()
        return 0

    def _settle(self) -> None:
        numbers = self._numbers
        for value, times in self.items():
            numbers[bisect_left(self._buckets, value)] += times
            numbers[-1] += value * times
        self.clear()

    def taken(self) -> list[float]:
        """A count for each bucket, one for what is above all, then the sum; counting starts anew."""
        self._settle()
        numbers, self._numbers = self._numbers, [0] * len(self._numbers)
        return numbers


class Histogram:
    """A metric of a distribution."""

    kind = "histogram"
    __slots__ = ("buckets", "help", "labels", "name", "values")

    def __init__(self, name: str, help_: str, labels: Sequence[str], buckets: Sequence[float]) -> None:
        self.name = name
        self.help = help_
        self.labels = tuple(labels)
        self.buckets = tuple(buckets)
        self.values: dict[tuple[str, ...], Distribution] = {}

    def series(self, labels: tuple[str, ...]) -> Distribution:
        """The distribution for these label values."""
        found = self.values.get(labels)
        if found is None:
            found = self.values[labels] = Distribution(self.buckets)
        return found

    def taken(self) -> list[tuple[tuple[str, ...], list[float]]]:
        """What was observed since the last time."""
        taken = []
        for labels, distribution in self.values.items():
            numbers = distribution.taken()
            if any(numbers):
                taken.append((labels, numbers))
        return taken


class Series(msgspec.Struct, frozen=True, array_like=True):
    """What has changed in one metric since it was last handed over."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...]
    values: list[tuple[tuple[str, ...], list[float]]]


class Metrics:
    """The metrics of one worker. Asking twice for a name gives the same metric."""

    def __init__(self) -> None:
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._sums: dict[Hashable, Sums] = {}

    def sums(self, key: Hashable, make: Callable[[], SumsT]) -> SumsT:
        """What was made under that key, or is made now; from then on it pours before each handing over."""
        found = self._sums.get(key)
        if found is None:
            found = self._sums[key] = make()
        return cast(SumsT, found)

    def counter(self, name: str, help_: str, labels: Sequence[str]) -> Counter:
        """The counter of that name."""
        found = self._counters.get(name)
        if found is None:
            found = self._counters[name] = Counter(name, help_, labels)
        return found

    def histogram(self, name: str, help_: str, labels: Sequence[str], buckets: Sequence[float]) -> Histogram:
        """The histogram of that name."""
        found = self._histograms.get(name)
        if found is None:
            found = self._histograms[name] = Histogram(name, help_, labels, buckets)
        return found

    def hand_over(self) -> list[Series]:
        """What was counted since the last time; counting starts anew from zero."""
        for each in self._sums.values():
            each.pour()
        metrics: list[Counter | Histogram] = [*self._counters.values(), *self._histograms.values()]
        return [
            Series(metric.name, metric.kind, metric.help, metric.labels, metric.buckets, metric.taken())
            for metric in metrics
        ]


class Gathered:
    """The sum over all workers, of all that ever ran."""

    def __init__(self) -> None:
        self._series: dict[str, Series] = {}
        self._values: dict[str, dict[tuple[str, ...], list[float]]] = {}

    def add(self, changes: Iterable[Series]) -> None:
        """Takes in what a worker handed over."""
        for change in changes:
            self._series.setdefault(change.name, change)
            values = self._values.setdefault(change.name, {})
            for labels, numbers in change.values:
                known = values.get(labels)
                if known is None:
                    values[labels] = list(numbers)
                else:
                    values[labels] = [a + b for a, b in zip(known, numbers, strict=True)]

    def render(self) -> list[str]:
        """All of it as Prometheus text lines."""
        lines: list[str] = []
        for name in sorted(self._series):
            series = self._series[name]
            if not self._values[name]:
                continue  # nothing was counted yet
            lines += (f"# HELP {name} {series.help}", f"# TYPE {name} {series.kind}")
            for labels, numbers in sorted(self._values[name].items()):
                if series.kind == "counter":
                    lines.append(f"{name}{label_text(series.labels, labels)} {number(numbers[0])}")
                else:
                    lines += _histogram_lines(series, labels, numbers)
        return lines


def _histogram_lines(series: Series, labels: tuple[str, ...], numbers: Sequence[float]) -> Iterable[str]:
    total: float = 0
    bounds = [*map(number, series.buckets), "+Inf"]
    for bound, count in zip(bounds, numbers, strict=False):
        total += count
        yield f"{series.name}_bucket{label_text((*series.labels, 'le'), (*labels, bound))} {number(total)}"
    shown = label_text(series.labels, labels)
    yield f"{series.name}_count{shown} {number(total)}"
    yield f"{series.name}_sum{shown} {number(numbers[-1])}"


def label_text(names: Sequence[str], values: Sequence[str]) -> str:
    """`{name="value",…}`, empty without labels."""
    if not names:
        return ""
    pairs = (f'{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def number(value: float) -> str:
    """A number as Prometheus reads it: whole ones without a point."""
    return str(int(value)) if value == int(value) else repr(value)


def gauge_lines(name: str, help_: str, samples: Iterable[tuple[dict[str, Any], float]]) -> list[str]:
    """A gauge with its samples as text lines."""
    lines = [f"# HELP {name} {help_}", f"# TYPE {name} gauge"]
    for labels, value in samples:
        shown = label_text(tuple(labels), tuple(map(str, labels.values())))
        lines.append(f"{name}{shown} {number(value)}")
    return lines
