"""How a kind of entity is laid out as a table, and its rows as records."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec

from tollhouse.model.entities import ENTITIES, Kind
from tollhouse.stores.store import Row, StoreError

_PREFIX: Final = "tollhouse_"
#: the column that says who declared an entity
OWNER: Final = "owner"
_DIGEST_BYTES: Final = 20
_encoder: Final = msgspec.json.Encoder(order="sorted")


class Table:
    """The table of one kind: names of its columns and constraints, records from rows."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.name = _PREFIX + kind.name
        #: fields whose values occur once, by the column with their digest
        self.unique: dict[str, tuple[str, ...]] = {f"{name}_digest": (name,) for name in kind.unique}
        if kind.composite:
            # Other fields are another column, so that nodes of two versions can work side by side.
            self.unique[f"together_{digest(encoded(kind.composite)).hex()[:8]}_digest"] = kind.composite
        #: fields that point to other entities, by the column with their id
        self.foreign = {f"{name}_id": name for name in kind.references}
        self.columns = ("id", "data", "tags", *self.unique, *self.foreign)
        self.insert = (
            f"INSERT INTO {self.name} ({', '.join((*self.columns, OWNER))}) "  # noqa: S608
            f"VALUES ({_places(1, len(self.columns) + 1)})"
        )
        assigned = ", ".join(f"{name} = ${number}" for number, name in enumerate(self.columns, 1))
        self.update = f"UPDATE {self.name} SET {assigned} WHERE id = $1"  # noqa: S608

    def record(self, row: Row) -> tuple[Any, ...]:
        """The row as values of `columns`. Raises `StoreError` for one that no snapshot could hold."""
        self.entity(row)
        unique = (self._unique(row, fields) for fields in self.unique.values())
        foreign = (
            reference["id"] if (reference := row.get(name)) else None for name in self.foreign.values()
        )
        return (row["id"], encoded(row).decode(), list(row.get("tags") or ()), *unique, *foreign)

    def entity(self, row: Row) -> Any:
        """The entity that a row stands for; two rows that say the same are equal in this form. Raises
        `StoreError` for a row that no snapshot could hold."""
        try:
            return msgspec.convert(row, self.kind.cls)
        except msgspec.ValidationError as error:
            raise StoreError(f"this is no row of {self.kind.name}: {error}") from error

    def _unique(self, row: Row, fields: Sequence[str]) -> bytes | None:
        if fields == self.kind.composite:
            # As in Kong, fields that are null are alike here.
            return digest(encoded([row.get(name) for name in fields]))
        value = row.get(fields[0])
        return None if value is None else digest(encoded(value))

    def unique_constraint(self, column: str) -> str:
        """The name of the constraint that keeps a column's digests unique."""
        return f"{self.name}_{column}_key"

    def foreign_constraint(self, column: str) -> str:
        """The name of the constraint that keeps a foreign key valid; what a deletion does is part of it."""
        rules = self.kind.schema.fields[self.foreign[column]].rules
        return f"{self.name}_{column}_{rules.get('on_delete', 'restrict')}"


def encoded(value: Any) -> bytes:
    """JSON that is the same for the same values."""
    return _encoder.encode(value)


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


@cache
def table_of(kind: Kind) -> Table:
    """The table of a kind."""
    return Table(kind)


@cache
def constraints() -> Mapping[str, tuple[Table, tuple[str, ...]]]:
    """All constraints by name, each with its table and the fields that it is about."""
    found: dict[str, tuple[Table, tuple[str, ...]]] = {}
    for table in map(table_of, ENTITIES.values()):
        found[f"{table.name}_pkey"] = (table, ("id",))
        for column, fields in table.unique.items():
            found[table.unique_constraint(column)] = (table, fields)
        for column, name in table.foreign.items():
            found[table.foreign_constraint(column)] = (table, (name,))
    return found


def _places(first: int, count: int) -> str:
    return ", ".join(f"${number}" for number in range(first, first + count))
