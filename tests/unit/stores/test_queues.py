"""Queues of records: bounded, batched, tried again, and never in anybody's way."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from tollhouse.pdk.delivery import QueueSettings, Undelivered
from tollhouse.pdk.tasks import Tasks
from tollhouse.stores.queues import BatchQueue, Queues
from tollhouse.telemetry.metrics import Counter


class Collector:
    """Remembers batches; refuses as many as it is told, and hangs while it is held."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.refusals = 0
        self.asked = 0
        self.under_way = 0
        self.most_under_way = 0
        self.lasting = False
        self.free = asyncio.Event()
        self.free.set()
        self._changed = asyncio.Event()

    async def take(self, batch: Sequence[bytes]) -> None:
        self.asked += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self._changed.set()
        await self.free.wait()
        self.under_way -= 1
        if self.refusals:
            self.refusals -= 1
            raise Undelivered("busy", again=not self.lasting)
        self.batches.append(list(batch))
        self._changed.set()

    async def until(self, *, batches: int = 0, asked: int = 0) -> None:
        async with asyncio.timeout(10):
            while len(self.batches) < batches or self.asked < asked:
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
def dropped() -> Counter:
    return Counter("dropped", "", ("sink",))


@pytest.fixture
async def queues(dropped: Counter) -> AsyncIterator[Queues]:
    tasks = Tasks()
    yield Queues(dropped, tasks)
    await tasks.cancel()


@pytest.fixture
async def collector() -> Collector:
    return Collector()


def opened(
    queues: Queues, collector: Collector, settings: QueueSettings, most_retries: int | None = None
) -> BatchQueue[bytes]:
    return queues.open("c", settings, collector.take, size_of=len, most_retries=most_retries)


def lost(dropped: Counter) -> float:
    return dropped.series(("c",)).value


async def test_entries_go_one_by_one_and_in_order(queues: Queues, collector: Collector) -> None:
    queue = opened(queues, collector, QueueSettings())
    for number in range(5):
        queue.add(b"%d" % number)

    await collector.until(batches=5)

    assert collector.batches == [[b"0"], [b"1"], [b"2"], [b"3"], [b"4"]]
    assert collector.most_under_way == 1


async def test_a_full_batch_does_not_wait(queues: Queues, collector: Collector) -> None:
    queue = opened(queues, collector, QueueSettings(max_batch_size=3, max_coalescing_delay=3600))
    for number in range(6):
        queue.add(b"%d" % number)
        await asyncio.sleep(0)

    await collector.until(batches=2)

    assert collector.batches == [[b"0", b"1", b"2"], [b"3", b"4", b"5"]]


async def test_a_batch_that_is_not_full_goes_after_a_while(queues: Queues, collector: Collector) -> None:
    queue = opened(queues, collector, QueueSettings(max_batch_size=3, max_coalescing_delay=0.02))
    queue.add(b"a")
    queue.add(b"b")

    await collector.until(batches=1)

    assert collector.batches == [[b"a", b"b"]]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        (QueueSettings(max_entries=2), [[b"first"], [b"bb"], [b"cc"]]),
        (QueueSettings(max_bytes=3), [[b"first"], [b"cc"]]),
    ],
)
async def test_the_oldest_are_dropped_and_counted(
    queues: Queues, collector: Collector, dropped: Counter, settings: QueueSettings, kept: list[list[bytes]]
) -> None:
    queue = queues.open("c", settings, collector.take, size_of=lambda entry: len(entry) % 5)
    collector.free.clear()
    queue.add(b"first")
    await collector.until(asked=1)

    for entry in (b"aa", b"bb", b"cc"):
        queue.add(entry)
    collector.free.set()
    await collector.until(batches=len(kept))

    assert collector.batches == kept
    assert lost(dropped) == 4 - len(kept)


async def test_what_did_not_arrive_is_tried_again(
    queues: Queues, collector: Collector, dropped: Counter
) -> None:
    collector.refusals = 3
    opened(queues, collector, QueueSettings(initial_retry_delay=0.001, max_retry_delay=0.002)).add(b"a")

    await collector.until(batches=1)

    assert collector.asked == 4
    assert lost(dropped) == 0


@pytest.mark.parametrize(
    ("settings", "most_retries", "lasting", "asked"),
    [
        (QueueSettings(max_retry_time=0), None, False, 1),
        (QueueSettings(initial_retry_delay=0.001), 2, False, 3),
        (QueueSettings(), None, True, 1),
    ],
)
async def test_a_batch_is_given_up_in_the_end_and_the_next_one_goes(
    queues: Queues,
    collector: Collector,
    dropped: Counter,
    settings: QueueSettings,
    most_retries: int | None,
    lasting: bool,
    asked: int,
) -> None:
    collector.refusals, collector.lasting = asked, lasting
    queue = opened(queues, collector, settings, most_retries)
    queue.add(b"lost")
    queue.add(b"kept")

    await collector.until(batches=1)

    assert collector.batches == [[b"kept"]]
    assert lost(dropped) == 1


async def test_without_a_limit_entries_do_not_wait_for_one_another(
    queues: Queues, collector: Collector
) -> None:
    collector.free.clear()
    queue = opened(queues, collector, QueueSettings(concurrency_limit=-1, max_batch_size=9))
    for number in range(4):
        queue.add(b"%d" % number)
    await collector.until(asked=4)
    collector.free.set()

    await collector.until(batches=4)

    assert collector.most_under_way == 4


async def test_a_bug_of_the_sender_costs_one_batch(queues: Queues, dropped: Counter) -> None:
    taken: list[bytes] = []
    done = asyncio.Event()

    async def take(batch: Sequence[bytes]) -> None:
        if batch[0] == b"bad":
            raise LookupError("a bug")
        taken.extend(batch)
        done.set()

    queue = queues.open("c", QueueSettings(), take, size_of=len)
    queue.add(b"bad")
    queue.add(b"good")
    async with asyncio.timeout(10):
        await done.wait()

    assert taken == [b"good"]
    assert lost(dropped) == 1


async def test_draining_hands_over_what_waits(queues: Queues, collector: Collector, dropped: Counter) -> None:
    queue = opened(queues, collector, QueueSettings(max_batch_size=100, max_coalescing_delay=3600))
    for number in range(5):
        queue.add(b"%d" % number)
    await asyncio.sleep(0)

    await queues.drain()

    assert collector.batches == [[b"0", b"1", b"2", b"3", b"4"]]
    assert lost(dropped) == 0


async def test_draining_ends_though_a_collector_hangs(
    queues: Queues, collector: Collector, dropped: Counter
) -> None:
    collector.free.clear()
    queue = opened(queues, collector, QueueSettings())
    for number in range(5):
        queue.add(b"%d" % number)
    await collector.until(asked=1)

    await queues.drain(0.01)

    assert lost(dropped) == 4, "and the one under way, when its task is cancelled"


async def test_a_closed_queue_tells_when_its_last_entry_has_gone(
    queues: Queues, collector: Collector
) -> None:
    ended = asyncio.Event()
    collector.free.clear()
    queue = queues.open("c", QueueSettings(), collector.take, size_of=len, ended=ended.set)
    queue.add(b"a")
    await collector.until(asked=1)
    queue.close()
    assert not ended.is_set()

    collector.free.set()
    async with asyncio.timeout(10):
        await ended.wait()

    assert collector.batches == [[b"a"]]
