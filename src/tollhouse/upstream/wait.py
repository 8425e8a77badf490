"""The seam between a flow that waits and whoever has what it waits for."""

from collections.abc import Generator
from typing import Any, Protocol


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
