"""Reading and changing entities on one connection, inside a transaction of the database."""

import base64
import binascii
import uuid
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import msgspec

from tollhouse.model.entities import Kind
from tollhouse.stores.postgres.faults import refused_deletion, refused_write, translated
from tollhouse.stores.postgres.tables import OWNER, Table, digest, encoded, table_of
from tollhouse.stores.store import Page, Row, Stale, StoreError, Tagged

_COPY_ROWS: Final = 5000


class PostgresReader:
    """`stores.store.Reader` on a connection."""

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        self._connection = connection

    async def page(
        self,
        kind: Kind,
        *,
        size: int,
        offset: str | None = None,
        tagged: Tagged | None = None,
        where: Mapping[str, str] | None = None,
    ) -> Page:
        table = table_of(kind)
        conditions, arguments = ["true"], list[Any]()
        for test, value in _tests(table, offset, tagged, where or {}):
            arguments.append(value)
            conditions.append(f"{test.format(len(arguments))}")
        query = (
            f"SELECT id, data FROM {table.name} WHERE {' AND '.join(conditions)} "  # noqa: S608 - our names
            f"ORDER BY id LIMIT {size + 1:d}"
        )
        async with self._watched():
            records = await self._connection.fetch(query, *arguments)
        rows = [msgspec.json.decode(record["data"]) for record in records[:size]]
        return Page(rows, _offset(records[size - 1]["id"]) if len(records) > size else None)

    async def find(self, kind: Kind, field: str, value: str) -> Row | None:
        table = table_of(kind)
        sought: Any = _uuid(value) if field == "id" else digest(encoded(value))
        if sought is None:
            return None
        column = "id" if field == "id" else f"{field}_digest"
        if column != "id" and column not in table.unique:
            raise ValueError(f"{kind.name}.{field} is not unique")
        query = f"SELECT data FROM {table.name} WHERE {column} = $1"  # noqa: S608 - our names
        async with self._watched():
            data = await self._connection.fetchval(query, sought)
        return None if data is None else msgspec.json.decode(data, type=dict[str, Any])

    async def owners(self, kind: Kind, ids: Collection[str] | None = None) -> Mapping[str, str]:
        wanted = None if ids is None else [found for id_ in ids if (found := _uuid(id_)) is not None]
        query = f"SELECT id, owner FROM {table_of(kind).name} WHERE $1::uuid[] IS NULL OR id = ANY($1)"  # noqa: S608
        async with self._watched():
            records = await self._connection.fetch(query, wanted)
        return {str(record["id"]): record["owner"] for record in records}

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        async with translated():
            yield


class PostgresTransaction(PostgresReader):
    """`stores.store.Transaction`. After an error nothing of it can be committed any longer."""

    def __init__(self, connection: "asyncpg.Connection[Any]", owner: str) -> None:
        super().__init__(connection)
        self._owner = owner
        self.failure: BaseException | None = None

    async def insert(self, kind: Kind, row: Row) -> None:
        table = table_of(kind)
        async with self._watched():
            try:
                await self._connection.execute(table.insert, *table.record(row), self._owner)
            except asyncpg.IntegrityConstraintViolationError as error:
                raise refused_write(row, error) from error

    async def insert_all(self, kind: Kind, rows: Sequence[Row]) -> None:
        """Inserts many rows at once. Raises `UniqueViolation`, `ForeignViolation`."""
        table = table_of(kind)
        for start in range(0, len(rows), _COPY_ROWS):
            slice_ = rows[start : start + _COPY_ROWS]
            async with self._watched():
                try:
                    await self._connection.copy_records_to_table(
                        table.name,
                        records=((*table.record(row), self._owner) for row in slice_),
                        columns=(*table.columns, OWNER),
                    )
                except asyncpg.IntegrityConstraintViolationError as error:
                    raise refused_write(_culprit(table, slice_, error), error) from error

    async def replace(self, kind: Kind, row: Row, *, before: Row) -> None:
        table = table_of(kind)
        query = f"SELECT data FROM {table.name} WHERE id = $1 FOR UPDATE"  # noqa: S608 - our names
        async with self._watched():
            data = await self._connection.fetchval(query, _uuid(row["id"]))
            if data is None or table.entity(msgspec.json.decode(data)) != table.entity(before):
                raise Stale(
                    f"the entity {row['id']} of {kind.name} is no longer what it was when it was read"
                )
            try:
                await self._connection.execute(table.update, *table.record(row))
            except asyncpg.IntegrityConstraintViolationError as error:
                raise refused_write(row, error) from error

    async def own(self, kind: Kind, ids: Collection[str]) -> None:
        query = f"UPDATE {table_of(kind).name} SET owner = $2 WHERE id = ANY($1) AND owner <> $2"  # noqa: S608
        async with self._watched():
            await self._connection.execute(query, [_uuid(id_) for id_ in ids], self._owner)

    async def delete(self, kind: Kind, id_: str) -> bool:
        known = _uuid(id_)
        if known is None:
            return False
        async with self._watched():
            try:
                done = await self._connection.execute(
                    f"DELETE FROM {table_of(kind).name} WHERE id = $1",  # noqa: S608 - our names
                    known,
                )
            except asyncpg.IntegrityConstraintViolationError as error:
                raise refused_deletion(error) from error
        return bool(done == "DELETE 1")

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        try:
            async with translated():
                yield
        except BaseException as failure:
            self.failure = failure
            raise

    def check(self) -> None:
        """Raises `StoreError` if something failed and whoever asked for it went on."""
        if self.failure is not None:
            raise StoreError("nothing was changed, because a part of it failed") from self.failure


def _tests(
    table: Table, offset: str | None, tagged: Tagged | None, where: Mapping[str, str]
) -> Iterable[tuple[str, Any]]:
    if offset is not None:
        yield "id > ${}", _id_of(offset)
    if tagged is not None:
        yield "tags @> ${}" if tagged.every else "tags && ${}", list(tagged.tags)
    for field, id_ in where.items():
        if field not in table.kind.references:
            raise ValueError(f"{table.kind.name}.{field} is not a foreign key")
        yield f"{field}_id = ${{}}", _uuid(id_)


def _culprit(table: Table, rows: Sequence[Row], error: asyncpg.IntegrityConstraintViolationError) -> Row:
    """Which of many rows the database means: it tells the value of the column."""
    detail = error.detail or ""
    for row in rows:
        for value in table.record(row):
            shown = f"\\x{value.hex()}" if isinstance(value, bytes) else value
            if isinstance(shown, str) and f")=({shown})" in detail:
                return row
    return rows[0]


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if len(text) == 36 else None
    except ValueError:
        return None


def _offset(id_: uuid.UUID) -> str:
    return base64.urlsafe_b64encode(id_.bytes).decode().rstrip("=")


def _id_of(offset: str) -> uuid.UUID:
    try:
        return uuid.UUID(bytes=base64.b64decode(offset + "==", altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise ValueError(f"no page ended with the offset '{offset}'") from None
