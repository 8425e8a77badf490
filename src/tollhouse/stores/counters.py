"""Counters in memory that all workers of a node share: exact, and kept over reloads and crashes.

The supervisor makes one file in memory before it starts workers; each maps it. A count has a slot, found
by the digest of its key. Deciding and adding is one step under a lock on the slot's region, because two
workers that read before either writes would both let the last request through (docs/decisions/0003 has
the measurement). The lock is the kernel's on a byte of the file: it falls with a worker that dies.

Slots whose span of time is over are reused. When a region is full of running ones, the one that ends
first makes room, and that is counted.
"""

import fcntl
import mmap
import os
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Final

from tollhouse.pdk.services import Window

#: fields of a slot, eight bytes each: digest, digest, start, seconds, count, end of use
_DIGEST, _DIGEST2, _START, _SECONDS, _COUNT, _END = range(6)
_FIELDS: Final = 8
_REGION_SLOTS: Final = 256
_KNOWN_KEYS: Final = 100_000


def shared_file(slots: int = 131_072) -> int:
    """A file in memory for that many counters (64 bytes each); its descriptor is inherited by workers."""
    size = -(-slots // _REGION_SLOTS) * _REGION_SLOTS * _FIELDS * 8
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("tollhouse-counters")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor


class _Place:
    """Where a key's slots are."""

    __slots__ = ("first", "high", "low", "region", "slots")

    def __init__(self, key: str, regions: int) -> None:
        digest = blake2b(key.encode(), digest_size=16).digest()
        self.high = int.from_bytes(digest[:8], "little", signed=True)
        self.low = int.from_bytes(digest[8:], "little", signed=True)
        self.region = self.high % regions
        self.first = self.region * _REGION_SLOTS
        #: offsets of known slots by (start, seconds)
        self.slots: dict[tuple[int, int], int] = {}


class SharedCounters:
    """One process's view of the node's counters."""

    def __init__(self, descriptor: int, clock: Callable[[], float], *, alone: bool = False) -> None:
        self._descriptor = descriptor
        self._clock = clock
        self._alone = alone
        self._map = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        self._cells = memoryview(self._map).cast("q")
        self._regions = len(self._cells) // (_FIELDS * _REGION_SLOTS)
        self._places: dict[str, _Place] = {}
        #: running counters that had to make room
        self.evictions = 0

    def take(self, windows: Sequence[Window], amount: int = 1) -> tuple[bool, list[int]]:
        """Adds `amount` to every window's count if that keeps each within its limit.

        All windows must have one key. Returns whether it was added, and the counts after it.
        """
        place = self._place(windows[0].key)
        if self._alone:
            return self._take(place, windows, amount)
        with self._lock(place.region):
            return self._take(place, windows, amount)

    def add(self, window: Window, amount: int) -> int:
        """Adds without asking for a limit; returns the new count."""
        place = self._place(window.key)
        with self._lock(place.region):
            cell = self._slot(place, window) + _COUNT
            self._cells[cell] += amount
            return self._cells[cell]

    def read(self, window: Window) -> int:
        """The count as it is now."""
        place = self._place(window.key)
        with self._lock(place.region):
            return self._cells[self._slot(place, window) + _COUNT]

    def _take(self, place: _Place, windows: Sequence[Window], amount: int) -> tuple[bool, list[int]]:
        cells = self._cells
        places = [self._slot(place, window) + _COUNT for window in windows]
        counts = [cells[cell] for cell in places]
        for count, window in zip(counts, windows, strict=True):
            if count + amount > window.limit:
                return False, counts
        for cell in places:
            cells[cell] += amount
        return True, [count + amount for count in counts]

    def _place(self, key: str) -> _Place:
        place = self._places.get(key)
        if place is None:
            if len(self._places) >= _KNOWN_KEYS:
                self._places.clear()
            place = self._places[key] = _Place(key, self._regions)
        return place

    def _slot(self, place: _Place, window: Window) -> int:
        """The offset of the window's slot; takes a free one for a window that has none."""
        cells = self._cells
        start, seconds = window.start, window.seconds
        known = place.slots.get((start, seconds))
        if known is not None and self._belongs(known, place, start, seconds):
            return known
        offset = self._search(place, start, seconds)
        if not self._belongs(offset, place, start, seconds):
            cells[offset + _DIGEST], cells[offset + _DIGEST2] = place.high, place.low
            cells[offset + _START], cells[offset + _SECONDS] = start, seconds
            cells[offset + _COUNT] = 0
            cells[offset + _END] = start + seconds
        if len(place.slots) > _FIELDS:
            place.slots.clear()
        place.slots[(start, seconds)] = offset
        return offset

    def _belongs(self, offset: int, place: _Place, start: int, seconds: int) -> bool:
        cells = self._cells
        return (
            cells[offset + _DIGEST] == place.high
            and cells[offset + _START] == start
            and cells[offset + _DIGEST2] == place.low
            and cells[offset + _SECONDS] == seconds
        )

    def _search(self, place: _Place, start: int, seconds: int) -> int:
        """The slot of the window if it has one, else the best to take: free, over, or ending first."""
        cells, now = self._cells, int(self._clock())
        free, earliest = -1, -1
        for number in range(_REGION_SLOTS):
            offset = (place.first + (place.low + number) % _REGION_SLOTS) * _FIELDS
            if self._belongs(offset, place, start, seconds):
                return offset
            end = cells[offset + _END]
            if end <= now:
                free = offset if free < 0 else free
                if end == 0:
                    break  # never used: nothing was ever placed behind it
            elif earliest < 0 or end < cells[earliest + _END]:
                earliest = offset
        if free < 0:
            self.evictions += 1
            return earliest
        return free

    @contextmanager
    def _lock(self, region: int) -> Generator[None]:
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1, region)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, region)

    def close(self) -> None:
        self._cells.release()
        self._map.close()
