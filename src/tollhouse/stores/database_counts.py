"""What plugins keep in the database of the nodes; asyncpg is imported when one first does."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tollhouse.pdk.meter import Meter
from tollhouse.pdk.services import Sessions, SharedCounts
from tollhouse.pdk.tasks import Tasks
from tollhouse.stores.synced_counts import SyncedCounts
from tollhouse.stores.watch import Watch

if TYPE_CHECKING:
    from tollhouse.stores.postgres.counts import Ledger
    from tollhouse.stores.postgres.server import Server
    from tollhouse.stores.postgres.sessions import DatabaseSessions


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
        self._sessions: DatabaseSessions | None = None

    def counts(self, sync_seconds: float | None = None) -> SharedCounts:
        """Counts asked for each request, or told every so many seconds. Raises `LookupError` on a node
        without a database."""
        if self._server is None:
            raise LookupError("this node has no database to count in")
        from tollhouse.stores.postgres.counts import DatabaseCounts, Ledger

        if self._ledger is None:
            self._ledger = Ledger(self._server, self._watch(self._server), self._tasks, self._clock)
        exact = DatabaseCounts(self._ledger)
        if sync_seconds is None:
            return exact
        return SyncedCounts(exact, sync_seconds, self._tasks, self._clock)

    def sessions(self) -> Sessions:
        """Sessions of callers. Raises `LookupError` on a node without a database."""
        if self._server is None:
            raise LookupError("this node has no database to keep sessions in")
        from tollhouse.stores.postgres.sessions import DatabaseSessions

        if self._sessions is None:
            watch = self._watch(self._server)
            self._sessions = DatabaseSessions(self._server, watch, self._tasks, self._clock)
        return self._sessions

    def _watch(self, server: "Server") -> Watch:
        return Watch(self._meter, "database", "the database", str(server))

    async def close(self) -> None:
        """Finishes what is still to be counted and kept, and lets go of the database."""
        if self._ledger is not None:
            await self._ledger.close()
        if self._sessions is not None:
            await self._sessions.close()
