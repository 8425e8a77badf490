"""What the control process does: configuration, Admin and status API, gathered metrics."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tollhouse.balance.health import Key
from tollhouse.config.settings import Settings
from tollhouse.errors import ConfigError, ConfigErrors
from tollhouse.model.snapshot import Snapshot
from tollhouse.models.process import answers
from tollhouse.node import Identity
from tollhouse.pdk.tasks import Tasks
from tollhouse.plugins import Registry
from tollhouse.stores.counters import SLOT_BYTES
from tollhouse.stores.memory import NodeMemory
from tollhouse.stores.responses import SharedResponses
from tollhouse.stores.served import SnapshotStore
from tollhouse.stores.store import Store
from tollhouse.supervisor.acme import keeper_of
from tollhouse.supervisor.answers import KeptAnswers
from tollhouse.supervisor.channel import (
    Applied,
    Apply,
    Channel,
    Collect,
    Decided,
    Hello,
    Observed,
    Report,
    ToWorker,
    Wanted,
    WorkerLink,
)
from tollhouse.supervisor.configuration import MODEL_MISSING, Source, checked, needs_local_model
from tollhouse.supervisor.database import database_store
from tollhouse.supervisor.handover import Handover
from tollhouse.supervisor.health import HealthBoard
from tollhouse.supervisor.instances import allows_missing_plugins
from tollhouse.supervisor.last_good import LastGood
from tollhouse.supervisor.log_level import NodeLogLevel
from tollhouse.supervisor.shared import SnapshotFile
from tollhouse.telemetry.exposition import NodeState, WorkerState, render
from tollhouse.telemetry.metrics import Gathered

log = logging.getLogger("tollhouse.control")

_APPLY_SECONDS: Final = 60.0
_COLLECT_SECONDS: Final = 2.0
_CONNECT_SECONDS: Final = 5.0
_MODEL_SECONDS: Final = 30.0


class WorkersFailed(Exception):
    """Some worker could not take over a configuration, or did not say so in time."""


class Control:
    """The control plane of a node."""

    def __init__(
        self,
        settings: Settings,
        identity: Identity,
        shared: SnapshotFile,
        source: Source,
        path: Path,
        start_model: Callable[[], None],
        memory: NodeMemory,
        record: Path,
    ) -> None:
        self.settings = settings
        self.identity = identity
        self.registry = Registry.of(settings)
        if allows_missing_plugins(record):
            self.registry.tolerate_missing()
        self._source = source
        self._owner = source.owner
        self._path = path
        #: the record of this node, in which a reload may wish for something
        self._record = record
        self._start_model = start_model
        #: what proxy-cache keeps
        here = SharedResponses(memory.responses, time.time)
        self._tasks = Tasks()
        self.answers = KeptAnswers(here, lambda: self.snapshot, settings, self._tasks)
        self._links: dict[int, WorkerLink] = {}
        #: the last word of workers that have gone, by their pid
        self._gone: dict[int, Report] = {}
        self._gathered = Gathered()
        self._changed = asyncio.Condition()
        self._loading = asyncio.Lock()
        self._ticket = 0
        self._handover = Handover(shared)
        self._version, self.snapshot = self._handover.current()
        self.text = ""
        self.database = database_store(settings)
        #: where entities are read and changed: the database, else what is being served
        self.store: Store = self.database or SnapshotStore(lambda: self.snapshot, settings.router_flavor)
        self.certificates = keeper_of(lambda: self.snapshot, settings, self._tasks, self.database, self.tell)
        #: waits until what the database holds is served; whoever follows one says how
        self.caught_up: Callable[[], Awaitable[None]] = _at_once
        self.health: HealthBoard | None = None
        self.is_draining = False
        self._log_level = NodeLogLevel(settings.log_level, self.tell)
        self._plugins_changed = False

    # Configuration

    @property
    def owner(self) -> str:
        """Who decides what entities there are: the source, or who replaced through the Admin API what it
        had brought."""
        return self._owner

    @property
    def is_loading(self) -> bool:
        return self._loading.locked()

    async def replace(self, text: str, file: str | None = None) -> Snapshot:
        """Serves another configuration once every worker has it. Raises `ConfigErrors`."""
        async with self._loading:
            snapshot = await asyncio.to_thread(
                checked, text, self.settings, self.registry, file, before=self.snapshot
            )
            try:
                await self._hand_over(snapshot)
            except WorkersFailed as failure:
                raise ConfigErrors([ConfigError("", str(failure))]) from failure
            if self._source.posted is not None:
                await asyncio.to_thread(self._source.posted.keep, text)
            self.text = text
            self._owner = self._source.owner if file == self._source.name else "config-api"
            return snapshot

    async def serve(self, snapshot: Snapshot) -> None:
        """Serves entities that have been checked, once every worker has them. Raises `ConfigErrors`,
        `WorkersFailed`."""
        async with self._loading:
            await self._hand_over(snapshot)

    async def _hand_over(self, snapshot: Snapshot) -> None:
        if needs_local_model(snapshot):
            await self._until_model_answers()
        try:
            await self._distribute(self.snapshot, snapshot)
        except WorkersFailed:
            await self._distribute(snapshot, self.snapshot)
            raise
        self.snapshot = snapshot
        await asyncio.to_thread(self._handover.settle, snapshot)

    async def _until_model_answers(self) -> None:
        """Lets the supervisor start the embedded model unless it runs. Raises `ConfigErrors`."""
        address = self.identity.local_model
        if address is None:
            raise ConfigErrors([ConfigError("", MODEL_MISSING)])
        self._start_model()
        until = time.monotonic() + _MODEL_SECONDS
        while not await asyncio.to_thread(answers, address):
            if time.monotonic() > until:
                raise ConfigErrors([ConfigError("", "the embedded model does not answer; see the error log")])
            await asyncio.sleep(0.05)

    async def _distribute(self, before: Snapshot, after: Snapshot) -> None:
        """Lets every worker take over a snapshot in the place of another. Raises `WorkersFailed`."""
        await self.until_connected()
        version = self._version = await asyncio.to_thread(self._handover.write, before, after)
        for link in self._links.values():
            link.error = None
            link.channel.send(Apply(version, self._plugins_changed))
        self._plugins_changed = False

        def everyone() -> bool:
            return all(link.version >= version or link.error for link in self._links.values())

        try:
            async with asyncio.timeout(_APPLY_SECONDS), self._changed:
                await self._changed.wait_for(everyone)
        except TimeoutError:
            raise WorkersFailed("not every worker took over the configuration in time") from None
        errors = [link.error for link in self._links.values() if link.error]
        if errors:
            raise WorkersFailed(errors[0])

    async def until_connected(self) -> None:
        """Waits a little for workers that have just lost their control process, or are being replaced.
        One that comes later starts with the newest snapshot anyway."""
        try:
            async with asyncio.timeout(_CONNECT_SECONDS), self._changed:
                await self._changed.wait_for(lambda: len(self._links) >= self.settings.worker_processes)
        except TimeoutError:
            log.warning("only %d of %d workers are there", len(self._links), self.settings.worker_processes)

    async def refresh_plugins(self) -> bool:
        """Reads custom plugins whose files have changed; whether there were any. Workers do so with the
        next configuration that they get. From then on plugins that nobody knows are accepted if a reload
        wished so. Raises `ConfigErrors`."""
        if await asyncio.to_thread(allows_missing_plugins, self._record):
            self.registry.tolerate_missing()
        changed = await asyncio.to_thread(self.registry.custom.refresh)
        self._plugins_changed = self._plugins_changed or changed
        return changed

    async def serve_again(self) -> None:
        """Lets workers take over what they serve once more. Raises `WorkersFailed`."""
        async with self._loading:
            await self._distribute(self.snapshot, self.snapshot)

    async def reload(self) -> None:
        """Reads the configuration's source again; on errors the old one stays."""
        file = self._source.name
        try:
            await self.refresh_plugins()
            text = await asyncio.to_thread(self._source.read)
            await self.replace(text, file)
            if self._source.file is not None:
                kept = LastGood(self.settings.prefix, self._source.file)
                await asyncio.to_thread(kept.keep, text)
        except ConfigErrors as errors:
            log.error("the configuration was not reloaded:\n%s", errors)
        else:
            log.info("configuration reloaded")

    # Workers

    async def listen_to_workers(self) -> asyncio.Server:
        """Accepts connections of workers."""
        return await asyncio.start_unix_server(self._follow, str(self._path))

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        channel = Channel(reader, writer)
        link: WorkerLink | None = None
        try:
            while True:
                message = await channel.to_control()
                if isinstance(message, Hello):
                    link = self._links[message.worker] = WorkerLink(message, channel)
                    self._gone.pop(message.pid, None)
                    if message.version != self._version:
                        channel.send(Apply(self._version))
                    for key in self.health.unhealthy() if self.health is not None else ():
                        channel.send(Decided(key, healthy=False))
                    for known in self.certificates.told():
                        channel.send(known)
                    if (news := self._log_level.news) is not None:
                        channel.send(news)
                elif link is not None:
                    self._take(link, message)
                async with self._changed:
                    self._changed.notify_all()
        except (asyncio.IncompleteReadError, OSError):
            if link is not None:
                self._lose(link)
            async with self._changed:
                self._changed.notify_all()
        finally:
            channel.close()

    def _lose(self, link: WorkerLink) -> None:
        """Its process has ended, or it will come back."""
        if self._links.get(link.number) is link:
            del self._links[link.number]
        if link.report is not None and all(link.pid != each.pid for each in self._links.values()):
            self._gone[link.pid] = link.report

    def decide(self, key: Key, healthy: bool) -> None:
        """Tells every worker whether an address of an upstream gets requests."""
        self.tell(Decided(key, healthy))

    def tell(self, message: ToWorker) -> None:
        """Tells every worker."""
        for link in self._links.values():
            link.channel.send(message)

    def _take(self, link: WorkerLink, message: Applied | Report | Observed | Wanted) -> None:
        if isinstance(message, Applied):
            link.version = message.version
            link.error = message.error
            if message.error is not None:
                log.error("worker %d cannot take over the configuration: %s", link.number, message.error)
        elif isinstance(message, Wanted):
            self.certificates.want(message.name)
        elif isinstance(message, Observed):
            if self.health is not None:
                self.health.observed(message.key, message.outcome)
        else:
            link.report = message
            self._gathered.add(message.series)

    # Telling

    async def metrics(self) -> str:
        """All metrics as Prometheus text, up to this moment."""
        await self._collect()
        return render(self._gathered, self.state())

    async def _collect(self) -> None:
        self._ticket += 1
        ticket = self._ticket
        for link in self._links.values():
            link.channel.send(Collect(ticket))

        def everyone() -> bool:
            return all(
                link.report is not None and link.report.ticket >= ticket for link in self._links.values()
            )

        try:
            async with asyncio.timeout(_COLLECT_SECONDS), self._changed:
                await self._changed.wait_for(everyone)
        except TimeoutError:
            log.warning("not every worker answered; its newest counts are missing")

    async def asked(self) -> NodeState:
        """How the node is; workers that have not told anything yet are waited for."""
        if any(link.report is None for link in self._links.values()):
            await self._collect()
        return self.state()

    def state(self) -> NodeState:
        """How the node is, as far as is known without asking."""
        workers = []
        for number in sorted(self._links):
            link, report = self._links[number], self._links[number].report
            if report is not None:
                workers.append(
                    WorkerState(
                        link.pid,
                        report.accepted,
                        report.active,
                        report.writing,
                        report.requests,
                        report.resident_bytes,
                    )
                )
        gone = self._gone.values()
        accepted = sum(report.accepted for report in gone) + sum(worker.accepted for worker in workers)
        requests = sum(report.requests for report in gone) + sum(worker.requests for worker in workers)
        health = self.health.states if self.health is not None else _unchecked
        return NodeState(
            self.identity.node_id,
            tuple(workers),
            self.snapshot,
            accepted,
            requests,
            health,
            self.shared_memory(),
            bool(self.settings.stream_listen),
        )

    @property
    def is_ready(self) -> bool:
        """Whether every worker is there and serves the current configuration."""
        links = self._links.values()
        return len(links) >= self.settings.worker_processes and all(
            link.version == self._version for link in links
        )

    def about(self) -> dict[str, Any]:
        """Who this node is, for the Admin API."""
        return {
            "hostname": self.identity.hostname,
            "node_id": self.identity.node_id,
            "pids": {"master": os.getppid(), "workers": [link.pid for link in self._links.values()]},
        }

    def shared_memory(self) -> Mapping[str, tuple[int, int]]:
        """Bytes in use and bytes there are, by name of what processes share."""
        slots = self.settings.counter_slots * SLOT_BYTES
        snapshot = sum(self._handover.sizes)
        return {
            "kong": (snapshot, snapshot),
            "kong_db_cache": (0, 0),  # nothing is cached apart from the snapshot
            "kong_rate_limiting_counters": (slots, slots),
        }

    # Logging

    def log_level(self) -> str:
        return self._log_level.current

    def set_log_level(self, level: str, seconds: float) -> None:
        """Of all processes of the node; after so many seconds, unless 0, it is as before."""
        self._log_level.set(level, seconds)


async def _at_once() -> None:
    """What is served changes with what is stored."""


def _unchecked(upstream: str, target: str) -> list[tuple[str, str]]:
    return [(target, "healthchecks_off")]
