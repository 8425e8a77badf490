"""Values by key in the database, for all its nodes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import asyncpg

from tollhouse.stores.postgres.faults import translated
from tollhouse.stores.store import StoreError
from tollhouse.stores.values import ValuesError

TABLE: Final = """
CREATE TABLE tollhouse_values (key text PRIMARY KEY, value bytea NOT NULL, ends_at timestamptz);
"""
DROP_TABLE: Final = "DROP TABLE tollhouse_values"

_GET: Final = "SELECT value FROM tollhouse_values WHERE key = $1 AND (ends_at IS NULL OR ends_at > now())"
_ENDS: Final = "now() + make_interval(secs => $3)"
_PUT: Final = f"""
INSERT INTO tollhouse_values VALUES ($1, $2, {_ENDS})
ON CONFLICT (key) DO UPDATE SET value = excluded.value, ends_at = excluded.ends_at
"""  # noqa: S608 - a text of ours
#: one that is over counts as none
_ADD: Final = f"{_PUT} WHERE tollhouse_values.ends_at <= now()"
_KEYS: Final = """
SELECT key FROM tollhouse_values
WHERE starts_with(key, $1) AND (ends_at IS NULL OR ends_at > now()) ORDER BY key
"""


class DatabaseValues:
    """`stores.values.Values`. `connected` lends a connection."""

    def __init__(
        self, connected: Callable[[], AbstractAsyncContextManager["asyncpg.Connection[Any]"]]
    ) -> None:
        self._lend = connected

    async def get(self, key: str) -> bytes | None:
        async with self._connection() as connection:
            found: bytes | None = await connection.fetchval(_GET, key)
        return found

    async def put(self, key: str, value: bytes, seconds: float | None = None) -> None:
        async with self._connection() as connection:
            await connection.execute(_PUT, key, value, seconds)

    async def add(self, key: str, value: bytes, seconds: float) -> bool:
        async with self._connection() as connection:
            done: str = await connection.execute(_ADD, key, value, seconds)
        return done.endswith(" 1")

    async def delete(self, key: str) -> None:
        async with self._connection() as connection:
            await connection.execute("DELETE FROM tollhouse_values WHERE key = $1", key)

    async def keys(self, prefix: str) -> list[str]:
        async with self._connection() as connection:
            return [record["key"] for record in await connection.fetch(_KEYS, prefix)]

    def close(self) -> None:
        """Connections are lent for a call each."""

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["asyncpg.Connection[Any]"]:
        try:
            async with self._lend() as connection, translated():
                yield connection
        except StoreError as error:
            raise ValuesError(str(error)) from error
