"""Counts in the database that nodes share: each request is asked for.

A worker has one connection for them. What is wanted while the database answers is asked for together, so
that a busy worker makes few long calls instead of many short ones.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import asyncpg

from tollhouse.pdk.services import SharedTally, Taken, Window
from tollhouse.pdk.tasks import Tasks
from tollhouse.pdk.wait import Answered
from tollhouse.stores.postgres import counting
from tollhouse.stores.postgres.counting import Demand
from tollhouse.stores.postgres.faults import translated
from tollhouse.stores.postgres.server import Server, connect
from tollhouse.stores.store import StoreError
from tollhouse.stores.synced_counts import key_of
from tollhouse.stores.watch import Watch

#: most windows in one call
_MOST: Final = 500
_CLEAN_SECONDS: Final = 60.0
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0

Read = tuple[Sequence[str], Callable[[list[int] | None], Any]]


class Ledger:
    """The database as one worker asks it. While it is away nothing is taken on; attempts to come back to it
    go on in the background."""

    def __init__(self, server: Server, watch: Watch, tasks: Tasks, clock: Callable[[], float]) -> None:
        self._server = server
        self._watch = watch
        self._tasks = tasks
        self._clock = clock
        self._demands: dict[tuple[tuple[str, ...], int, bool], Demand] = {}
        self._reads: list[Read] = []
        self._connection: asyncpg.Connection[Any] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._returning: asyncio.Task[None] | None = None
        self._clean_at = 0.0

    def demand(self, keys: tuple[str, ...], demand: Demand, done: Callable[[Taken | None], Any]) -> bool:
        """Whether it will be counted; if not, `done` is not called."""
        if not self._is_here():
            return False
        kept = self._demands.setdefault((keys, demand.amount, demand.penalty), demand)
        kept.answered.append(done)
        self._go_on()
        return True

    def read(self, keys: Sequence[str], done: Callable[[list[int] | None], Any]) -> bool:
        """Whether counts will be read; if not, `done` is not called."""
        if not self._is_here():
            return False
        self._reads.append((keys, done))
        self._go_on()
        return True

    async def close(self) -> None:
        """Counts what is still to be counted and lets go of the database."""
        if self._returning is not None:
            self._returning.cancel()
        if self._asking is not None:
            await asyncio.wait([self._asking])
        if self._connection is not None:
            await self._connection.close(timeout=self._server.timeout)

    def _is_here(self) -> bool:
        if self._returning is None:
            return True
        self._watch.refused()
        return False

    def _go_on(self) -> None:
        if self._asking is None or self._asking.done():
            self._asking = self._tasks.spawn(self._ask(), "database counts")

    async def _ask(self) -> None:
        while self._demands or self._reads:
            demands = self._disjoint()
            reads, self._reads = self._reads, []
            try:
                async with translated():
                    records, found = await self._answers(demands, reads)
            except StoreError as problem:
                self._lose(problem, demands, reads)
                return
            _tell(demands, records)
            for keys, done in reads:
                done([found.get(key, 0) for key in keys])
            await self._clean()

    async def _answers(
        self, demands: Sequence[Demand], reads: Sequence[Read]
    ) -> tuple[list[asyncpg.Record], dict[str, int]]:
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = self._connection = await self._connected()
        records = await counting.count(connection, demands) if demands else []
        keys = [key for keys, _ in reads for key in keys]
        return records, await counting.read(connection, keys) if keys else {}

    async def _clean(self) -> None:
        if self._connection is None or self._clock() < self._clean_at:
            return
        self._clean_at = self._clock() + _CLEAN_SECONDS
        try:
            async with translated():
                await counting.clean(self._connection)
        except StoreError as problem:
            self._lose(problem, (), ())

    def _disjoint(self) -> list[Demand]:
        """Takes the oldest demands that have no window in common, as many as one call may have."""
        taken: list[Demand] = []
        used: set[str] = set()
        for mark in list(self._demands):
            if used.isdisjoint(mark[0]) and len(used) < _MOST:
                used.update(mark[0])
                taken.append(self._demands.pop(mark))
        return taken

    async def _connected(self) -> "asyncpg.Connection[Any]":
        connection = await connect(self._server)
        # No request waits for a disk: a crash of the database may cost the counts of its last moments.
        await connection.execute("SET synchronous_commit = off")
        self._watch.came()
        return connection

    def _lose(self, problem: StoreError, demands: Sequence[Demand], reads: Sequence[Read]) -> None:
        self._watch.went(problem)
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
        waiting = [*demands, *self._demands.values()]
        readers = [*reads, *self._reads]
        self._demands, self._reads = {}, []
        self._returning = self._tasks.spawn(self._return(), "return to the database")
        for demand in waiting:
            for done in demand.answered:
                done(None)
        for _, answer in readers:
            answer(None)

    async def _return(self) -> None:
        pause = _FIRST_PAUSE
        while self._connection is None:
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)
            try:
                async with translated():
                    self._connection = await self._connected()
            except StoreError as problem:
                self._watch.went(problem)
        self._returning = None


def _tell(demands: Sequence[Demand], records: Sequence[asyncpg.Record]) -> None:
    """Each demand has a record for each of its windows."""
    place = 0
    for demand in demands:
        windows = records[place : place + len(demand.windows)]
        place += len(demand.windows)
        before = [record["before"] for record in windows] if demand.before else ()
        demand.tell(windows[0]["granted"], [record["count"] for record in windows], before)


class DatabaseTally:
    """Windows of one caller."""

    __slots__ = ("_before", "_keys", "_ledger", "_penalty", "_windows")

    def __init__(
        self, ledger: Ledger, windows: Sequence[Window], before: Sequence[Window], *, penalty: bool
    ) -> None:
        self._ledger = ledger
        self._windows = windows
        self._before = before
        self._penalty = penalty
        self._keys = tuple(key_of(window) for window in windows)

    def take(
        self, done: Callable[[Taken | None], Any], weights: Sequence[float] = (), amount: int = 1
    ) -> Answered | None:
        waiting = Answered(done)
        demand = Demand(self._windows, self._before, weights, amount, self._penalty)
        if self._ledger.demand(self._keys, demand, lambda taken: waiting.driver.advance(taken)):
            return waiting
        done(None)
        return None


class DatabaseCounts:
    """`pdk.services.SharedCounts` in the database."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def tally(self, windows: Sequence[Window], before: Sequence[Window], *, penalty: bool) -> SharedTally:
        return DatabaseTally(self._ledger, windows, before, penalty=penalty)

    def read(self, windows: Sequence[Window], done: Callable[[list[int] | None], Any]) -> Answered | None:
        waiting = Answered(done)
        keys = [key_of(window) for window in windows]
        if self._ledger.read(keys, lambda counts: waiting.driver.advance(counts)):
            return waiting
        done(None)
        return None

    def add(self, window: Window, amount: int) -> None:
        self.tell(window, amount, lambda _: None)

    def tell(self, window: Window, amount: int, done: Callable[[int | None], None]) -> None:
        """Adds; `done` gets the new count, `None` if nobody could be told."""
        key = key_of(window)
        if not amount:
            sent = self._ledger.read([key], lambda counts: done(counts[0] if counts else None))
        else:
            demand = Demand([window], (), (), amount, penalty=True)
            sent = self._ledger.demand(
                (key,), demand, lambda taken: done(taken.counts[0] if taken is not None else None)
            )
        if not sent:
            done(None)

    def close(self) -> None:
        """Others go on counting; the connection is the worker's."""
