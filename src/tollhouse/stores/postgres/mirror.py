"""What a process knows of the database: read once, then kept up with what has changed since."""

import hashlib
import uuid
from bisect import bisect_left, insort
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, Final

import asyncpg
import msgspec

from tollhouse.model.entities import ENTITIES, Kind
from tollhouse.model.snapshot import Snapshot
from tollhouse.stores.postgres.tables import table_of
from tollhouse.stores.store import StoreError

_ROWS: Final = 2000
#: changes of a kind that are put in their places one by one
_FEW: Final = 1000
_by_id: Final = attrgetter("id")


class Mirror:
    """Entities by kind and id, as of a version of the database."""

    def __init__(self) -> None:
        self._database: uuid.UUID | None = None
        self._version = -1
        self._snapshot = Snapshot()

    def forget(self) -> None:
        """Lets the next look read everything."""
        self._database = None

    async def looked(self, connection: "asyncpg.Connection[Any]") -> Snapshot:
        """The database as one configuration; the same object as before if nothing has changed. Wants a
        transaction with one view of everything."""
        state = await connection.fetchrow("SELECT id, version FROM tollhouse_state")
        if state is None:
            raise asyncpg.UndefinedTableError("tollhouse_state is empty")
        database, version = state["id"], state["version"]
        if database == self._database and version == self._version:
            return self._snapshot
        if database == self._database and await self._is_near(connection, version):
            collections = await self._changed(connection)
        else:
            collections = {kind.name: await _all(connection, kind) for kind in ENTITIES.values()}
        self._snapshot = replace(self._snapshot, hash=hash_of(database, version), **collections)
        self._database, self._version = database, version
        return self._snapshot

    async def _is_near(self, connection: "asyncpg.Connection[Any]", version: int) -> bool:
        """Whether every change since is still written down. Restored from a backup it may also be behind."""
        if version <= self._version:
            return False
        oldest = await connection.fetchval("SELECT min(version) FROM tollhouse_changes")
        return oldest is not None and oldest <= self._version + 1

    async def _changed(self, connection: "asyncpg.Connection[Any]") -> dict[str, tuple[Any, ...]]:
        """The collections in which something has changed."""
        query = (
            "SELECT kind, array_agg(DISTINCT id) AS ids FROM tollhouse_changes "
            "WHERE version > $1 GROUP BY kind"
        )
        collections = {}
        for record in await connection.fetch(query, self._version):
            kind = ENTITIES.get(record["kind"])
            if kind is None:
                continue  # of a newer version of Tollhouse
            ids = frozenset(map(str, record["ids"]))
            fresh = [each async for each in _read(connection, kind, "WHERE id = ANY($1)", record["ids"])]
            collections[kind.name] = _merged(getattr(self._snapshot, kind.name), ids, fresh)
        return collections


def _merged(entities: tuple[Any, ...], ids: Collection[str], fresh: Sequence[Any]) -> tuple[Any, ...]:
    """Entities in the order of their ids, those with one of these ids exchanged for the fresh ones."""
    if len(ids) > _FEW:
        return tuple(sorted([*(each for each in entities if each.id not in ids), *fresh], key=_by_id))
    merged = list(entities)
    for id_ in ids:
        place = bisect_left(merged, id_, key=_by_id)
        if place < len(merged) and merged[place].id == id_:
            del merged[place]
    for entity in fresh:
        insort(merged, entity, key=_by_id)
    return tuple(merged)


def hash_of(database: uuid.UUID, version: int) -> str:
    """What tells one configuration from another; the same on every node that serves it."""
    return hashlib.md5(f"{database}:{version}".encode(), usedforsecurity=False).hexdigest()


async def _all(connection: "asyncpg.Connection[Any]", kind: Kind) -> tuple[Any, ...]:
    return tuple(sorted([entity async for entity in _read(connection, kind, "")], key=_by_id))


async def _read(
    connection: "asyncpg.Connection[Any]", kind: Kind, where: str, *arguments: Any
) -> AsyncIterator[Any]:
    decoder = msgspec.json.Decoder(list[kind.cls])  # type: ignore[name-defined]
    query = f"SELECT data FROM {table_of(kind).name} {where}"  # noqa: S608 - our names
    cursor = await connection.cursor(query, *arguments)
    while records := await cursor.fetch(_ROWS):
        try:
            entities = decoder.decode(f"[{','.join(record['data'] for record in records)}]")
        except msgspec.MsgspecError as error:
            raise StoreError(
                f"the database holds {kind.name} that this version cannot read: {error}"
            ) from error
        for entity in entities:
            yield entity
