"""What may be done with entities of any kind: found, made, replaced, changed, deleted.

An operation is one transaction: what it was checked against holds until it is committed, or nothing of it
happens. Nothing here knows a particular kind but for the names that go with a certificate.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from tollhouse.admin import lookups, rules, snis
from tollhouse.admin.access import Actor
from tollhouse.admin.audit import AuditTrail, Change
from tollhouse.admin.bodies import Given
from tollhouse.admin.changes import Checker
from tollhouse.admin.failures import Failure, absent, invalid_unique, of_store, told, unfound
from tollhouse.admin.lookups import Parents
from tollhouse.model.entities import ENTITIES, Kind
from tollhouse.model.judges import Wrong
from tollhouse.stores.store import Page, Reader, Row, Stale, Store, StoreError, Tagged, Transaction

#: how often a change is tried again when somebody else changed the same entity meanwhile
_TRIES: Final = 3
_NOTHING: Final[Mapping[str, str]] = {}


class Recorded:
    """A transaction that remembers what it changed, and changes only what is the actor's."""

    def __init__(self, inner: Transaction, actor: Actor) -> None:
        self._inner = inner
        self._actor = actor
        self.page = inner.page
        self.find = inner.find
        self.owners = inner.owners
        self.changes: list[Change] = []

    async def insert(self, kind: Kind, row: Row) -> None:
        self._note(kind, None, row)
        await self._inner.insert(kind, row)

    async def replace(self, kind: Kind, row: Row, *, before: Row) -> None:
        self._note(kind, before, row)
        await self._inner.replace(kind, row, before=before)

    async def delete(self, kind: Kind, row: Row) -> None:
        self._note(kind, row, None)
        await self._inner.delete(kind, row["id"])

    def _note(self, kind: Kind, before: Row | None, after: Row | None) -> None:
        if not self._actor.may_change(before, after):
            raise told(403, f"'{self._actor.name}' may not change this entity")
        self.changes.append(Change(kind, before, after))


@dataclass(frozen=True, slots=True)
class Call:
    """How an entity is called in a path: by its id, or by another field."""

    text: str
    field: str | None

    @property
    def by(self) -> str | None:
        """The field, unless it is the id."""
        return None if self.field == "id" else self.field

    @property
    def key(self) -> dict[str, str]:
        return {self.field or "id": self.text}


class Entities:
    """Entities of all kinds in a store. All operations raise `Failure`."""

    def __init__(
        self,
        store: Store,
        checker: Checker,
        audit: AuditTrail,
        now: Callable[[], float],
        caught_up: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.store = store
        self.checker = checker
        self.audit = audit
        self.now = now
        #: waits until what has been committed is served
        self._caught_up = caught_up

    # Reading

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reader]:
        """One view of the store, its errors told as Kong does."""
        try:
            async with self.store.reading() as reader:
                yield reader
        except StoreError as error:
            raise of_store(error, "read", ENTITIES["services"]) from error

    async def page(
        self,
        kind: Kind,
        size: int,
        offset: str | None,
        tagged: Tagged | None,
        parents: Mapping[str, str] = _NOTHING,
    ) -> Page:
        """A page of entities as they are shown. Raises `ValueError` for a bad offset."""
        async with self.reading() as reader:
            page = await reader.page(kind, size=size, offset=offset, tagged=tagged, where=parents or None)
            rows = [await self.shown(reader, kind, row) for row in page.rows if not self._expired(row)]
            return Page(rows, page.offset)

    async def all(self, kind: Kind, where: Mapping[str, str]) -> list[dict[str, Any]]:
        """All entities that point there, as they are shown."""
        async with self.reading() as reader:
            return [await self.shown(reader, kind, row) async for row in lookups.every(reader, kind, where)]

    async def ids(self, parents: Parents) -> dict[str, str]:
        """The ids of parents by the fields that point to them."""
        async with self.reading() as reader:
            return await lookups.ids_of(reader, parents)

    async def joined(
        self, kind: Kind, above: tuple[str, Kind, str], field: str, inner: Kind
    ) -> list[dict[str, Any]]:
        """What the entities of a joining kind connect with this one."""
        async with self.reading() as reader:
            where = await lookups.ids_of(reader, (above,))
            found = [
                await reader.find(inner, "id", row[field]["id"])
                async for row in lookups.every(reader, kind, where)
            ]
            return [await self.shown(reader, inner, row) for row in found if row is not None]

    async def get(self, kind: Kind, text: str, parents: Parents) -> dict[str, Any]:
        """One entity as it is shown."""
        call_of(kind, text, parents)
        async with self.reading() as reader:
            where = await lookups.ids_of(reader, parents)
            row = await lookups.find(reader, kind, text, where)
            if row is None or self._expired(row):
                raise lookups.missing(kind, text)
            return await self.shown(reader, kind, row)

    async def shown(self, reader: Reader, kind: Kind, row: Row) -> dict[str, Any]:
        """A row as Kong's Admin API shows it."""
        shown = {name: value for name, value in row.items() if value is not None or name not in kind.hidden}
        if kind.name == "plugins" and (config := self.checker.plugins.config(row["name"])) is not None:
            shown["config"] = config.without_newer(config.echoed(row["config"]))
        if kind.name == "certificates":
            shown["snis"] = await snis.names(reader, row["id"])
        if shown.get("ttl") is not None:
            shown["ttl"] = self._rest(row)
        return shown

    def _rest(self, row: Row) -> int:
        return int(row["created_at"]) + int(row["ttl"]) - int(self.now())

    def _expired(self, row: Row) -> bool:
        return row.get("ttl") is not None and self._rest(row) <= 0

    # Changing

    async def create(self, actor: Actor, kind: Kind, given: Given, parents: Parents) -> dict[str, Any]:
        """A new entity. Those of its fields that `parents` name point there."""
        async with self._changing(actor, "create", kind) as transaction:
            where = await lookups.ids_of(transaction, parents)
            given, names = await self._resolved(transaction, kind, given, where)
            row = self._with_ttl(self.checker.whole(kind, given, self.now()))
            await rules.check(transaction, kind, row)
            await transaction.insert(kind, row)
            await snis.assign(transaction, row, names, self.now())
            return await self.shown(transaction, kind, row)

    async def upsert(
        self, actor: Actor, kind: Kind, text: str, given: Given, parents: Parents
    ) -> dict[str, Any]:
        """Replaces an entity, or makes it."""
        called, named = call_of(kind, text, parents), snis.is_name(kind, text)
        async with self._changing(actor, "create or update", kind, called.by) as transaction:
            where = await lookups.ids_of(transaction, parents)
            stored = await lookups.find(transaction, kind, text, where)
            if stored is None and called.field is None and not named:
                raise absent()
            given, names = await self._resolved(transaction, kind, given, where)
            names = snis.replaced(kind, names, text)
            if called.field is not None and (stored is None or called.by is not None):
                given = Given({**given.values, **called.key}, given.is_form)
            kept = {name: stored[name] for name in ("id", "created_at") if name in stored} if stored else None
            row = self._with_ttl(self.checker.whole(kind, given, self.now(), kept=kept))
            await rules.check(transaction, kind, row)
            if stored is None:
                await transaction.insert(kind, row)
            else:
                await transaction.replace(kind, row, before=stored)
            await snis.assign(transaction, row, names, self.now())
            return await self.shown(transaction, kind, row)

    async def update(
        self, actor: Actor, kind: Kind, text: str, given: Given, parents: Parents
    ) -> dict[str, Any]:
        """Changes what is named of an entity."""
        for _ in range(_TRIES - 1):
            try:
                return await self._update(actor, kind, text, given, parents)
            except Failure as failure:
                if not isinstance(failure.__cause__, Stale):
                    raise
        return await self._update(actor, kind, text, given, parents)

    async def _update(
        self, actor: Actor, kind: Kind, text: str, given: Given, parents: Parents
    ) -> dict[str, Any]:
        called = call_of(kind, text, parents)
        async with self._changing(actor, "update", kind, called.by) as transaction:
            where = await lookups.ids_of(transaction, parents)
            stored = await lookups.find(transaction, kind, text, where)
            if stored is None:
                raise lookups.missing(kind, text) if parents or called.field is None else unfound(called.key)
            given, names = await self._resolved(transaction, kind, given, {})
            row = self.checker.changed(kind, stored, given, self.now())
            if "ttl" in given.values:
                row = self._with_ttl(row)
            await rules.check(transaction, kind, row)
            await transaction.replace(kind, row, before=stored)
            await snis.assign(transaction, row, names, self.now())
            return await self.shown(transaction, kind, row)

    async def delete(self, actor: Actor, kind: Kind, text: str, parents: Parents) -> None:
        """Deletes an entity, with those that belong to it; that there is none fails only under parents."""
        called = call_of(kind, text, parents)
        async with self._changing(actor, "remove", kind, called.by) as transaction:
            where = await lookups.ids_of(transaction, parents)
            stored = await lookups.find(transaction, kind, text, where)
            if stored is None and (parents or snis.is_name(kind, text)):
                raise lookups.missing(kind, text)
            if stored is not None:
                await rules.check_unused(transaction, kind, stored)
                await snis.assign(transaction, stored, snis.none_of(kind), self.now())
                await transaction.delete(kind, stored)

    async def join(self, actor: Actor, kind: Kind, pairs: Sequence[Parents]) -> None:
        """Makes entities of a joining kind, all or none; those that are there already stay."""
        async with self._changing(actor, "create", kind) as transaction:
            for parents in pairs:
                where = await lookups.ids_of(transaction, parents)
                if [row async for row in lookups.every(transaction, kind, where)]:
                    continue
                given = Given({field: {"id": id_} for field, id_ in where.items()})
                await transaction.insert(kind, self.checker.whole(kind, given, self.now()))

    async def part(self, actor: Actor, kind: Kind, parents: Parents) -> None:
        """Deletes the entities of a joining kind that point to all of these."""
        async with self._changing(actor, "remove", kind) as transaction:
            where = await lookups.ids_of(transaction, parents)
            for row in [row async for row in lookups.every(transaction, kind, where)]:
                await transaction.delete(kind, row)

    @asynccontextmanager
    async def _changing(
        self, actor: Actor, verb: str, kind: Kind, by: str | None = None
    ) -> AsyncIterator[Recorded]:
        """A transaction whose changes are in the audit trail before they are committed."""
        noted: Sequence[Change] = ()
        try:
            async with self.store.transaction() as transaction:
                recorded = Recorded(transaction, actor)
                yield recorded
                await self.audit.changes(actor, recorded.changes)
                noted = recorded.changes
        except StoreError as error:
            await self.audit.failed(actor, noted, str(error))
            raise of_store(error, verb, kind, by) from error
        if noted and self._caught_up is not None:
            await self._caught_up()

    async def _resolved(
        self, reader: Reader, kind: Kind, given: Given, where: Mapping[str, str]
    ) -> tuple[Given, list[str] | None]:
        """The input with ids for what it refers to, and the names it gives a certificate."""
        values = await lookups.resolved(reader, kind, given.values)
        values |= {field: {"id": id_} for field, id_ in where.items()}
        names = snis.taken(kind, values)
        rules.check_given(kind, values)
        return Given(values, given.is_form), names

    def _with_ttl(self, row: dict[str, Any]) -> dict[str, Any]:
        """A time to live counts from now; it is kept as one from the creation of the entity."""
        if row.get("ttl") is not None:
            row["ttl"] += int(self.now()) - int(row["created_at"])
        return row


def call_of(kind: Kind, text: str, parents: Parents) -> Call:
    """How this text calls an entity of the kind, under these parents. Raises `Failure` if none can be
    called so."""
    field = lookups.field_of(kind, text, [field for field, _, _ in parents])
    if field is not None and field == kind.lookup:
        judged = kind.schema.fields[field].judge(text)
        if isinstance(judged, Wrong):
            raise invalid_unique(field, str(judged.error))
    return Call(text, field)
