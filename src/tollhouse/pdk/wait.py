"""The seam between a flow that waits and whoever has what it waits for."""

from collections.abc import Callable, Generator
from typing import Any, Final, Protocol


class Driver(Protocol):
    """What a waiting thing is given to go on with."""

    def advance(self, value: Any = None) -> None: ...

    def throw(self, error: BaseException) -> None: ...


class Wait:
    """Something a flow waits for. Whoever fulfils it calls `self.driver.advance(result)`."""

    __slots__ = ("driver",)

    driver: Driver

    def __await__(self) -> Generator["Wait", Any, Any]:
        return (yield self)


class Nobody:
    """Takes the place of a driver that no longer waits."""

    def advance(self, value: Any = None) -> None: ...

    def throw(self, error: BaseException) -> None: ...


NOBODY: Final = Nobody()


class Answered(Wait):
    """A wait whose result is judged when it comes, by a function that may raise `Reject`.

    A plugin's `access` may return one. Unlike a coroutine it costs no task, so only code that is in a flow
    may await it.
    """

    __slots__ = ("_judge",)

    def __init__(self, judge: Callable[[Any], Any]) -> None:
        self._judge = judge

    def __await__(self) -> Generator[Wait, Any, Any]:
        try:
            result = yield self
        except BaseException:
            self.driver = NOBODY  # the answer comes when its client has gone
            raise
        return self._judge(result)
