"""Keeps a node at what the database holds: hears of changes, reads them, hands them to the workers.

A change is told by the database within milliseconds. As a safety net the node also looks by itself, and
after any trouble with its connection. While the database is away the node serves on.
"""

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tollhouse.errors import ConfigErrors
from tollhouse.model.snapshot import Snapshot, encode
from tollhouse.stores.expiry import Expiring, remove_expired
from tollhouse.stores.store import StoreError
from tollhouse.supervisor.configuration import check_entities
from tollhouse.supervisor.control import Control, WorkersFailed
from tollhouse.supervisor.last_good import KeptSnapshot

if TYPE_CHECKING:
    from tollhouse.stores.postgres.store import Changes, PostgresStore

log = logging.getLogger("tollhouse.database")

#: how often a node looks though it has heard nothing, in seconds
_LOOK_SECONDS: Final = 5.0
#: changes that come within this time are handed over together, in seconds
_BURST_SECONDS: Final = 0.02
#: how long whoever has made a change waits at most until this node serves it, in seconds
_CATCH_UP_SECONDS: Final = 1.0
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


class Follower:
    """What stands between a database and a node's workers."""

    def __init__(self, control: Control, store: "PostgresStore") -> None:
        self._control = control
        self._store = store
        self._last_good = KeptSnapshot(control.settings.prefix, str(store.server))
        self._is_away = False
        self._expiring = Expiring()
        #: hash of what cannot be served
        self._refused = ""
        self._unkept: Snapshot | None = None
        self._to_keep = asyncio.Event()
        #: looks that have begun, and the last one that is over
        self._begun = self._over = 0
        self._caught_up = asyncio.Condition()
        self._changes: Changes | None = None
        control.caught_up = self.caught_up

    async def run(self) -> None:
        """Follows until it is cancelled."""
        pause = _FIRST_PAUSE
        while True:
            try:
                async with self._store.changes() as changes:
                    self._changes = changes
                    while True:
                        await self._look_once()
                        self._note_back()
                        await self._remove_expired()
                        pause = _FIRST_PAUSE
                        await changes.wait(_LOOK_SECONDS)
                        await asyncio.sleep(_BURST_SECONDS)
            except StoreError as problem:
                self._note_away(problem)
            except Exception:  # whatever it is: a node that follows no longer would serve old routes for ever
                log.exception("following %s failed, trying again", self._store.server)
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    async def caught_up(self) -> None:
        """Waits until everything that was committed before this call is served here, as far as it can be;
        while the database is away, and with entities that take long to hand over, not until then."""
        wanted = self._begun + 1
        if self._changes is not None:
            self._changes.heard()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP_SECONDS), self._caught_up:
                await self._caught_up.wait_for(lambda: self._over >= wanted)

    async def _look_once(self) -> None:
        self._begun += 1
        number = self._begun
        await self._look()
        async with self._caught_up:
            self._over = number
            self._caught_up.notify_all()

    async def _remove_expired(self) -> None:
        """Every node tries; the first one finds something to do."""
        now = time.time()
        ended = self._expiring.over(self._control.snapshot, now)
        if ended and await remove_expired(self._store, ended, now):
            log.info("credentials whose time to live was over were deleted")

    def _note_away(self, problem: StoreError) -> None:
        if not self._is_away:
            log.error("%s is away, serving on without it: %s", self._store.server, problem)
        self._is_away = True

    def _note_back(self) -> None:
        if self._is_away:
            log.warning("%s is back", self._store.server)
        self._is_away = False

    async def reload(self) -> None:
        """Reads everything again."""
        self._store.forget()
        self._refused = ""
        try:
            if await self._control.refresh_plugins():
                await self._control.serve_again()
            await self._look()
        except (StoreError, ConfigErrors, WorkersFailed) as problem:
            log.error("the configuration was not reloaded: %s", problem)
        else:
            log.info("configuration reloaded")

    async def keep(self) -> None:
        """Writes the newest configuration to disk, whenever there is one, until it is cancelled. Where
        changes come one after the other, this takes a tenth of the time at most."""
        while True:
            await self._to_keep.wait()
            self._to_keep.clear()
            snapshot, self._unkept = self._unkept, None
            if snapshot is not None:
                started = time.monotonic()
                await asyncio.to_thread(self._write, snapshot)
                await asyncio.sleep(9 * (time.monotonic() - started))

    def _write(self, snapshot: Snapshot) -> None:
        self._last_good.keep(encode(snapshot))

    async def _look(self) -> None:
        snapshot = await self._store.snapshot()
        if snapshot.hash == self._refused or await self._is_served(snapshot):
            return
        try:
            await asyncio.to_thread(self._check, snapshot)
            await self._control.serve(snapshot)
        except ConfigErrors as errors:
            self._refused = snapshot.hash
            log.error("the database holds what cannot be served; what was served before stays:\n%s", errors)
        except WorkersFailed as failure:
            log.error("a change was not taken over and will be tried again: %s", failure)
        else:
            log.info("serving configuration %s of the database", snapshot.hash)
            self._unkept = snapshot
            self._to_keep.set()

    async def _is_served(self, snapshot: Snapshot) -> bool:
        """Whether it is what the workers have. What changes later is found by comparing with the objects
        that the store has read, so control holds these from then on and not its copy."""
        served = self._control.snapshot
        if snapshot.hash != served.hash:
            return False
        if snapshot is not served and await asyncio.to_thread(snapshot.__eq__, served) is True:
            self._control.snapshot = served = snapshot
        return snapshot is served

    def _check(self, snapshot: Snapshot) -> None:
        control = self._control
        check_entities(snapshot, control.settings, control.registry, before=control.snapshot)
