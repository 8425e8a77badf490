"""What the processes of a node share without talking: the current snapshot, in memory.

The files are made before the first fork and live as long as the supervisor, so a process that is started
anew finds the configuration that its siblings serve, even if nobody is there to tell it.

A snapshot is written whole into the file that is not in use, changes behind the snapshot that they begin
from. Only then does the head name them, in one write of a few bytes: a writer that is killed at any moment
has changed nothing or everything.
"""

import fcntl
import os
import struct
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

_LENGTH: Final = struct.Struct("<Q")


class _Head(NamedTuple):
    """What is in force: in which file, which version is there whole, and how many bytes of it and of the
    changes since."""

    slot: int = 0
    version: int = 0
    base: int = 0
    base_bytes: int = 0
    changes_bytes: int = 0


_HEAD: Final = struct.Struct(f"<{len(_Head._fields)}Q")


class Content(NamedTuple):
    """A version: an encoded snapshot, and encoded changes that lead from it to that version."""

    version: int
    snapshot: bytes
    changes: Sequence[bytes]


class SnapshotFile:
    """An encoded snapshot and the changes since, by version. One process writes, any may read."""

    def __init__(self) -> None:
        self._head = _memory("head")
        self._slots = (_memory("snapshot-0"), _memory("snapshot-1"))
        self._put(_Head())
        self.write(b"")

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes of the snapshot that is there whole, and of the changes since."""
        head = self._current()
        return head.base_bytes, head.changes_bytes

    def write(self, encoded: bytes) -> int:
        """Puts a new snapshot in place of the old one; returns its version."""
        return self._replace(encoded, self._current().version + 1)

    def append(self, changes: bytes) -> int:
        """Adds changes from the current version to a new one; returns that."""
        head = self._current()
        record = _LENGTH.pack(len(changes)) + changes
        _write(self._slots[head.slot], record, head.base_bytes + head.changes_bytes)
        fresh = head._replace(version=head.version + 1, changes_bytes=head.changes_bytes + len(record))
        with self._lock(fcntl.LOCK_EX):
            self._put(fresh)
        return fresh.version

    def settle(self, encoded: bytes) -> None:
        """Replaces the current version's snapshot and changes by the same as one snapshot."""
        self._replace(encoded, self._current().version)

    def read(self) -> Content:
        """The current version."""
        with self._lock(fcntl.LOCK_SH):
            head = self._current()
            snapshot = _read(self._slots[head.slot], 0, head.base_bytes)
            return Content(head.version, snapshot, self._changes(head))

    def since(self, version: int) -> tuple[int, Sequence[bytes] | None]:
        """The current version and the changes from another one to it; None if they are no longer known."""
        with self._lock(fcntl.LOCK_SH):
            head = self._current()
            known = head.base <= version <= head.version
            return head.version, self._changes(head)[version - head.base :] if known else None

    def _changes(self, head: _Head) -> list[bytes]:
        data = _read(self._slots[head.slot], head.base_bytes, head.changes_bytes)
        records, place = [], 0
        while place < len(data):
            (length,) = _LENGTH.unpack_from(data, place)
            place += _LENGTH.size
            records.append(data[place : place + length])
            place += length
        return records

    def _replace(self, encoded: bytes, version: int) -> int:
        slot = 1 - self._current().slot
        os.ftruncate(self._slots[slot], 0)
        _write(self._slots[slot], encoded, 0)
        with self._lock(fcntl.LOCK_EX):
            self._put(_Head(slot, version, version, len(encoded), 0))
            os.ftruncate(self._slots[1 - slot], 0)
        return version

    def _current(self) -> _Head:
        return _Head(*_HEAD.unpack(os.pread(self._head, _HEAD.size, 0)))

    def _put(self, head: _Head) -> None:
        os.pwrite(self._head, _HEAD.pack(*head), 0)

    @contextmanager
    def _lock(self, kind: int) -> Generator[None]:
        # POSIX locks are held by processes, and fall with them.
        fcntl.lockf(self._head, kind, 0, 0)
        try:
            yield
        finally:
            fcntl.lockf(self._head, fcntl.LOCK_UN, 0, 0)


def _memory(name: str) -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create(f"tollhouse-{name}")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _write(descriptor: int, data: bytes, place: int) -> None:
    left = memoryview(data)
    while left:
        done = os.pwrite(descriptor, left, place)
        left, place = left[done:], place + done


def _read(descriptor: int, place: int, length: int) -> bytes:
    pieces, end = [], place + length
    while place < end:
        piece = os.pread(descriptor, end - place, place)
        if not piece:
            raise EOFError(f"{end - place} bytes of the configuration are missing")
        pieces.append(piece)
        place += len(piece)
    return b"".join(pieces)
