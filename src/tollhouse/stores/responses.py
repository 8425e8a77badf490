"""Answers kept in memory that all processes of a node share, in a file of bounded size.

The supervisor makes one file in memory before it starts workers; each maps it. The file is cut into
regions, each with an index and a ring of data under a lock of its own (the kernel's on a byte of the file:
it falls with a process that dies). New answers are written behind the newest; the oldest make room.
"""

import mmap
import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_UN, lockf
from hashlib import blake2b
from typing import Final

#: digest of the key, where its answer begins in the ring's endless count of bytes, its length, its end
_SLOT: Final = struct.Struct("<16sQQd")
_HEAD: Final = struct.Struct("<Q")
#: slots in which one key may be
_WINDOW: Final = 16
_FREE: Final = bytes(16)
_REGION_BYTES: Final = 8 * 1024 * 1024
#: one slot for so many bytes of data
_BYTES_PER_SLOT: Final = 2048
#: an answer takes no more than this part of its region
_LARGEST_PART: Final = 4


def shared_responses(size_bytes: int) -> int:
    """A file in memory for that many bytes of answers; its descriptor is inherited by all processes."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("tollhouse-responses")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, max(size_bytes, 256 * 1024))
    return descriptor


class SharedResponses:
    """One process's view of the node's answers. `clock` gives seconds since the epoch."""

    def __init__(self, descriptor: int, clock: Callable[[], float]) -> None:
        size = os.fstat(descriptor).st_size
        self._descriptor = descriptor
        self._memory = mmap.mmap(descriptor, size)
        self._clock = clock
        self._regions = max(1, size // _REGION_BYTES)
        self._region_bytes = size // self._regions
        self._slots = max(_WINDOW, self._region_bytes // _BYTES_PER_SLOT)
        self._data_bytes = self._region_bytes - _HEAD.size - self._slots * _SLOT.size
        #: what all values may take together
        self.size_bytes = self._regions * self._data_bytes
        #: the longest value that is kept, in bytes
        self.largest_bytes = self._data_bytes // _LARGEST_PART

    def find(self, key: str) -> bytes | None:
        """The value of a key, `None` if there is none or its time is over."""
        region, first, digest = self._place(key)
        with self._locked(region):
            found = self._search(region, first, digest)
            if found is None:
                return None
            _, start, length = found
            at = self._data(region) + start % self._data_bytes
            return self._memory[at : at + length]

    def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keeps a value for so long, unless it is too long."""
        if len(value) > self.largest_bytes:
            return
        region, first, digest = self._place(key)
        with self._locked(region):
            start = self._head(region)
            if start % self._data_bytes + len(value) > self._data_bytes:
                start += self._data_bytes - start % self._data_bytes  # no value is cut at the ring's seam
            at = self._data(region) + start % self._data_bytes
            self._memory[at : at + len(value)] = value
            _HEAD.pack_into(self._memory, self._base(region), start + len(value))
            slot = self._slot_for(region, first, digest)
            _SLOT.pack_into(self._memory, slot, digest, start, len(value), self._clock() + seconds)

    def delete(self, key: str) -> bool:
        """Whether there was such a key."""
        region, first, digest = self._place(key)
        with self._locked(region):
            found = self._search(region, first, digest)
            if found is not None:
                _SLOT.pack_into(self._memory, found[0], _FREE, 0, 0, 0.0)
            return found is not None

    def clear(self) -> None:
        """Forgets everything."""
        for region in range(self._regions):
            with self._locked(region):
                start = self._base(region) + _HEAD.size
                self._memory[start : start + self._slots * _SLOT.size] = bytes(self._slots * _SLOT.size)

    def close(self) -> None:
        """Lets go of the memory; the answers stay for the others."""
        self._memory.close()

    @contextmanager
    def _locked(self, region: int) -> Iterator[None]:
        lockf(self._descriptor, LOCK_EX, 1, region)
        try:
            yield
        finally:
            lockf(self._descriptor, LOCK_UN, 1, region)

    def _place(self, key: str) -> tuple[int, int, bytes]:
        """Region, first slot and digest of a key."""
        digest = blake2b(key.encode(), digest_size=16).digest()
        number = int.from_bytes(digest[:8], "little")
        return number % self._regions, number // self._regions % self._slots, digest

    def _base(self, region: int) -> int:
        return region * self._region_bytes

    def _data(self, region: int) -> int:
        return self._base(region) + _HEAD.size + self._slots * _SLOT.size

    def _head(self, region: int) -> int:
        found: int = _HEAD.unpack_from(self._memory, self._base(region))[0]
        return found

    def _window(self, region: int, first: int) -> Iterator[tuple[int, bytes, int, int, float]]:
        base = self._base(region) + _HEAD.size
        for step in range(_WINDOW):
            at = base + (first + step) % self._slots * _SLOT.size
            yield at, *_SLOT.unpack_from(self._memory, at)

    def _is_there(self, head: int, start: int, end: float) -> bool:
        """Whether nothing has been written over it and its time is not over."""
        return head - start <= self._data_bytes and end > self._clock()

    def _search(self, region: int, first: int, digest: bytes) -> tuple[int, int, int] | None:
        head = self._head(region)
        for at, found, start, length, end in self._window(region, first):
            if found == digest:
                return (at, start, length) if self._is_there(head, start, end) else None
        return None

    def _slot_for(self, region: int, first: int, digest: bytes) -> int:
        """The key's own slot, else one that is free or over, else the oldest of its window."""
        head, free, oldest, oldest_start = self._head(region), -1, -1, 0
        for at, found, start, _, end in self._window(region, first):
            if found == digest:
                return at
            if found == _FREE or not self._is_there(head, start, end):
                free = at if free < 0 else free
            elif oldest < 0 or start < oldest_start:
                oldest, oldest_start = at, start
        return free if free >= 0 else oldest
