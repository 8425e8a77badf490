"""Counts that many nodes share on a server, which is asked for each request."""

from collections.abc import Callable, Sequence
from typing import Any

import hiredis

from tollhouse.pdk.services import SharedTally, Taken, Window
from tollhouse.pdk.wait import Answered
from tollhouse.stores.redis.client import Client
from tollhouse.stores.redis.connection import Lost, packed
from tollhouse.stores.redis.scripts import TAKE
from tollhouse.stores.synced_counts import key_of


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

    def tell(self, window: Window, amount: int, done: Callable[[int | None], None]) -> None:
        """Adds; `done` gets the new count, `None` if nobody could be told."""
        key = key_of(window)
        commands = [packed(("GET", key))]
        if amount:
            seconds = window.seconds + window.kept
            commands = [packed(("INCRBY", key, amount)), packed(("EXPIRE", key, seconds))]

        def answered(replies: list[Any] | Lost) -> None:
            if isinstance(replies, Lost) or isinstance(replies[0], hiredis.ReplyError):
                done(None)
            else:
                done(int(replies[0] or 0))

        if not self._client.ask(key, commands, answered):
            done(None)

    def close(self) -> None:
        self._release(self._client)


def _counts(replies: list[Any] | Lost) -> list[int] | None:
    if isinstance(replies, Lost) or any(isinstance(reply, hiredis.ReplyError) for reply in replies):
        return None
    return [int(reply or 0) for reply in replies]
