"""What it takes to get from one configuration to another: entities to create, change and delete.

Entities are the same if they have the same name (or key, or scope), whatever their ids: those of a running
node may have been made up there. Those that have no counterpart by name are the same if they have the same
id: they were given another name.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from tollhouse.model.entities import ENTITIES, Kind, as_json
from tollhouse.model.snapshot import Snapshot

Row: TypeAlias = dict[str, Any]
Action: TypeAlias = Literal["create", "update", "delete"]

_INSTANTS: Final = ("created_at", "updated_at")


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs; `before` and `after` are JSON values."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Change:
    """One entity that differs. `before` is None for a new one, `after` for one that goes."""

    kind: Kind
    action: Action
    #: the name by which people know it
    name: str
    before: Row | None
    after: Row | None
    fields: tuple[FieldChange, ...] = ()

    @property
    def id(self) -> str:
        row = self.after or self.before or {}
        return str(row["id"])


def difference(
    running: Snapshot, wanted: Snapshot, tags: Collection[str] = (), flavor: str = "traditional_compatible"
) -> list[Change]:
    """The changes that make `wanted` of `running`, in an order in which they can be made: parents are
    created before their children, and deleted after them.

    With `tags` only entities that have all of these are touched.
    """
    ids: dict[str, str] = {}
    names: dict[str, str] = {}
    changes: list[Change] = []
    gone: list[Change] = []
    for kind in ENTITIES.values():
        known = {_identity(kind, row): row for row in rows(running, kind, flavor)}
        left = dict(known)
        asked = {
            _identity(kind, row): row for row in (_rebased(kind, e, ids) for e in rows(wanted, kind, flavor))
        }
        renamed = {row["id"]: identity for identity, row in known.items() if identity not in asked}
        for identity, row in asked.items():
            earlier = left.pop(identity if identity in known else renamed.get(row["id"], identity), None)
            ids[row["id"]] = earlier["id"] if earlier else row["id"]
            row["id"] = ids[row["id"]]
            names[row["id"]] = _shown(kind, row, names)
            if _selected(row, tags):
                changes.extend(_compared(kind, names[row["id"]], earlier, row))
        for row in left.values():
            names[row["id"]] = _shown(kind, row, names)
            if _selected(row, tags):
                gone.append(Change(kind, "delete", names[row["id"]], row, None))
    return [*changes, *reversed(gone)]


def applied(
    running: Snapshot, changes: Iterable[Change], flavor: str = "traditional_compatible"
) -> dict[str, list[Row]]:
    """The entities of every kind after the changes."""
    after = {name: {row["id"]: row for row in rows(running, kind, flavor)} for name, kind in ENTITIES.items()}
    for change in changes:
        if change.after is None:
            del after[change.kind.name][change.id]
        else:
            after[change.kind.name][change.id] = change.after
    return {name: list(entities.values()) for name, entities in after.items()}


def rows(snapshot: Snapshot, kind: Kind, flavor: str) -> Iterator[Row]:
    """The entities of a kind as JSON values."""
    return (as_json(entity, flavor) for entity in getattr(snapshot, kind.name))


def _identity(kind: Kind, row: Mapping[str, Any]) -> tuple[Any, ...]:
    if kind.composite:
        return tuple(_plain(row.get(name)) for name in kind.composite)
    if kind.lookup is not None and row.get(kind.lookup) is not None:
        return (kind.lookup, row[kind.lookup])
    return ("id", row["id"])


def _plain(value: Any) -> Any:
    """A reference as its id."""
    return value["id"] if isinstance(value, Mapping) else value


def _rebased(kind: Kind, row: Row, ids: Mapping[str, str]) -> Row:
    """The row with references to what they are called in the running configuration."""
    for field in kind.references:
        reference = row.get(field)
        if reference is not None:
            row[field] = {"id": ids.get(reference["id"], reference["id"])}
    return row


def _selected(row: Mapping[str, Any], tags: Collection[str]) -> bool:
    return set(tags) <= set(row.get("tags") or ())


def _compared(kind: Kind, name: str, before: Row | None, after: Row) -> Iterator[Change]:
    if before is None:
        yield Change(kind, "create", name, None, after)
        return
    fields = tuple(_fields("", before, after))
    if fields:
        yield Change(kind, "update", name, before, {**after, "created_at": before["created_at"]}, fields)


def _fields(prefix: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldChange]:
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if old == new or (not prefix and name in _INSTANTS):
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _fields(f"{prefix}{name}.", old, new)
        else:
            yield FieldChange(prefix + name, old, new)


def _shown(kind: Kind, row: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """What people call an entity: its name, else what it belongs to, else its id."""
    label = row.get(kind.lookup) if kind.lookup and kind.lookup != "key" else None
    own = label or row.get("name") or row.get("username") or row.get("target") or ""
    owners = [
        f"{field} {names.get(row[field]['id'], row[field]['id'])}"
        for field in kind.references
        if row.get(field)
    ]
    if not own and not owners:
        return str(row["id"])
    return " of ".join(filter(None, (own, ", ".join(owners)))) if owners and not label else str(own)
