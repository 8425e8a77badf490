"""Counts that many nodes share: each request asked for, or told in the background now and then."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import hiredis

from tollhouse.pdk.services import SharedTally, Taken, Window
from tollhouse.pdk.tasks import Tasks
from tollhouse.pdk.wait import Answered
from tollhouse.stores.redis.client import Client
from tollhouse.stores.redis.connection import Lost, packed
from tollhouse.stores.redis.scripts import TAKE


def key_of(window: Window) -> str:
    """Where a window is counted; what stands in the key's braces decides on its slot in a cluster."""
    return f"{window.key}:{window.start}:{window.seconds}"


class ExactTally:
    """Windows of one caller, decided by the server for each request."""

    __slots__ = ("_before", "_client", "_fixed", "_key", "_keys", "_penalty", "_windows")

    def __init__(
        self, client: Client, windows: Sequence[Window], before: Sequence[Window], *, penalty: bool
    ) -> None:
        self._client = client
        self._windows = windows
        self._before = before
        self._penalty = penalty
        self._keys = [key_of(window) for window in (*windows, *before)]
        self._key = self._keys[0]
        # Only where the window before weighs does a command depend on the time.
        self._fixed = (self._command(1, (0.0,) * len(windows)),)

    def take(
        self, done: Callable[[Taken | None], Any], weights: Sequence[float] = (), amount: int = 1
    ) -> Answered | None:
        commands = self._fixed if amount == 1 and not weights else (self._command(amount, weights),)
        waiting = Answered(done)

        def answered(replies: list[Any] | Lost) -> None:
            if (
                not isinstance(replies, Lost)
                and _is_unknown(replies[0])
                and self._again(amount, weights, waiting)
            ):
                return
            waiting.driver.advance(_taken(replies))

        if self._client.ask(self._key, commands, answered):
            return waiting
        done(None)
        return None

    def _again(self, amount: int, weights: Sequence[float], waiting: Answered) -> bool:
        """Whether the server, which has forgotten the script, is asked anew."""
        commands = (self._command(amount, weights, "EVAL"),)
        return self._client.ask(self._key, commands, lambda replies: waiting.driver.advance(_taken(replies)))

    def _command(self, amount: int, weights: Sequence[float], verb: str = "EVALSHA") -> bytes:
        words: list[str | float] = [verb, TAKE.digest if verb == "EVALSHA" else TAKE.text]
        words += [len(self._keys), *self._keys, amount, int(self._penalty)]
        for number, window in enumerate(self._windows):
            words += [window.limit, window.seconds + window.kept, weights[number] if weights else 0]
        return packed(words)


def _is_unknown(reply: Any) -> bool:
    return isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT")


def _taken(replies: list[Any] | Lost) -> Taken | None:
    if isinstance(replies, Lost) or isinstance(replies[0], hiredis.ReplyError):
        return None
    answer = replies[0]
    return Taken(answer[0] == 1, answer[1::2], answer[2::2])


class ExactCounts:
    """Counts on a server, asked for each request."""

    def __init__(self, client: Client, release: Callable[[Client], None]) -> None:
        self._client = client
        self._release = release

    def tally(self, windows: Sequence[Window], before: Sequence[Window], *, penalty: bool) -> SharedTally:
        return ExactTally(self._client, windows, before, penalty=penalty)

    def read(self, windows: Sequence[Window], done: Callable[[list[int] | None], Any]) -> Answered | None:
        commands = [packed(("GET", key_of(window))) for window in windows]
        waiting = Answered(done)

        def answered(replies: list[Any] | Lost) -> None:
            waiting.driver.advance(_counts(replies))

        if self._client.ask(windows[0].key, commands, answered):
            return waiting
        done(None)
        return None

    def add(self, window: Window, amount: int) -> None:
        key = key_of(window)
        commands = [packed(("INCRBY", key, amount)), packed(("EXPIRE", key, window.seconds))]
        self._client.ask(key, commands, lambda _: None)

    def close(self) -> None:
        self._release(self._client)


def _counts(replies: list[Any] | Lost) -> list[int] | None:
    if isinstance(replies, Lost) or any(isinstance(reply, hiredis.ReplyError) for reply in replies):
        return None
    return [int(reply or 0) for reply in replies]


class _Known:
    """A count as the server told it last, and what has been counted here since."""

    __slots__ = ("seconds", "told", "until", "untold")

    def __init__(self, window: Window) -> None:
        self.seconds = window.seconds + window.kept
        self.until = window.start + self.seconds
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
    """Counts that are told to a server every so often, and learnt from it then."""

    def __init__(
        self, exact: ExactCounts, client: Client, seconds: float, tasks: Tasks, clock: Callable[[], float]
    ) -> None:
        self._exact = exact
        self._client = client
        self._seconds = seconds
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._changed: dict[str, _Known] = {}
        self._syncing = tasks.spawn(self._sync_regularly(), "redis counts")

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

        def answered(replies: list[Any] | Lost) -> None:
            if isinstance(replies, Lost) or isinstance(replies[0], hiredis.ReplyError):
                known.told -= amount
                known.untold += amount
                self._changed[key] = known
            elif amount:
                known.told = replies[0]
            else:
                known.told = int(replies[0] or 0)

        commands = [packed(("GET", key))]
        if amount:
            commands = [packed(("INCRBY", key, amount)), packed(("EXPIRE", key, known.seconds))]
        if not self._client.ask(key, commands, answered):
            answered(Lost("away"))
