"""What the processes of a node share without talking: the current snapshot, in memory.

The file is made before the first fork and lives as long as the supervisor, so a process that is started
anew finds the configuration that its siblings serve, even if nobody is there to tell it.
"""

import fcntl
import os
import struct
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

#: version, length of what follows
_HEAD: Final = struct.Struct("<QQ")


class SnapshotFile:
    """An encoded snapshot and its version, written whole and read whole."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self._descriptor = os.memfd_create("tollhouse-snapshot")
        else:
            with tempfile.TemporaryFile() as file:
                self._descriptor = os.dup(file.fileno())
        self.write(b"")

    def write(self, encoded: bytes) -> int:
        """Puts a new snapshot in place of the old one; returns its version."""
        with self._lock(fcntl.LOCK_EX):
            version = self._version() + 1
            os.ftruncate(self._descriptor, _HEAD.size + len(encoded))
            data = memoryview(_HEAD.pack(version, len(encoded)) + encoded)
            place = 0
            while place < len(data):
                place += os.pwrite(self._descriptor, data[place:], place)
            return version

    def read(self) -> tuple[int, bytes]:
        """The version and the encoded snapshot."""
        with self._lock(fcntl.LOCK_SH):
            version, length = _HEAD.unpack(os.pread(self._descriptor, _HEAD.size, 0))
            pieces, place = [], _HEAD.size
            while length > 0:
                piece = os.pread(self._descriptor, length, place)
                pieces.append(piece)
                place += len(piece)
                length -= len(piece)
            return version, b"".join(pieces)

    def _version(self) -> int:
        head = os.pread(self._descriptor, _HEAD.size, 0)
        return int(_HEAD.unpack(head)[0]) if len(head) == _HEAD.size else 0

    @contextmanager
    def _lock(self, kind: int) -> Generator[None]:
        # POSIX locks are held by processes, and fall with them.
        fcntl.lockf(self._descriptor, kind, 0, 0)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 0, 0)
