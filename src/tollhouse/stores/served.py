"""The entities of the snapshot that is being served: Kong's DB-less mode.

Indexes are made when somebody first asks for them and live as long as their snapshot, so a configuration
that nobody reads costs nothing, and one of 100,000 consumers is paged through at once.
"""

import base64
import binascii
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

from tollhouse.model.entities import Kind, as_json
from tollhouse.model.snapshot import Snapshot
from tollhouse.stores.store import ADMIN_API, Page, ReadOnly, Row, Tagged


class SnapshotStore:
    """A read-only store over whatever snapshot is current."""

    read_only = True

    def __init__(self, current: Callable[[], Snapshot], flavor: str) -> None:
        self._current = current
        self._flavor = flavor
        self._indexed: _Indexed | None = None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["_Reader"]:
        yield _Reader(self._index(), self._flavor)

    @asynccontextmanager
    async def transaction(self, owner: str = ADMIN_API) -> AsyncIterator["_Refusing"]:
        yield _Refusing(self._index(), self._flavor)

    async def snapshot(self) -> Snapshot:
        return self._current()

    def _index(self) -> "_Indexed":
        snapshot = self._current()
        if self._indexed is None or self._indexed.snapshot is not snapshot:
            self._indexed = _Indexed(snapshot)
        return self._indexed


class _Indexed:
    """A snapshot with ways to find things in it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._kinds: dict[str, _Entities] = {}

    def of(self, kind: Kind) -> "_Entities":
        if kind.name not in self._kinds:
            self._kinds[kind.name] = _Entities(getattr(self.snapshot, kind.name))
        return self._kinds[kind.name]


class _Entities:
    """The entities of one kind."""

    def __init__(self, entities: Sequence[Any]) -> None:
        self._entities = entities
        self._by_field: dict[str, dict[Any, Any]] = {}
        self._by_parent: dict[str, dict[str, list[Any]]] = {}

    @cached_property
    def ordered(self) -> list[Any]:
        return sorted(self._entities, key=_id)

    def find(self, field: str, value: str) -> Any:
        if field not in self._by_field:
            self._by_field[field] = {getattr(entity, field): entity for entity in self._entities}
        return self._by_field[field].get(value)

    def where(self, conditions: Mapping[str, str]) -> Sequence[Any]:
        """Those that point to all of these, in the order of their ids."""
        (field, parent), *more = conditions.items()
        if field not in self._by_parent:
            children = self._by_parent[field] = {}
            for entity in self.ordered:
                if (reference := getattr(entity, field)) is not None:
                    children.setdefault(reference.id, []).append(entity)
        found: Sequence[Any] = self._by_parent[field].get(parent, ())
        for name, id_ in more:
            found = [each for each in found if getattr(getattr(each, name), "id", None) == id_]
        return found


class _Reader:
    """One snapshot, read."""

    def __init__(self, index: _Indexed, flavor: str) -> None:
        self._index = index
        self._flavor = flavor

    async def page(
        self,
        kind: Kind,
        *,
        size: int,
        offset: str | None = None,
        tagged: Tagged | None = None,
        where: Mapping[str, str] | None = None,
    ) -> Page:
        entities = self._index.of(kind)
        found = entities.where(where) if where else entities.ordered
        start = bisect_right(found, read_offset(offset), key=_id) if offset is not None else 0
        taken: list[Any] = []
        for place in range(start, len(found)):
            if tagged is not None and not has_tags(found[place].tags, tagged):
                continue
            if len(taken) == size:
                return Page(self._rows(taken), write_offset(taken[-1].id))
            taken.append(found[place])
        return Page(self._rows(taken), None)

    async def find(self, kind: Kind, field: str, value: str) -> Row | None:
        entity = self._index.of(kind).find(field, value)
        return as_json(entity, self._flavor) if entity is not None else None

    async def owners(self, kind: Kind, ids: Collection[str] | None = None) -> Mapping[str, str]:
        return {}

    def _rows(self, entities: Sequence[Any]) -> list[Row]:
        return [as_json(entity, self._flavor) for entity in entities]


class _Refusing(_Reader):
    """A transaction that changes nothing."""

    async def insert(self, kind: Kind, row: Row) -> None:
        raise ReadOnly

    async def insert_all(self, kind: Kind, rows: Sequence[Row]) -> None:
        raise ReadOnly

    async def replace(self, kind: Kind, row: Row, *, before: Row) -> None:
        raise ReadOnly

    async def own(self, kind: Kind, ids: Collection[str]) -> None:
        raise ReadOnly

    async def delete(self, kind: Kind, id_: str) -> bool:
        raise ReadOnly


def has_tags(tags: Sequence[str] | None, wanted: Tagged) -> bool:
    """Whether an entity with these tags is meant."""
    held = frozenset(tags or ())
    return held.issuperset(wanted.tags) if wanted.every else not held.isdisjoint(wanted.tags)


def write_offset(id_: str) -> str:
    """Where the page after the one that ends with this id begins."""
    return base64.urlsafe_b64encode(id_.encode()).decode().rstrip("=")


def read_offset(offset: str) -> str:
    """The id that the page before ended with. Raises `ValueError`."""
    try:
        padded = offset.encode("ascii") + b"=" * (-len(offset) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise ValueError(f"'{offset}' is no offset") from error


def _id(entity: Any) -> str:
    found: str = entity.id
    return found
