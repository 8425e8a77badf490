"""Where log lines go: files, written in the background in batches.

A writer hands lines over and never waits. Each file has a thread of its own, so that one that hangs (a
pipe that nobody reads, a network drive) holds up no other, and only one batch is under way at a time, so
that memory stays bounded. What cannot be held is dropped and counted.
"""

import asyncio
import logging
import os
import stat
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from select import PIPE_BUF
from typing import Final

from tollhouse.telemetry.metrics import Counter

log = logging.getLogger("tollhouse.sinks")

_PENDING_LINES: Final = 20_000
_FLUSH_SECONDS: Final = 0.05
#: how often it is looked whether a file has been moved away
_LOOK_SECONDS: Final = 1.0
#: how long the end of a node waits for files that hang
_END_SECONDS: Final = 2.0
#: Opened anew, these would have an offset of their own, and fail where they are sockets.
_STANDARD: Final = {"/dev/stdout": 1, "/dev/stderr": 2}


class FileSink:
    """Appends lines to one file."""

    def __init__(self, path: str, dropped: Counter) -> None:
        self.path = path
        self.users = 0
        #: done when the file is closed
        self.closed: Future[None] | None = None
        self._dropped = dropped.series((path,))
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sink")
        self._pending: list[bytes] = []
        #: whether a batch is under way or soon will be
        self._busy = False
        self._file = _File(path)

    def write(self, line: bytes) -> None:
        """Takes a line, newline included."""
        pending = self._pending
        if len(pending) >= _PENDING_LINES:
            self._dropped.value += 1
            return
        pending.append(line)
        if not self._busy:
            self._busy = True
            loop = asyncio.get_running_loop()
            loop.call_later(_FLUSH_SECONDS, self._flush, loop)

    def open(self, *, reopen: bool) -> "FileSink":
        """One more user of the file."""
        self.users += 1
        self._file.reopen |= reopen
        return self

    def close(self) -> None:
        """One user less; the last one closes the file, as soon as all is written."""
        self.users -= 1
        if self.users == 0:
            lines, self._pending = self._pending, []
            self._writer.submit(self._file.append, lines)
            self.closed = self._writer.submit(self._file.close)
            self._writer.shutdown(wait=False)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        lines, self._pending = self._pending, []
        if lines and self.users > 0:
            writing = loop.run_in_executor(self._writer, self._file.append, lines)
            writing.add_done_callback(lambda done: self._written(loop, done))

    def _written(self, loop: asyncio.AbstractEventLoop, done: "asyncio.Future[int]") -> None:
        self._dropped.value += 0 if done.cancelled() else done.result()
        self._busy = bool(self._pending)
        if self._busy:
            loop.call_later(_FLUSH_SECONDS, self._flush, loop)


class _File:
    """What a sink's thread has to do with the file."""

    def __init__(self, path: str) -> None:
        self._path = path
        #: whether it is opened for every batch, so that it may be moved away
        self.reopen = False
        self._descriptor: int | None = None
        self._looked = 0.0
        self._is_failing = False

    def append(self, lines: list[bytes]) -> int:
        """Writes the lines; returns how many were lost."""
        lost = 0
        try:
            if self._descriptor is not None and self._has_gone(self._descriptor):
                self.close()
            if self._descriptor is None:
                self._descriptor = _opened(self._path)
            for piece in _pieces(lines, self._descriptor):
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                log.error("cannot write to %s: %s", self._path, error)
            self._is_failing = True
            lost = len(lines)
        if self.reopen or self._is_failing:
            self.close()
        return lost

    def _has_gone(self, descriptor: int) -> bool:
        """Whether another file, or none, is at the path now; looked at once a second."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS or self._path in _STANDARD:
            return False
        self._looked = now
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(descriptor))
        except FileNotFoundError:
            return True

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _opened(path: str) -> int:
    if path in _STANDARD:
        return os.dup(_STANDARD[path])
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def _pieces(lines: list[bytes], descriptor: int) -> Iterator[bytes]:
    """What is written at once: all, or to a pipe so much that lines of several workers do not mix."""
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        yield b"".join(lines)
        return
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and size + len(line) > PIPE_BUF:
            yield b"".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    yield b"".join(piece)


class Sinks:
    """All sinks of a process; two users of one file share it."""

    def __init__(self, dropped: Counter) -> None:
        self._dropped = dropped
        self._files: dict[str, FileSink] = {}

    def file(self, path: str, *, reopen: bool) -> FileSink:
        """The sink that appends to that file."""
        sink = self._files.get(path)
        if sink is None or sink.users <= 0:
            sink = self._files[path] = FileSink(path, self._dropped)
        return sink.open(reopen=reopen)

    def close(self) -> None:
        """Writes what is held and ends; waits a little for files that hang."""
        for sink in self._files.values():
            while sink.users > 0:
                sink.close()
        wait([sink.closed for sink in self._files.values() if sink.closed is not None], _END_SECONDS)
