"""Leading a store from what it holds to a wanted configuration, all of it in one transaction or nothing."""

from collections.abc import Collection, Mapping
from itertools import groupby
from typing import Final

from tollhouse.config.difference import Action, Change, Row, difference
from tollhouse.model.entities import ENTITIES, Kind
from tollhouse.model.snapshot import Snapshot
from tollhouse.stores.store import ADMIN_API, Stale, Store, Transaction

#: rows that are sent at once
_ROWS: Final = 5000


async def sync(
    store: Store,
    wanted: Snapshot,
    tags: Collection[str] = (),
    *,
    flavor: str = "traditional_compatible",
    deletes: bool = True,
    owner: str = ADMIN_API,
) -> list[Change]:
    """Creates, updates and deletes what it takes; with `tags` only entities that have all of these. Returns
    the changes that were made. Raises what `Transaction` does; then nothing has changed."""
    async with store.transaction(owner) as transaction:
        # Nobody else changes anything until the end of the block, so this is what is there.
        changes = difference(await store.snapshot(), wanted, tags, flavor)
        changes = [change for change in changes if deletes or change.action != "delete"]
        await _carry_out(transaction, changes)
    return changes


async def apply(
    store: Store,
    running: Snapshot,
    changes: Collection[Change],
    owner: str = ADMIN_API,
    adopted: Mapping[str, Collection[str]] | None = None,
) -> None:
    """Makes changes that somebody has looked at; what they create or update belongs to the owner from then
    on, and so do the adopted, ids by the name of their kind. Raises `Stale` if they are not to what the store
    holds by now, and what `Transaction` does; then nothing has changed."""
    async with store.transaction(owner) as transaction:
        if (await store.snapshot()).hash != running.hash:
            raise Stale("somebody else has changed the configuration meanwhile: look again")
        await _carry_out(transaction, changes)
        for kind in ENTITIES.values():
            updated = [each.id for each in changes if each.kind is kind and each.action == "update"]
            if ids := [*updated, *(adopted or {}).get(kind.name, ())]:
                await transaction.own(kind, ids)


async def _carry_out(transaction: Transaction, changes: Collection[Change]) -> None:
    """Makes the changes in their order, those of a kind together where that is faster."""
    vacated = _vacated(changes)
    for change in changes:
        if change.before is not None and change.id in vacated:
            await transaction.replace(change.kind, vacated[change.id], before=change.before)
    for (action, kind), group in groupby(changes, key=_sort):
        if action == "create":
            rows = [change.after for change in group if change.after is not None]
            for start in range(0, len(rows), _ROWS):
                await transaction.insert_all(kind, rows[start : start + _ROWS])
            continue
        for change in group:
            if change.after is not None and change.before is not None:
                await transaction.replace(kind, change.after, before=vacated.get(change.id, change.before))
            else:
                await transaction.delete(kind, change.id)


def _vacated(changes: Collection[Change]) -> Mapping[str, Row]:
    """Entities that give up a value which another one takes over: as they are in between, by their ids. What
    goes is deleted last, because of what depends on it, so it has to give up such values before."""
    takers = {
        (change.kind.name, field, change.after[field]): change.id
        for change in changes
        if change.after is not None
        for field in change.kind.unique
        if change.after.get(field) is not None
    }
    vacated: dict[str, Row] = {}
    for change in changes:
        for field in change.kind.unique if change.before is not None else ():
            row = vacated.get(change.id) or dict(change.before or {})
            if takers.get((change.kind.name, field, row.get(field)), change.id) != change.id:
                vacated[change.id] = {**row, field: f"moving-{change.id}"}
    return vacated


def _sort(change: Change) -> tuple[Action, Kind]:
    return change.action, change.kind
