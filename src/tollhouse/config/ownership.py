"""One declared owner for each entity: a file, or the Admin API.

What the Admin API made stays the API's until a file declares it: a sync leaves it alone, with whatever it
belongs to, as decK leaves alone what does not have its tags. What a file declares belongs to the file from
then on, whoever made it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tollhouse.config.difference import Change, difference
from tollhouse.model.entities import ENTITIES
from tollhouse.model.snapshot import Snapshot
from tollhouse.stores.store import ADMIN_API

#: owners by the name of the kind and the id
Owners: TypeAlias = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Division:
    """What a file may change, what it leaves alone, and what becomes its own without changing."""

    changes: Sequence[Change]
    left_alone: Sequence[Change] = ()
    #: ids by the name of the kind
    adopted: Mapping[str, Collection[str]] | None = None


def divided(
    changes: Sequence[Change], owners: Owners, running: Snapshot, tags: Collection[str] = ()
) -> Division:
    """The changes that lead to a file, without the deletion of what is the Admin API's."""
    spared: list[Change] = []
    needed: set[str] = set()
    for change in changes:  # deletions come children first
        if change.action != "delete":
            continue
        if owners.get(change.kind.name, {}).get(change.id) == ADMIN_API or change.id in needed:
            spared.append(change)
            row = change.before or {}
            needed |= {row[field]["id"] for field in change.kind.references if row.get(field)}
    deleted = {(change.kind.name, change.id) for change in changes if change.action == "delete"}
    adopted = {
        name: [
            entity.id
            for entity in getattr(running, name)
            if owners.get(name, {}).get(entity.id) == ADMIN_API
            and (name, entity.id) not in deleted
            and set(tags) <= set(entity.tags or ())
        ]
        for name in ENTITIES
    }
    kept = {id(change) for change in spared}
    return Division(
        [change for change in changes if id(change) not in kept],
        spared,
        {name: ids for name, ids in adopted.items() if ids},
    )


def names_of(
    snapshot: Snapshot, owners: Owners, owner: str, flavor: str = "traditional_compatible"
) -> list[str]:
    """The kinds and names of an owner's entities."""
    return [
        f"{change.kind.name} {change.name}"
        for change in difference(Snapshot(), snapshot, (), flavor)
        if owners.get(change.kind.name, {}).get(change.id) == owner
    ]
