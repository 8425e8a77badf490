"""Credentials with a time to live leave a store when it is over."""

from collections.abc import Mapping
from typing import Any, Final

from tollhouse.model.entities import ENTITIES, Kind
from tollhouse.model.snapshot import Snapshot
from tollhouse.stores.store import Store

_LIVING: Final = tuple(kind for kind in ENTITIES.values() if "ttl" in kind.schema.fields)


class Expiring:
    """What of a snapshot ends when; looked up once for each snapshot."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._ends: list[tuple[int, Kind, str]] = []

    def over(self, snapshot: Snapshot, now: float) -> list[tuple[Kind, str]]:
        """Kinds and ids of what has ended at `now`, in seconds since the epoch."""
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self._ends = [
                (entity.created_at + entity.ttl, kind, entity.id)
                for kind in _LIVING
                for entity in getattr(snapshot, kind.name)
                if entity.ttl is not None
            ]
        return [(kind, id_) for end, kind, id_ in self._ends if end <= now]


async def remove_expired(store: Store, ended: list[tuple[Kind, str]], now: float) -> int:
    """Deletes those that are still there and still over; returns how many. Raises `StoreError`."""
    removed = 0
    async with store.transaction() as transaction:
        for kind, id_ in ended:
            row = await transaction.find(kind, "id", id_)
            if row is not None and _is_over(row, now):
                removed += await transaction.delete(kind, id_)
    return removed


def _is_over(row: Mapping[str, Any], now: float) -> bool:
    return row.get("ttl") is not None and row["created_at"] + row["ttl"] <= now
