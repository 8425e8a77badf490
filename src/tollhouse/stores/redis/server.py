"""A server, wherever it is at the moment: connected to when first asked, again and again when it is lost.

Whoever asks while the first attempt runs waits for it. When that fails the server is away: calls fail at
once, and attempts go on in the background, less and less often.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import hiredis

from tollhouse.pdk.tasks import Tasks
from tollhouse.stores.authorities import client_context
from tollhouse.stores.redis.connection import Batch, Connection, Lost, packed
from tollhouse.stores.redis.place import Address, Login, Place
from tollhouse.stores.watch import Watch

log = logging.getLogger("tollhouse.redis")

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
#: answers after which another server has to be looked for
_NOT_HERE: Final = ("READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS")


class Channel(Protocol):
    """Where batches go."""

    def send(self, batch: Batch) -> bool:
        """Whether it is under way; if not, nothing can be asked now and `done` is not called."""
        ...

    def everywhere(self) -> "Sequence[Channel]":
        """One for each server that has keys of its own, as far as they are known."""
        ...

    def close(self) -> None: ...


class Server:
    """One server of a place; `find` says where it is now."""

    def __init__(
        self,
        place: Place,
        find: Callable[[], Awaitable[Address]],
        watch: Watch,
        tasks: Tasks,
        hello: Sequence[bytes],
    ) -> None:
        self._place = place
        self._find = find
        self._watch = watch
        self._tasks = tasks
        self._hello = tuple(hello)
        self._connection: Connection | None = None
        #: those who wait for the first attempt; `None` while the server is away
        self._early: list[Batch] | None = []
        self._connecting: asyncio.Task[None] | None = None
        self._is_closed = False
        self._backlog = place.backlog if place.backlog is not None else float("inf")

    def send(self, batch: Batch) -> bool:
        connection = self._connection
        if connection is not None:
            if len(connection.waiting) > self._backlog:
                self._watch.refused()
                return False
            connection.send(batch)
            return True
        if self._early is None or len(self._early) > self._backlog:
            self._watch.refused()
            return False
        self._early.append(batch)
        if self._connecting is None:
            self._connecting = self._tasks.spawn(self._connect(), "redis")
        return True

    def everywhere(self) -> Sequence[Channel]:
        return (self,)

    def close(self) -> None:
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.close("the configuration has gone")

    def look_again(self) -> None:
        """The server is not what it was thought to be."""
        if self._connection is not None:
            self._connection.close("another server has to be found")

    async def _connect(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout(self._place.connect_seconds):
                    connection = await self._attempt()
            except (OSError, Lost) as error:  # TimeoutError is an OSError
                self._fail(_reason(error, self._place))
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - nothing to guess
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            self._connecting = None
            self._connection = connection
            self._watch.came()
            early, self._early = self._early or [], []
            for batch in early:
                connection.send(batch)
            return

    async def _attempt(self) -> Connection:
        place = self._place
        host, port = await self._find()
        connection = await opened(place, (host, port), self._gone)
        try:
            database = [("SELECT", str(place.database))] if place.database and not place.is_cluster else []
            greeting = [packed(words) for words in (*place.login.commands(), *database)]
            await said(connection, [*greeting, *self._hello])
        except BaseException:
            connection.close("the greeting failed")
            raise
        return connection

    def _gone(self, lost: Lost) -> None:
        """The connection that served is no more; one that never served is `_connect`'s to judge."""
        if self._is_closed or self._connection is None:
            return
        if self._connecting is None:
            self._connection = None
            self._early = []
            log.info("Redis %s: %s", self._watch.shown, lost)
            self._connecting = self._tasks.spawn(self._connect(), "redis")

    def _fail(self, why: Lost) -> None:
        self._watch.went(why)
        early, self._early = self._early or [], None
        for batch in early:
            batch.done(why)


def _reason(error: Exception, place: Place) -> Lost:
    if isinstance(error, Lost):
        return error
    if isinstance(error, TimeoutError):
        return Lost(f"no connection within {place.connect_seconds:g} s")
    return Lost(str(error) or type(error).__name__)


async def opened(place: Place, address: Address, lost: Callable[[Lost], None]) -> Connection:
    """A connection to an address, over TLS if the place says so. Raises `OSError`."""
    context, server_name = None, None
    if place.tls:
        context = client_context(place.trusted, verify=place.verify)
        server_name = place.server_name or address[0]
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: Connection(place.send_seconds, place.read_seconds, lost),
        *address,
        ssl=context,
        server_hostname=server_name,
    )
    return connection


async def said(connection: Connection, commands: Sequence[bytes]) -> list[Any]:
    """The replies to some commands on a connection that nobody else uses. Raises `Lost`."""
    if not commands:
        return []
    future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

    def done(replies: list[Any] | Lost) -> None:
        if future.done():
            return
        if isinstance(replies, Lost):
            future.set_exception(replies)
        elif failures := [reply for reply in replies if isinstance(reply, hiredis.ReplyError)]:
            future.set_exception(Lost(str(failures[0])))
        else:
            future.set_result(replies)

    connection.send(Batch("", commands, done))
    return await future


async def asked_once(place: Place, address: Address, login: Login, words: Sequence[str]) -> Any:
    """One question on a connection of its own. Raises `OSError` or `Lost`."""
    connection = await opened(place, address, lambda _: None)
    try:
        commands = [packed(command) for command in (*login.commands(), tuple(words))]
        return (await said(connection, commands))[-1]
    finally:
        connection.close("done")


def is_elsewhere(reply: Any) -> bool:
    """Whether an answer says that this is not the server to ask."""
    return isinstance(reply, hiredis.ReplyError) and str(reply).startswith(_NOT_HERE)
