"""Counts that are kept here, and told to whatever keeps them for all nodes now and then."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tollhouse.pdk.services import SharedCounts, SharedTally, Taken, Window
from tollhouse.pdk.tasks import Tasks
from tollhouse.pdk.wait import Answered


def key_of(window: Window) -> str:
    """Where a window is counted; what stands in the key's braces decides on its slot in a cluster."""
    return f"{window.key}:{window.start}:{window.seconds}"


class TellingCounts(SharedCounts, Protocol):
    """Counts of many nodes that can be told what one of them has counted by itself."""

    def tell(self, window: Window, amount: int, done: Callable[[int | None], None]) -> None:
        """Adds; `done` gets the new count, `None` if nobody could be told."""
        ...


class _Known:
    """A count as it was told last, and what has been counted here since."""

    __slots__ = ("told", "until", "untold", "window")

    def __init__(self, window: Window) -> None:
        self.window = window
        self.until = window.start + window.seconds + window.kept
        self.told = 0
        self.untold = 0

    @property
    def count(self) -> int:
        return self.told + self.untold


class SyncedTally:
    """Windows of one caller, decided by what is known here."""

    def __init__(
        self, counts: "SyncedCounts", windows: Sequence[Window], before: Sequence[Window], *, penalty: bool
    ) -> None:
        self._windows = [(window, counts.known(window)) for window in windows]
        self._before = [counts.known(window) for window in before]
        self._counts = counts
        self._penalty = penalty

    def take(
        self, done: Callable[[Taken | None], Any], weights: Sequence[float] = (), amount: int = 1
    ) -> Answered | None:
        before = [known.count for known in self._before]
        fits = all(
            known.count + amount + (before[number] * weights[number] if weights else 0) <= window.limit
            for number, (window, known) in enumerate(self._windows)
        )
        if fits or self._penalty:
            for window, known in self._windows:
                known.untold += amount
                self._counts.changed(window, known)
        done(Taken(fits, [known.count for _, known in self._windows], before))
        return None


class SyncedCounts:
    """Counts that are told to others every so often, and learnt from them then."""

    def __init__(
        self, exact: TellingCounts, seconds: float, tasks: Tasks, clock: Callable[[], float]
    ) -> None:
        self._exact = exact
        self._seconds = seconds
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._changed: dict[str, _Known] = {}
        self._syncing = tasks.spawn(self._sync_regularly(), "synced counts")

    def tally(self, windows: Sequence[Window], before: Sequence[Window], *, penalty: bool) -> SharedTally:
        return SyncedTally(self, windows, before, penalty=penalty)

    def known(self, window: Window) -> _Known:
        """What is known of a window; one that is new here is asked for."""
        key = key_of(window)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Known(window)
            self._tell(key, known)
        return known

    def changed(self, window: Window, known: _Known) -> None:
        """Notes that there is something to tell."""
        self._changed[key_of(window)] = known

    def read(self, windows: Sequence[Window], done: Callable[[list[int] | None], Any]) -> Answered | None:
        return self._exact.read(windows, done)

    def add(self, window: Window, amount: int) -> None:
        self._exact.add(window, amount)

    def close(self) -> None:
        self._sync()
        self._syncing.cancel()
        self._exact.close()

    async def _sync_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            self._sync()

    def _sync(self) -> None:
        now = self._clock()
        changed, self._changed = self._changed, {}
        for key, known in changed.items():
            self._tell(key, known)
        over = [key for key, known in self._known.items() if known.until < now]
        for key in over:
            del self._known[key]

    def _tell(self, key: str, known: _Known) -> None:
        """Adds what was counted here, and learns what all have counted. What cannot be told is kept."""
        amount, known.untold = known.untold, 0
        known.told += amount

        def told(count: int | None) -> None:
            if count is None:
                known.told -= amount
                known.untold += amount
                self._changed[key] = known
            else:
                known.told = count

        self._exact.tell(known.window, amount, told)
