"""Limits in windows, wherever the counts are kept: on the node, or shared by many.

Windows are fixed, or they slide: then what was counted in the window before weighs as much as there is left
of the running one, as if it had come evenly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from tollhouse.errors import Reject
from tollhouse.pdk.services import Counters, SharedCounts, SharedTally, Taken, Tally, Window
from tollhouse.pdk.wait import Answered
from tollhouse.pdk.windows import SECONDS, start_of

#: callers whose windows are kept at hand
CALLERS_KNOWN: Final = 50_000
UNREACHABLE: Final = "An unexpected error occurred"


@dataclass(frozen=True, slots=True)
class Span:
    """A limit and the length of its window; `period` is Kong's name if the window is the calendar's."""

    limit: float
    seconds: int
    period: str | None = None

    def start(self, now: float) -> int:
        """When the running window began, in seconds since the epoch."""
        if self.period is not None:
            return start_of(self.period, now)
        return int(now) - int(now) % self.seconds

    def before(self, start: int) -> int:
        """When the window before that one began."""
        return start - self.seconds if self.period is None else start_of(self.period, start - 1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request passes; for each span how much is used, and the seconds until its window
    ends or, after a refusal by a sliding one, until there is room."""

    passes: bool
    used: Sequence[int]
    wait: Sequence[int]


class _Caller:
    """The running windows of one caller."""

    __slots__ = ("before", "local", "shared", "windows")

    def __init__(self, windows: Sequence[Window], before: Sequence[Window]) -> None:
        self.windows = windows
        self.before = before
        self.local: Tally | None = None
        self.shared: SharedTally | None = None


class Limiter:
    """The limits of one configuration.

    `shared` counts outside of the node; while it cannot be reached this node counts alone if the limiter is
    fault-tolerant, and else refuses with 500. With `penalty` requests that are refused count too.
    """

    def __init__(
        self,
        spans: Sequence[Span],
        counters: Counters,
        clock: Callable[[], float],
        *,
        prefix: str,
        shared: SharedCounts | None = None,
        slides: bool = False,
        penalty: bool = False,
        fault_tolerant: bool = True,
    ) -> None:
        self._spans = spans
        self._counters = counters
        self._clock = clock
        self._prefix = prefix
        self._shared = shared
        self._slides = slides
        self._penalty = penalty
        self._fault_tolerant = fault_tolerant
        self._second = -1
        self._starts: tuple[int, ...] = ()
        self._callers: dict[str, _Caller] = {}

    def take(self, identifier: str, done: Callable[[Verdict], Any], amount: int = 1) -> Answered | None:
        """Counts a request of that caller and has `done`, which may raise `Reject`, judge what came of it;
        returns what is to be awaited before it has."""
        now = self._clock()
        if int(now) != self._second:
            self._roll(now)
        caller = self._callers.get(identifier) or self._met(identifier)
        weights = self._weights(now) if self._slides else ()
        if self._shared is None:
            done(self._verdict(self._take_here(caller, weights, amount), weights, now))
            return None
        if caller.shared is None:
            caller.shared = self._shared.tally(caller.windows, caller.before, penalty=self._penalty)

        def answered(taken: Taken | None) -> Any:
            if taken is None:
                if not self._fault_tolerant:
                    raise Reject(500, UNREACHABLE)
                taken = self._take_here(caller, weights, amount)
            return done(self._verdict(taken, weights, now))

        return caller.shared.take(answered, weights, amount)

    def _roll(self, now: float) -> None:
        """Comes up to this second, with which windows may have begun that nobody has counted in."""
        self._second = int(now)
        starts = tuple(span.start(now) for span in self._spans)
        if starts != self._starts:
            self._starts = starts
            self._callers.clear()

    def _met(self, identifier: str) -> _Caller:
        key = f"{{{self._prefix}{identifier}}}"
        pairs = list(zip(self._spans, self._starts, strict=True))
        windows = [
            Window(key, start, span.seconds, ceil(span.limit), span.seconds if self._slides else 0)
            for span, start in pairs
        ]
        before = [Window(key, span.before(start), span.seconds, 0, span.seconds) for span, start in pairs]
        if len(self._callers) >= CALLERS_KNOWN:
            self._callers.clear()
        caller = self._callers[identifier] = _Caller(windows, before if self._slides else ())
        return caller

    def _weights(self, now: float) -> tuple[float, ...]:
        """How much of each running window is left, from 1 to 0."""
        pairs = zip(self._spans, self._starts, strict=True)
        return tuple(max(0.0, 1 - (now - start) / span.seconds) for span, start in pairs)

    def _take_here(self, caller: _Caller, weights: Sequence[float], amount: int) -> Taken:
        if caller.local is None:
            caller.local = self._counters.tally(caller.windows)
        before = [self._counters.read(window) for window in caller.before]
        if before:
            pairs = zip(caller.windows, before, weights, strict=True)
            caller.local.allow([window.limit - count * weight for window, count, weight in pairs])
        fits, counts = caller.local.take(amount)
        if not fits and self._penalty:
            counts = [self._counters.add(window, amount) for window in caller.windows]
        return Taken(fits, counts, before)

    def _verdict(self, taken: Taken, weights: Sequence[float], now: float) -> Verdict:
        used, wait = [], []
        for number, (span, start) in enumerate(zip(self._spans, self._starts, strict=True)):
            count, before = taken.counts[number], taken.before[number] if weights else 0
            used.append(ceil(count + before * weights[number]) if weights else count)
            if weights and not taken.fits:
                wait.append(max(1, ceil(_room_at(span, start, count, before, now) - now)))
            else:
                wait.append(max(1, start + span.seconds - int(now)))
        return Verdict(taken.fits, used, wait)


def _room_at(span: Span, start: int, count: int, before: int, now: float) -> float:
    """When a sliding window has room for one more, if nobody asks until then."""
    room = span.limit - 1 - count
    if room >= 0:  # what came before has to weigh less
        weight = min(1.0, room / before) if before else 1.0
        return max(now, start + span.seconds * (1 - weight))
    weight = max(0.0, (span.limit - 1) / count)
    return start + span.seconds * (2 - weight)


def of_periods(limits: Sequence[tuple[str, float]]) -> tuple[Span, ...]:
    """Kong's periods as spans."""
    return tuple(Span(limit, SECONDS[period], period) for period, limit in limits)
