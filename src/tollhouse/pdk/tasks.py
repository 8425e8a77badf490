"""Background tasks that have a name, an owner and a place where their failure is seen."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import Any, Final, TypeVar

T = TypeVar("T")
#: the longest that work in slices holds up the loop at a stretch, in seconds
_STRETCH_SECONDS: Final = 0.002
#: something that others wait for, in plugins that may not know the event loop
Signal = asyncio.Event

log = logging.getLogger("tollhouse.tasks")


async def in_turns(
    at_once: int, work: Callable[[int], Coroutine[Any, Any, None]], places: Iterable[int]
) -> None:
    """Does the work for each place, at most so many at the same time."""
    rest = iter(places)

    async def go_on() -> None:
        for place in rest:
            await work(place)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(go_on())


async def in_slices(work: Generator[None, None, T]) -> T:
    """Runs work that pauses itself, letting the loop serve others in between."""
    while True:
        until = time.perf_counter() + _STRETCH_SECONDS
        try:
            while time.perf_counter() < until:
                next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(0)


class Tasks:
    """Keeps references to running tasks (the loop itself holds them weakly) and logs their failures."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Starts `work` as a task called `name`."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._finished)
        return task

    def awaited(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Starts `work` as a task whose failure its caller will see."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("task %s failed", task.get_name(), exc_info=task.exception())

    async def cancel(self) -> None:
        """Cancels all and waits until they have ended."""
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
