"""Queues of records for collectors: bounded, batched, tried again, drained at the end.

Adding never waits. What cannot be held, or does not arrive in time, is dropped, counted and told once.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

from tollhouse.errors import UpstreamFault
from tollhouse.pdk.delivery import QueueSettings, Send, Undelivered
from tollhouse.pdk.tasks import Tasks
from tollhouse.telemetry.metrics import Count, Counter

log = logging.getLogger("tollhouse.queues")

T = TypeVar("T")
#: how long the end of a node waits for collectors
END_SECONDS: Final = 5.0


class BatchQueue(Generic[T]):
    """Entries of one worker on their way to a collector."""

    def __init__(
        self,
        name: str,
        settings: QueueSettings,
        send: Send[T],
        size_of: Callable[[T], int],
        most_retries: int | None,
        ended: Callable[[], None] | None,
        dropped: Count,
        tasks: Tasks,
    ) -> None:
        self._name = name
        self._settings = settings
        self._send = send
        self._size_of = size_of if settings.max_bytes is not None else None
        self._most_retries = most_retries
        self._ended = ended
        self._dropped = dropped
        self._tasks = tasks
        self._pending: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._under_way = 0
        self._is_failing = False
        #: set when nothing more will come, or when a batch is full
        self._closing = asyncio.Event()
        self._full = asyncio.Event()
        #: set when the last entry of a closed queue has gone
        self.gone = asyncio.Event()

    def add(self, entry: T) -> None:
        """Takes an entry; the oldest are dropped if there are too many."""
        settings = self._settings
        if settings.concurrency_limit == -1 and self._under_way < settings.max_entries:
            self._start(self._deliver([entry]))
            return
        size = self._size_of(entry) if self._size_of is not None else 0
        pending = self._pending
        pending.append((entry, size))
        self._bytes += size
        while len(pending) > settings.max_entries or self._bytes > (settings.max_bytes or self._bytes):
            self._bytes -= pending.popleft()[1]
            self._drop(1, "the queue is full")
        if not self._under_way:
            self._start(self._run())
        elif len(pending) >= settings.max_batch_size:
            self._full.set()

    def close(self) -> None:
        """No more will come; what waits goes out without waiting for company."""
        self._closing.set()
        self._full.set()
        if not self._under_way:
            self._end()

    def give_up(self) -> None:
        """Drops what has not arrived."""
        waiting, self._bytes = len(self._pending), 0
        self._pending.clear()
        if waiting:
            self._drop(waiting, "the node has ended")

    def _start(self, work: Any) -> None:
        self._under_way += 1
        self._tasks.spawn(work, f"queue {self._name}").add_done_callback(self._done)

    def _done(self, _: "asyncio.Task[None]") -> None:
        self._under_way -= 1
        if self._under_way:
            return
        if self._pending:
            self._start(self._run())
        elif self._closing.is_set():
            self._end()

    def _end(self) -> None:
        self.gone.set()
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()

    async def _run(self) -> None:
        """Hands over batch after batch until nothing waits."""
        settings = self._settings
        while self._pending:
            if len(self._pending) < settings.max_batch_size and not self._closing.is_set():
                self._full.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._full.wait(), settings.max_coalescing_delay)
            size = min(settings.max_batch_size, len(self._pending))
            taken = [self._pending.popleft() for _ in range(size)]
            self._bytes -= sum(bytes_ for _, bytes_ in taken)
            if taken:
                await self._deliver([entry for entry, _ in taken])

    async def _deliver(self, batch: Sequence[T]) -> None:
        try:
            reason = await self._attempts(batch)
        except asyncio.CancelledError:
            self._drop(len(batch), "the node has ended")
            raise
        except Exception:  # a bug of the sender: the batch is lost, those after it are not
            log.exception("%s failed", self._name)
            reason = "its sender failed"
        if reason is not None:
            self._drop(len(batch), reason)
        else:
            self._is_failing = False

    async def _attempts(self, batch: Sequence[T]) -> str | None:
        """Hands a batch over; returns why that was given up, `None` if it has arrived."""
        settings, loop = self._settings, asyncio.get_running_loop()
        until = loop.time() + settings.max_retry_time
        delay, retries = settings.initial_retry_delay, 0
        while True:
            try:
                await self._send(batch)
            except (Undelivered, UpstreamFault, OSError) as error:
                reason = str(error) or type(error).__name__
                lasting = isinstance(error, Undelivered) and not error.again
                if lasting or retries == self._most_retries or loop.time() + delay > until:
                    return reason
                log.info("%s: %s; trying again in %g s", self._name, reason, delay)
            else:
                return None
            await asyncio.sleep(delay)
            delay = min(delay * 2, settings.max_retry_delay)
            retries += 1

    def _drop(self, entries: int, reason: str) -> None:
        self._dropped.value += entries
        if not self._is_failing:
            log.error("%s: entries are dropped: %s", self._name, reason)
        self._is_failing = True


class Queues:
    """All queues of a worker."""

    def __init__(self, dropped: Counter, tasks: Tasks) -> None:
        self._dropped = dropped
        self._tasks = tasks
        self._open: set[BatchQueue[Any]] = set()

    def open(
        self,
        name: str,
        settings: QueueSettings,
        send: Send[T],
        *,
        size_of: Callable[[T], int],
        most_retries: int | None = None,
        ended: Callable[[], None] | None = None,
    ) -> BatchQueue[T]:
        """A queue, named in logs and metrics."""

        def end() -> None:
            self._open.discard(queue)
            if ended is not None:
                ended()

        count = self._dropped.series((name,))
        queue = BatchQueue(name, settings, send, size_of, most_retries, end, count, self._tasks)
        self._open.add(queue)
        return queue

    async def drain(self, seconds: float = END_SECONDS) -> None:
        """Hands over what waits, for so long; drops the rest."""
        queues = list(self._open)
        for queue in queues:
            queue.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for queue in queues:
                    await queue.gone.wait()
        for queue in list(self._open):
            queue.give_up()
