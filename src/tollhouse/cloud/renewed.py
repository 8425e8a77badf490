"""Credentials that end and have to be asked for again; one asks for all."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from tollhouse.errors import PeerError

T = TypeVar("T")

#: asked for again so long before the end, in seconds
_AHEAD_SECONDS: Final = 120.0


class CloudError(PeerError):
    """No credentials could be had; says from where and why."""


class Renewed(Generic[T]):
    """Holds a value until shortly before it ends."""

    def __init__(
        self, fetch: Callable[[], Awaitable[tuple[T, float | None]]], clock: Callable[[], float]
    ) -> None:
        """`fetch` gives a value and when it ends, in seconds of the clock; `None`: never."""
        self._fetch = fetch
        self._clock = clock
        self._value: T | None = None
        self._ends: float | None = 0.0
        self._asking: asyncio.Task[T] | None = None

    def current(self) -> T | None:
        """The value, `None` if it has to be renewed first."""
        if self._ends is None or self._clock() < self._ends - _AHEAD_SECONDS:
            return self._value
        return None

    async def renew(self) -> T:
        """A fresh value. Raises `CloudError`."""
        found = self.current()
        if found is not None:
            return found
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> T:
        value, ends = await self._fetch()
        self._value, self._ends = value, ends
        return value
