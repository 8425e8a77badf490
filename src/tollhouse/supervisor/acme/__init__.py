"""Certificates by ACME (RFC 8555): asked for in the control process, kept in a storage, shown by workers."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tollhouse.config.settings import Settings
from tollhouse.model.snapshot import Snapshot
from tollhouse.pdk.tasks import Tasks
from tollhouse.supervisor.acme.keeper import Keeper
from tollhouse.supervisor.acme.order import Orders
from tollhouse.supervisor.channel import ToWorker

if TYPE_CHECKING:
    from tollhouse.stores.postgres.store import PostgresStore


def keeper_of(
    snapshot: Callable[[], Snapshot],
    settings: Settings,
    tasks: Tasks,
    database: "PostgresStore | None",
    tell: Callable[[ToWorker], None],
) -> Keeper:
    """Who keeps a node's certificates; to be run."""
    orders = Orders(snapshot, settings, tasks, database.values if database is not None else None)
    return Keeper(orders.current, tell, tasks)
