"""Counters in memory that all workers of a node share: exact, and kept over reloads and crashes.

The supervisor makes one file in memory before it starts workers; each maps it. A count has a slot, found
by the digest of its key. Deciding and adding is one step under a lock on the slot's region, because two
workers that read before either writes would both let the last request through (docs/decisions/0003 has
the measurement). The lock is the kernel's on a byte of the file: it falls with a worker that dies.

Slots whose span of time is over are reused. When a region is full of running ones, the one that ends
first makes room, and that is counted.
"""

import mmap
import os
import struct
import tempfile
from collections.abc import Callable, Sequence
from fcntl import LOCK_EX, LOCK_UN, lockf
from hashlib import blake2b
from typing import Final

from tollhouse.pdk.services import Window

#: a slot: its identity (digest of the key, start and length of the span), the count, the end of its use
_IDENTITY: Final = struct.Struct("<16sqq")
_IDENTITY_BYTES: Final = _IDENTITY.size
_COUNT, _END = 4, 5
_SLOT_CELLS: Final = 8
_CELL_BYTES: Final = 8
SLOT_BYTES: Final = _SLOT_CELLS * _CELL_BYTES
_REGION_SLOTS: Final = 256
_KNOWN_SLOTS: Final = 100_000


def shared_file(slots: int = 131_072) -> int:
    """A file in memory for that many counters (64 bytes each); its descriptor is inherited by workers."""
    size = -(-slots // _REGION_SLOTS) * _REGION_SLOTS * SLOT_BYTES
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("tollhouse-counters")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor


class _Slot:
    """Where a window is counted, as far as this process knows."""

    __slots__ = ("at", "cell", "end", "first", "identity", "limit", "region")

    def __init__(self, window: Window, regions: int) -> None:
        digest = blake2b(window.key.encode(), digest_size=16).digest()
        #: windows of one key are in one region, so that one lock covers them
        self.region = int.from_bytes(digest[:8], "little") % regions
        self.first = int.from_bytes(digest[8:], "little") % _REGION_SLOTS
        self.identity = _IDENTITY.pack(digest, window.start, window.seconds)
        self.end = window.start + window.seconds + window.kept
        self.limit = window.limit
        self.move(self.region * _REGION_SLOTS + self.first)

    def move(self, number: int) -> None:
        """Notes that it is the slot of that number."""
        self.at = number * SLOT_BYTES
        self.cell = number * _SLOT_CELLS + _COUNT


class SharedTally:
    """Windows of one key that count together."""

    __slots__ = ("_counters", "_only", "_region", "_slots")

    def __init__(self, counters: "SharedCounters", slots: Sequence[_Slot]) -> None:
        self._counters = counters
        self._slots = slots
        self._region = slots[0].region
        #: nearly always there is one window, which spares the loops
        self._only = slots[0] if len(slots) == 1 else None

    def take(self, amount: int = 1) -> tuple[bool, list[int]]:
        """Adds `amount` to every window's count if that keeps each within its limit.

        Returns whether it was added, and the counts after it (before it if it was not added).
        """
        counters, region = self._counters, self._region
        # Called for every request: a context manager would cost as much as the lock.
        lockf(counters.descriptor, LOCK_EX, 1, region)
        try:
            return self._take(amount)
        finally:
            lockf(counters.descriptor, LOCK_UN, 1, region)

    def allow(self, limits: Sequence[float]) -> None:
        """Other limits than those of the windows, from now on."""
        for slot, limit in zip(self._slots, limits, strict=True):
            slot.limit = limit

    def _take(self, amount: int = 1) -> tuple[bool, list[int]]:
        counters = self._counters
        memory, cells = counters.memory, counters.cells
        only = self._only
        if only is not None:
            at = only.at
            if memory[at : at + _IDENTITY_BYTES] != only.identity:
                counters.settle(only)
            count = cells[only.cell]
            if count + amount > only.limit:
                return False, [count]
            cells[only.cell] = count = count + amount
            return True, [count]
        counts = []
        fits = True
        for slot in self._slots:
            at = slot.at
            if memory[at : at + _IDENTITY_BYTES] != slot.identity:
                counters.settle(slot)
            count = cells[slot.cell] + amount
            if count > slot.limit:
                fits = False
            counts.append(count)
        if not fits:
            return False, [count - amount for count in counts]
        for slot, count in zip(self._slots, counts, strict=True):
            cells[slot.cell] = count
        return True, counts


class LoneTally(SharedTally):
    """The same where no other process counts, so that nothing needs a lock."""

    __slots__ = ()
    take = SharedTally._take


class SharedCounters:
    """One process's view of the node's counters."""

    def __init__(self, descriptor: int, clock: Callable[[], float], *, alone: bool = False) -> None:
        self.descriptor = descriptor
        #: `alone`: nobody else counts
        self._tally = LoneTally if alone else SharedTally
        self.memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        self.cells = memoryview(self.memory).cast("q")
        #: running counters that had to make room
        self.evictions = 0
        self._clock = clock
        self._regions = len(self.cells) // (_SLOT_CELLS * _REGION_SLOTS)
        self._known: dict[tuple[str, int, int], _Slot] = {}

    def tally(self, windows: Sequence[Window]) -> SharedTally:
        """Counts these windows, which have one key, together."""
        return self._tally(self, [_Slot(window, self._regions) for window in windows])

    def add(self, window: Window, amount: int) -> int:
        """Adds without asking for a limit; returns the new count."""
        slot = self._slot(window)
        lockf(self.descriptor, LOCK_EX, 1, slot.region)
        try:
            self.settle(slot)
            self.cells[slot.cell] += amount
            return self.cells[slot.cell]
        finally:
            lockf(self.descriptor, LOCK_UN, 1, slot.region)

    def read(self, window: Window) -> int:
        """The count as it is now."""
        return self.add(window, 0)

    def _slot(self, window: Window) -> _Slot:
        key = (window.key, window.start, window.seconds)
        slot = self._known.get(key)
        if slot is None:
            if len(self._known) >= _KNOWN_SLOTS:
                self._known.clear()
            slot = self._known[key] = _Slot(window, self._regions)
        return slot

    def settle(self, slot: _Slot) -> None:
        """Finds the window's slot, or takes one for it; the region's lock must be held."""
        if self.memory[slot.at : slot.at + _IDENTITY_BYTES] == slot.identity:
            return
        number, is_found = self._search(slot)
        slot.move(number)
        if not is_found:
            # The identity comes last: a worker that dies before it leaves no foreign count behind.
            self.cells[slot.cell] = 0
            self.cells[slot.cell - _COUNT + _END] = slot.end
            self.memory[slot.at : slot.at + _IDENTITY_BYTES] = slot.identity

    def _search(self, slot: _Slot) -> tuple[int, bool]:
        """The window's slot if it has one, else the best to take: free, over, or ending first."""
        cells, memory, now = self.cells, self.memory, int(self._clock())
        free, earliest, earliest_end = -1, -1, 0
        for step in range(_REGION_SLOTS):
            number = slot.region * _REGION_SLOTS + (slot.first + step) % _REGION_SLOTS
            at = number * SLOT_BYTES
            if memory[at : at + _IDENTITY_BYTES] == slot.identity:
                return number, True
            end = cells[number * _SLOT_CELLS + _END]
            if end <= now:
                free = number if free < 0 else free
                if end == 0:
                    break  # never used: nothing was ever placed behind it
            elif earliest < 0 or end < earliest_end:
                earliest, earliest_end = number, end
        if free >= 0:
            return free, False
        self.evictions += 1
        return earliest, False

    def close(self) -> None:
        """Lets go of the memory; the counts stay for the other workers."""
        self.cells.release()
        self.memory.close()
