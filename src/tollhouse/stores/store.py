"""Where entities are kept, and what every store promises.

The Admin API, `tollhouse config` and the control process know stores by these protocols alone. A row is an
entity as JSON-ready values under Kong's field names, checked before and complete: every default filled in,
ids and instants given, foreign keys as `{"id": …}`.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tollhouse.model.entities import Kind
from tollhouse.model.snapshot import Snapshot

Row = Mapping[str, Any]

#: the owner of what was made through the Admin API; that of what a file declares is `file:` and its name
ADMIN_API: Final = "admin-api"


@dataclass(frozen=True, slots=True)
class Tagged:
    """Which tags an entity must have: all of them, or any."""

    tags: tuple[str, ...]
    every: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows in the order of their ids, and where the next page begins; None after the last."""

    rows: Sequence[Row]
    offset: str | None


class StoreError(Exception):
    """A store refused a change, or could not be asked."""


class UniqueViolation(StoreError):
    """Another entity has these values already; `fields` are Kong's, with the values as given."""

    def __init__(self, kind: str, fields: Mapping[str, Any]) -> None:
        super().__init__(f"UNIQUE violation detected on {kind} {dict(fields)}")
        self.kind = kind
        self.fields = fields


class ForeignViolation(StoreError):
    """A field points to an entity that does not exist."""

    def __init__(self, kind: str, field: str, reference: str, id_: str) -> None:
        super().__init__(f"{kind}.{field}: there is no entity of {reference} with id {id_}")
        self.kind = kind
        self.field = field
        self.reference = reference
        self.id = id_


class Referenced(StoreError):
    """An entity cannot be deleted while others point to it."""

    def __init__(self, kind: str, referrer: str) -> None:
        super().__init__(f"an existing '{referrer}' entity references this '{kind}' entity")
        self.kind = kind
        self.referrer = referrer


class Stale(StoreError):
    """Somebody else changed the entity since it was read."""


class ReadOnly(StoreError):
    """The store changes by whole configurations alone."""


class Unavailable(StoreError):
    """The store cannot be reached."""


class Reader(Protocol):
    """One consistent view of what is kept."""

    async def page(
        self,
        kind: Kind,
        *,
        size: int,
        offset: str | None = None,
        tagged: Tagged | None = None,
        where: Mapping[str, str] | None = None,
    ) -> Page:
        """At most `size` rows from `offset`; `where` maps foreign key fields to the ids they must hold.
        Raises `ValueError` for an offset that no page ended with."""
        ...

    async def find(self, kind: Kind, field: str, value: str) -> Row | None:
        """The row whose id or unique field has that value."""
        ...

    async def owners(self, kind: Kind, ids: Collection[str] | None = None) -> Mapping[str, str]:
        """Who declared entities, by their ids: those with these ids, or all. Empty in a store whose
        entities all have the same owner."""
        ...


class Transaction(Reader, Protocol):
    """Changes that become visible together, or not at all."""

    async def insert(self, kind: Kind, row: Row) -> None:
        """Raises `UniqueViolation`, `ForeignViolation`."""
        ...

    async def insert_all(self, kind: Kind, rows: Sequence[Row]) -> None:
        """Many rows at once. Raises `UniqueViolation`, `ForeignViolation`."""
        ...

    async def replace(self, kind: Kind, row: Row, *, before: Row) -> None:
        """Puts a row in the place of the one with its id. Raises `Stale` if that is no longer `before`,
        `UniqueViolation`, `ForeignViolation`."""
        ...

    async def own(self, kind: Kind, ids: Collection[str]) -> None:
        """Makes the owner of this transaction that of these rows."""
        ...

    async def delete(self, kind: Kind, id_: str) -> bool:
        """Whether there was one. Rows that belong to it go with it, as their `on_delete` says. Raises
        `Referenced`."""
        ...


class Store(Protocol):
    """A place for entities."""

    @property
    def read_only(self) -> bool:
        """Kong's DB-less mode: entities change by whole configurations alone."""
        ...

    def reading(self) -> AbstractAsyncContextManager[Reader]:
        """Raises `Unavailable`."""
        ...

    def transaction(self, owner: str = ADMIN_API) -> AbstractAsyncContextManager[Transaction]:
        """What it inserts belongs to the owner. Commits at the end of the block, rolls back on an exception.
        Raises `Unavailable`. That of a read-only store reads; its changes raise `ReadOnly`."""
        ...

    async def snapshot(self) -> Snapshot:
        """All entities, as one configuration. Raises `Unavailable`."""
        ...
