"""Counts in the database of the nodes; asyncpg is imported when a configuration first counts there."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tollhouse.pdk.services import Meter, SharedCounts
from tollhouse.pdk.tasks import Tasks
from tollhouse.stores.synced_counts import SyncedCounts
from tollhouse.stores.watch import Watch

if TYPE_CHECKING:
    from tollhouse.stores.postgres.counts import Ledger
    from tollhouse.stores.postgres.server import Server


class Database:
    """`pdk.services.Database` of one worker. `server` says where it is; None for a node without one."""

    def __init__(
        self, server: "Server | None", meter: Meter, tasks: Tasks, clock: Callable[[], float]
    ) -> None:
        self._server = server
        self._meter = meter
        self._tasks = tasks
        self._clock = clock
        self._ledger: Ledger | None = None

    def counts(self, sync_seconds: float | None = None) -> SharedCounts:
        """Counts asked for each request, or told every so many seconds. Raises `LookupError` on a node
        without a database."""
        if self._server is None:
            raise LookupError("this node has no database to count in")
        from tollhouse.stores.postgres.counts import DatabaseCounts, Ledger

        if self._ledger is None:
            watch = Watch(self._meter, "database", "the database", str(self._server))
            self._ledger = Ledger(self._server, watch, self._tasks, self._clock)
        exact = DatabaseCounts(self._ledger)
        if sync_seconds is None:
            return exact
        return SyncedCounts(exact, sync_seconds, self._tasks, self._clock)

    async def close(self) -> None:
        """Counts what is still to be counted and lets go of the database."""
        if self._ledger is not None:
            await self._ledger.close()
