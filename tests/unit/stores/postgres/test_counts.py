"""Counts in the database, from several workers at once."""

import asyncio
import random
import time
from collections import Counter
from contextlib import suppress

from tests.support.postgres import Postgres

from tollhouse.pdk.services import Taken, Window
from tollhouse.pdk.tasks import Tasks
from tollhouse.pdk.wait import Answered
from tollhouse.stores.postgres.counting import clean
from tollhouse.stores.postgres.counts import DatabaseCounts, DatabaseTally, Ledger
from tollhouse.stores.postgres.server import Server, connect
from tollhouse.stores.watch import Watch
from tollhouse.telemetry.metrics import Metrics

YEAR = 31_536_000


def ledger(server: Server, tasks: Tasks) -> Ledger:
    return Ledger(server, Watch(Metrics(), "database", "the database", str(server)), tasks, time.time)


def window(key: str, limit: float, start: int = 0) -> Window:
    return Window(f"{{{key}}}", 1_900_000_000 + start, YEAR, limit)


class Flow:
    """Goes on with what it waits for, as an exchange does."""

    def __init__(self, waiting: Answered) -> None:
        self._steps = waiting.__await__()
        next(self._steps).driver = self

    def advance(self, value: object = None) -> None:
        with suppress(StopIteration):
            self._steps.send(value)

    def throw(self, error: BaseException) -> None:
        raise error


async def taken(tally: DatabaseTally, amount: int = 1, weights: tuple[float, ...] = ()) -> Taken:
    future: asyncio.Future[Taken | None] = asyncio.get_running_loop().create_future()
    waiting = tally.take(future.set_result, weights, amount)
    assert waiting is not None
    Flow(waiting)
    found = await future
    assert found is not None
    return found


async def test_callers_with_windows_in_common_never_lock_one_another_out_and_never_pass_a_limit(
    server: Server,
) -> None:
    tasks, chance = Tasks(), random.Random(5)
    ledgers = [ledger(server, tasks) for _ in range(4)]
    windows = [window(f"w{number}", 60) for number in range(6)]
    added: Counter[str] = Counter()

    async def keep_taking(book: Ledger) -> None:
        for _ in range(40):
            chosen = chance.sample(windows, chance.randint(1, 4))
            amount = chance.randint(1, 3)
            found = await taken(DatabaseTally(book, chosen, (), penalty=False), amount)
            if found.fits:
                added.update({each.key: amount for each in chosen})
                assert all(count <= 60 for count in found.counts)

    await asyncio.gather(*(keep_taking(book) for book in ledgers for _ in range(8)))
    last = await taken(DatabaseTally(ledgers[0], windows, (), penalty=False), 1000)
    assert not last.fits
    assert dict(zip((each.key for each in windows), last.counts, strict=True)) == added
    assert max(added.values()) == 60
    for book in ledgers:
        await book.close()
    await tasks.cancel()


async def test_what_is_asked_for_together_is_answered_as_if_it_came_one_after_the_other(
    server: Server,
) -> None:
    tasks = Tasks()
    book = ledger(server, tasks)
    strict = DatabaseTally(book, [window("a", 3)], (), penalty=False)
    found = await asyncio.gather(*(taken(strict) for _ in range(5)))
    assert [(each.fits, each.counts) for each in found] == [
        (True, [1]), (True, [2]), (True, [3]), (False, [3]), (False, [3]),
    ]  # fmt: skip
    punishing = DatabaseTally(book, [window("b", 2)], (), penalty=True)
    found = await asyncio.gather(*(taken(punishing) for _ in range(4)))
    assert [(each.fits, each.counts) for each in found] == [
        (True, [1]), (True, [2]), (False, [3]), (False, [4]),
    ]  # fmt: skip
    await book.close()


async def test_the_window_before_weighs(server: Server) -> None:
    tasks = Tasks()
    book = ledger(server, tasks)
    before, now = window("c", 10), window("c", 10, YEAR)
    DatabaseCounts(book).add(before, 8)
    tally = DatabaseTally(book, [now], [before], penalty=False)
    found = await asyncio.gather(*(taken(tally, weights=(0.5,)) for _ in range(7)))
    assert [each.fits for each in found] == [True] * 6 + [False]
    assert found[-1].before == [8]
    await book.close()


async def test_counts_of_windows_that_are_over_are_deleted(postgres: Postgres, server: Server) -> None:
    tasks = Tasks()
    book = ledger(server, tasks)
    counts = DatabaseCounts(book)
    counts.add(Window("{old}", 1_000_000_000, 60, 1), 1)
    counts.add(Window("{new}", 1_900_000_000, YEAR, 1), 1)
    await book.close()
    connection = await connect(server)
    try:
        await clean(connection)
        rows = await connection.fetch("SELECT key FROM tollhouse_counters")
        assert [row["key"] for row in rows] == [f"{{new}}:1900000000:{YEAR}"]
    finally:
        await connection.close()
