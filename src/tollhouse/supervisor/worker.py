"""What a worker process does: serve the shared snapshot, follow control, drain when told to end."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tollhouse.balance.health import Key, Outcome
from tollhouse.config.listen import Listen
from tollhouse.config.settings import Settings
from tollhouse.model.changes import comparing, decode_changes
from tollhouse.model.snapshot import Reader, Snapshot
from tollhouse.node import Identity, Node
from tollhouse.pdk.memory import resident_bytes
from tollhouse.pdk.tasks import in_slices
from tollhouse.stores.memory import NodeMemory
from tollhouse.supervisor.channel import (
    Applied,
    Apply,
    Channel,
    Decided,
    Hello,
    Issued,
    LogLevel,
    Observed,
    Report,
    Vouched,
    Wanted,
)
from tollhouse.supervisor.shared import SnapshotFile
from tollhouse.telemetry.error_log import set_level

log = logging.getLogger("tollhouse.worker")

_RECONNECT_SECONDS: Final = 0.05
_REPORT_SECONDS: Final = 1.0


class Worker:
    """One worker process."""

    def __init__(
        self,
        node: Node,
        number: int,
        shared: SnapshotFile,
        control: Path,
        sockets: Sequence[tuple[Listen, socket.socket]],
        drain_seconds: float,
    ) -> None:
        self._node = node
        self._number = number
        self._shared = shared
        self._control = control
        self._sockets = sockets
        self._drain_seconds = drain_seconds
        self._version = 0
        self._reader = Reader()
        self._applying = asyncio.Lock()
        self._channel: Channel | None = None
        self._handovers = node.metrics.counter(
            "tollhouse_configuration_handovers_total",
            "Configurations that workers took over after their first: as what had changed, or whole",
            ("as",),
        )
        node.health.tell = self._tell
        node.issuing.tell = self._want

    async def run(self, ending: asyncio.Event, on_ready: Callable[[], None]) -> None:
        """Serves until `ending` is set, then drains."""
        await self._apply()
        await self._node.listen(self._sockets)
        on_ready()
        following = asyncio.ensure_future(self._follow_control())
        reporting = asyncio.ensure_future(self._report_regularly())
        await ending.wait()
        if not await self._node.drain(self._drain_seconds):
            log.warning("ended with exchanges still under way after %g s", self._drain_seconds)
        self._report(0)
        for task in (following, reporting):
            task.cancel()
        await asyncio.gather(following, reporting, return_exceptions=True)
        await self._node.close()

    async def _apply(self, *, reads_plugins: bool = True) -> None:
        async with self._applying:
            version, changes = self._shared.since(self._version)
            if version == self._version:
                return
            started = time.perf_counter()
            if reads_plugins:
                await self._node.read_plugins()
            if changes is None or self._node.snapshot is None:
                version, told = await self._apply_whole(), "all of it"
            else:
                told = await self._apply_changes(self._node.snapshot, changes)
            self._version = version
            took = time.perf_counter() - started
            log.info("serving configuration %d, compiled in %.3f s (%s)", version, took, told)

    async def _apply_whole(self) -> int:
        """Takes over what is shared now, and returns its version."""
        version, encoded, changes = await asyncio.to_thread(self._shared.read)
        snapshot = await in_slices(self._reader.decoding(encoded))
        for each in changes:
            snapshot = decode_changes(each, snapshot).after()
        await self._node.apply(snapshot)
        if self._version:
            self._handovers.series(("whole",)).value += 1
        return version

    async def _apply_changes(self, before: Snapshot, written: Sequence[bytes]) -> str:
        """Takes over what has changed since the snapshot that is served; returns how much that was."""
        steps = [decode_changes(written[0], before)]
        for each in written[1:]:
            steps.append(decode_changes(each, steps[-1].after()))
        snapshot = steps[-1].after()
        changes = steps[0] if len(steps) == 1 else await in_slices(comparing(before, snapshot))
        await self._node.apply(snapshot, changes)
        self._handovers.series(("changes",)).value += 1
        return f"{changes.entities} entities changed"

    async def _follow_control(self) -> None:
        while True:
            try:
                channel = Channel(*await asyncio.open_unix_connection(str(self._control)))
            except OSError:
                await asyncio.sleep(_RECONNECT_SECONDS)
                continue
            self._channel = channel
            channel.send(Hello(self._number, os.getpid(), self._version))
            try:
                while True:
                    message = await channel.to_worker()
                    if isinstance(message, Apply):
                        await self._answer_apply(channel, message)
                    elif isinstance(message, Decided):
                        self._node.health.decided(message.key, healthy=message.healthy)
                    elif isinstance(message, Issued):
                        self._node.show_issued(message.name, message.certificate, message.key)
                    elif isinstance(message, Vouched):
                        self._node.issuing.thumbprint = message.thumbprint
                    elif isinstance(message, LogLevel):
                        set_level(message.level)
                    else:
                        self._report(message.ticket)
            except (asyncio.IncompleteReadError, OSError):
                self._channel = None
                channel.close()

    async def _answer_apply(self, channel: Channel, asked: Apply) -> None:
        try:
            await self._apply(reads_plugins=asked.reads_plugins)
        except Exception as error:  # the old configuration goes on; control tells who asked
            log.exception("cannot take over the new configuration")
            channel.send(Applied(self._version, f"{type(error).__name__}: {error}"))
        else:
            channel.send(Applied(self._version))

    async def _report_regularly(self) -> None:
        while True:
            await asyncio.sleep(_REPORT_SECONDS)
            self._report(0)

    def _tell(self, key: Key, outcome: Outcome) -> None:
        if self._channel is not None:
            self._channel.send(Observed(key, outcome))

    def _want(self, name: str) -> None:
        if self._channel is not None:
            self._channel.send(Wanted(name))

    def _report(self, ticket: int) -> None:
        channel = self._channel
        if channel is None:
            return  # kept for the next report: nothing is handed over before somebody takes it
        active, writing = self._node.connections()
        traffic = self._node.traffic
        channel.send(
            Report(
                ticket,
                self._node.metrics.hand_over(),
                traffic.accepted,
                active,
                writing,
                self._node.requests(),
                resident_bytes(),
            )
        )


async def serve(
    settings: Settings,
    identity: Identity,
    number: int,
    shared: SnapshotFile,
    memory: NodeMemory,
    control: Path,
    sockets: Sequence[tuple[Listen, socket.socket]],
    ending: asyncio.Event,
    on_ready: Callable[[], None],
) -> None:
    """Runs one worker until `ending` is set."""
    node = Node(settings, identity, number, memory, alone=settings.worker_processes == 1)
    worker = Worker(node, number, shared, control, sockets, settings.drain_seconds)
    await worker.run(ending, on_ready)
