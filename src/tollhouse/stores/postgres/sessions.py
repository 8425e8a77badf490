"""Sessions of callers in the database, so that all nodes know them and each can end them.

A worker has one connection for them. While the database is away nobody is known, and nobody waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, TypeVar

import asyncpg

from tollhouse.pdk.tasks import Tasks
from tollhouse.stores.postgres.faults import translated
from tollhouse.stores.postgres.server import Server, connect
from tollhouse.stores.store import StoreError
from tollhouse.stores.watch import Watch

T = TypeVar("T")

TABLE: Final = """
CREATE TABLE tollhouse_sessions (name text PRIMARY KEY, value bytea NOT NULL, ends_at timestamptz NOT NULL);
CREATE INDEX tollhouse_sessions_ends_at ON tollhouse_sessions (ends_at);
"""
DROP_TABLE: Final = "DROP TABLE tollhouse_sessions"
_FIND: Final = "SELECT value FROM tollhouse_sessions WHERE name = $1 AND ends_at > now()"
_PUT: Final = """
INSERT INTO tollhouse_sessions (name, value, ends_at) VALUES ($1, $2, now() + make_interval(secs => $3))
ON CONFLICT (name) DO UPDATE SET value = excluded.value, ends_at = excluded.ends_at
"""
_FORGET: Final = "DELETE FROM tollhouse_sessions WHERE name = $1"
_CLEAN: Final = "DELETE FROM tollhouse_sessions WHERE ends_at <= now()"
_CLEAN_SECONDS: Final = 60.0
#: after a failure the database is left alone for so long
_PAUSE_SECONDS: Final = 1.0

Connection: TypeAlias = "asyncpg.Connection[Any]"


class DatabaseSessions:
    """`pdk.services.Sessions` of one worker. What is asked for later sees what was put before."""

    def __init__(self, server: Server, watch: Watch, tasks: Tasks, clock: Callable[[], float]) -> None:
        self._server = server
        self._watch = watch
        self._tasks = tasks
        self._clock = clock
        self._connection: Connection | None = None
        #: keeps the order in which things were asked for
        self._turn = asyncio.Lock()
        self._away_until = 0.0
        self._clean_at = 0.0

    async def find(self, name: str) -> bytes | None:
        """The value of that name, `None` if there is none, its time is over or the database is away."""
        found: bytes | None = await self._done(lambda database: database.fetchval(_FIND, name))
        return found

    def put(self, name: str, value: bytes, seconds: float) -> None:
        """Keeps a value for so long, in the background."""
        self._later(lambda database: database.execute(_PUT, name, value, seconds))

    def forget(self, name: str) -> None:
        self._later(lambda database: database.execute(_FORGET, name))

    async def close(self) -> None:
        """Finishes what has been asked for and lets go of the database."""
        async with self._turn:
            if self._connection is not None:
                await self._connection.close(timeout=self._server.timeout)
                self._connection = None

    def _later(self, work: Callable[[Connection], Awaitable[object]]) -> None:
        self._tasks.spawn(self._stored(work), "sessions in the database")

    async def _stored(self, work: Callable[[Connection], Awaitable[object]]) -> None:
        await self._done(work)
        if self._clock() >= self._clean_at:
            self._clean_at = self._clock() + _CLEAN_SECONDS
            await self._done(lambda database: database.execute(_CLEAN))

    async def _done(self, work: Callable[[Connection], Awaitable[T]]) -> T | None:
        """What the work gives, `None` while the database is away."""
        async with self._turn:
            if self._clock() < self._away_until:
                self._watch.refused()
                return None
            try:
                async with translated():
                    if self._connection is None or self._connection.is_closed():
                        self._connection = await connect(self._server)
                        self._watch.came()
                    return await work(self._connection)
            except StoreError as problem:
                self._watch.went(problem)
                self._away_until = self._clock() + _PAUSE_SECONDS
                if self._connection is not None:
                    self._connection.terminate()
                    self._connection = None
                return None
