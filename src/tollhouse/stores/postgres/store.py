"""The store that nodes share: transactions, one view for readers, and word of every change."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from tollhouse.model.snapshot import Snapshot
from tollhouse.stores.postgres.faults import translated
from tollhouse.stores.postgres.migrations import Migrations, examined
from tollhouse.stores.postgres.mirror import Mirror
from tollhouse.stores.postgres.server import Server, connect
from tollhouse.stores.postgres.transaction import PostgresReader, PostgresTransaction
from tollhouse.stores.postgres.values import DatabaseValues
from tollhouse.stores.store import ADMIN_API, Unavailable


class PostgresStore:
    """`stores.store.Store` in PostgreSQL. Belongs to the event loop that first uses it."""

    read_only = False

    def __init__(self, server: Server) -> None:
        self.server = server
        self._pool: asyncpg.Pool[Any] | None = None
        self._opening = asyncio.Lock()
        self._mirror = Mirror()
        self._looking = asyncio.Lock()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[PostgresReader]:
        async with self._connection() as connection, _block(connection, readonly=True):
            yield PostgresReader(connection)

    @asynccontextmanager
    async def transaction(self, owner: str = ADMIN_API) -> AsyncIterator[PostgresTransaction]:
        """One at a time in the whole cluster: what a change was checked against holds until it is
        committed, and versions follow one another as commits do."""
        async with self._connection() as connection, _block(connection, readonly=False):
            async with translated():
                lock_ms = int(self.server.timeout * 1000)
                await connection.execute(f"SET LOCAL lock_timeout = {lock_ms:d}")
                await connection.execute("SELECT version FROM tollhouse_state FOR UPDATE")
            transaction = PostgresTransaction(connection, owner)
            yield transaction
            transaction.check()

    async def snapshot(self) -> Snapshot:
        """All entities; reads what has changed since the last call. The same object if nothing has."""
        async with (
            self._looking,
            self._connection() as connection,
            _block(connection, readonly=True),
            translated(),
        ):
            return await self._mirror.looked(connection)

    async def migrations(self) -> Migrations:
        """How far the database is. Raises `Unavailable`."""
        async with self._connection() as connection, translated():
            return await examined(connection)

    def values(self) -> DatabaseValues:
        """Values that are no entities."""
        return DatabaseValues(self._connection)

    def forget(self) -> None:
        """Lets the next `snapshot` read everything."""
        self._mirror.forget()

    @asynccontextmanager
    async def changes(self) -> AsyncIterator["Changes"]:
        """Hears of every change that anyone commits from now on. Raises `Unavailable`."""
        async with translated():
            connection = await connect(self.server)
        changes = Changes(connection, self.server)
        try:
            async with translated():
                await connection.add_listener(self.server.channel, changes.heard)
            connection.add_termination_listener(changes.ended)
            yield changes
        finally:
            connection.terminate()

    async def close(self) -> None:
        """Lets go of all connections."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["asyncpg.Connection[Any]"]:
        async with translated():
            pool = await self._opened()
            connection = await pool.acquire(timeout=self.server.timeout)
        try:
            yield connection
        finally:
            async with translated():
                await pool.release(connection, timeout=self.server.timeout)

    async def _opened(self) -> "asyncpg.Pool[Any]":
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    **self.server.arguments(),
                    min_size=0,
                    max_size=self.server.max_connections,
                    max_inactive_connection_lifetime=self.server.idle_seconds,
                )
            return self._pool


class Changes:
    """A connection that listens."""

    def __init__(self, connection: "asyncpg.Connection[Any]", server: Server) -> None:
        self._connection = connection
        self._server = server
        self._news = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Until there is a change, or for that long. Raises `Unavailable` when nothing more can be heard."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            async with translated():  # a network that swallows packets says nothing by itself
                await self._connection.execute("SELECT")
        self._news.clear()
        if self._connection.is_closed():
            raise Unavailable("the connection to the database has ended")

    def heard(self, *_: object) -> None:
        self._news.set()

    def ended(self, *_: object) -> None:
        self._news.set()


@asynccontextmanager
async def _block(connection: "asyncpg.Connection[Any]", *, readonly: bool) -> AsyncIterator[None]:
    """A transaction: readers have one view of everything, writers see what was committed before."""
    isolation = "repeatable_read" if readonly else "read_committed"
    transaction = connection.transaction(isolation=isolation, readonly=readonly)
    async with translated():
        await transaction.start()
    try:
        yield
    except BaseException:
        if not connection.is_closed():
            async with translated():
                await transaction.rollback()
        raise
    async with translated():
        await transaction.commit()
