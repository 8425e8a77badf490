"""Where log lines go: files, written in the background in batches.

A writer hands lines over and never waits. What cannot be held because the disk is too slow is dropped
and counted.
"""

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tollhouse.telemetry.metrics import Counter

log = logging.getLogger("tollhouse.sinks")

_PENDING_LINES: Final = 20_000
_FLUSH_SECONDS: Final = 0.05


class FileSink:
    """Appends lines to one file."""

    def __init__(self, path: str, dropped: Counter, writer: ThreadPoolExecutor) -> None:
        self.path = path
        self.users = 0
        self._dropped = dropped.series((path,))
        self._writer = writer
        #: lines that the writer's thread could not write, and how many of them have been counted
        self._lost = self._told = 0
        self._pending: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._descriptor: int | None = None
        self._reopen = False

    def write(self, line: bytes) -> None:
        """Takes a line, newline included."""
        if len(self._pending) >= _PENDING_LINES:
            self._dropped.value += 1
            return
        self._pending.append(line)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_FLUSH_SECONDS, self._flush)

    def open(self, *, reopen: bool) -> "FileSink":
        """One more user of the file."""
        self.users += 1
        self._reopen |= reopen
        return self

    def close(self) -> None:
        """One user less; the last one closes the file."""
        self.users -= 1
        if self.users <= 0:
            self._flush()
            self._writer.submit(self._close_file)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lost = self._lost
        self._dropped.value += lost - self._told
        self._told = lost
        if self._pending:
            lines, self._pending = self._pending, []
            self._writer.submit(self._append, lines)

    def _append(self, lines: list[bytes]) -> None:
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            data = memoryview(b"".join(lines))
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            log.error("cannot write to %s: %s", self.path, error)
            self._lost += len(lines)
            self._close_file()
        if self._reopen:
            self._close_file()

    def _close_file(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class Sinks:
    """All sinks of a worker; two users of one file share it."""

    def __init__(self, dropped: Counter) -> None:
        self._dropped = dropped
        self._files: dict[str, FileSink] = {}
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sinks")

    def file(self, path: str, *, reopen: bool) -> FileSink:
        """The sink that appends to that file."""
        sink = self._files.get(path)
        if sink is None or sink.users <= 0:
            sink = self._files[path] = FileSink(path, self._dropped, self._writer)
        return sink.open(reopen=reopen)

    def close(self) -> None:
        """Writes what is held and ends."""
        for sink in self._files.values():
            sink.users = 1
            sink.close()
        self._writer.shutdown(wait=True)
