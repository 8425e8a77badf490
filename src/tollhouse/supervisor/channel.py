"""Messages between control and workers: msgpack frames over a Unix socket."""

import asyncio
import struct
from typing import Final

import msgspec

from tollhouse.balance.health import Key, Outcome
from tollhouse.telemetry.metrics import Series

_LENGTH: Final = struct.Struct("<I")


class Hello(msgspec.Struct, tag=True, frozen=True):
    """A worker has started and serves that version."""

    worker: int
    pid: int
    version: int


class Apply(msgspec.Struct, tag=True, frozen=True):
    """There is a new snapshot."""

    version: int
    #: whether files of custom plugins are to be looked at, too
    reads_plugins: bool = False


class Applied(msgspec.Struct, tag=True, frozen=True):
    """A worker serves that version, or could not take it."""

    version: int
    error: str | None = None


class Collect(msgspec.Struct, tag=True, frozen=True):
    """Hand over what was counted."""

    ticket: int


class LogLevel(msgspec.Struct, tag=True, frozen=True):
    """The error log holds this level and those above from now on."""

    level: str


class Report(msgspec.Struct, tag=True, frozen=True):
    """What was counted since the last report, and how the worker is."""

    ticket: int
    series: list[Series]
    accepted: int
    active: int
    writing: int
    requests: int
    resident_bytes: int


class Observed(msgspec.Struct, tag=True, frozen=True):
    """What happened to a worker's request at an address of an upstream."""

    key: Key
    outcome: Outcome


class Decided(msgspec.Struct, tag=True, frozen=True):
    """Whether an address of an upstream gets requests from now on."""

    key: Key
    healthy: bool


class Vouched(msgspec.Struct, tag=True, frozen=True):
    """What answers challenges of ACME: the thumbprint of the account's key."""

    thumbprint: str | None


class Issued(msgspec.Struct, tag=True, frozen=True):
    """A certificate, PEM, that an authority has given out for a name."""

    name: str
    certificate: str
    key: str


class Wanted(msgspec.Struct, tag=True, frozen=True):
    """A client has asked for a name that there is no certificate for."""

    name: str


ToWorker = Apply | Collect | LogLevel | Decided | Vouched | Issued
ToControl = Hello | Applied | Report | Observed | Wanted


class Channel:
    """One end of a connection between control and a worker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, message: ToWorker | ToControl) -> None:
        """Sends without waiting; the other end reads at its own pace."""
        if not self._writer.is_closing():
            data = msgspec.msgpack.encode(message)
            self._writer.write(_LENGTH.pack(len(data)) + data)

    async def to_worker(self) -> ToWorker:
        """The next message for a worker. Raises `asyncio.IncompleteReadError` at the end."""
        message: ToWorker = msgspec.msgpack.decode(await self._frame(), type=ToWorker)
        return message

    async def to_control(self) -> ToControl:
        """The next message for control. Raises `asyncio.IncompleteReadError` at the end."""
        message: ToControl = msgspec.msgpack.decode(await self._frame(), type=ToControl)
        return message

    async def _frame(self) -> bytes:
        (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
        return await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


class WorkerLink:
    """Control's view of one worker."""

    def __init__(self, hello: Hello, channel: Channel) -> None:
        self.number = hello.worker
        self.pid = hello.pid
        self.version = hello.version
        self.channel = channel
        self.report: Report | None = None
        #: why the worker could not take over the newest configuration
        self.error: str | None = None
