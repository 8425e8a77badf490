"""Work that is done once on a node, whichever worker is asked for it, and what came of it.

A claim is the kernel's lock on a byte of a shared file, one byte for each key: it falls with a process that
dies, so nothing is held for ever. What came of the work is kept in the same memory for all workers.
"""

import asyncio
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, lockf
from hashlib import blake2b
from typing import Final

from tollhouse.stores.responses import SharedResponses

#: behind all bytes that are memory; files end at 2**63
_FIRST_BYTE: Final = 1 << 48
_BYTES: Final = 1 << 61
#: a result is kept as one piece or as several; the first byte of its record tells which
_WHOLE: Final = b"\0"
_IN_PIECES: Final = b"\1"
#: so much of the memory takes one result at most
_LARGEST_PART: Final = 4
_PIECES_OF_LARGEST: Final = 8
#: how often a claim of another process is looked at, in seconds
_LOOK_SECONDS: Final = 0.02


class SharedClaims:
    """One process's view of what the node's processes are at."""

    def __init__(self, descriptor: int, results: SharedResponses) -> None:
        """`results` are in the file of that descriptor."""
        self._descriptor = descriptor
        self._results = results
        #: of this process, for which its own locks do not count; set when they end
        self._held: dict[int, asyncio.Event] = {}
        #: the longest result that is kept, in bytes
        self.largest_bytes = results.size_bytes // _LARGEST_PART
        self._whole_bytes = results.largest_bytes - 1
        # Small pieces spread evenly over the memory's regions.
        self._piece_bytes = max(1, results.largest_bytes // _PIECES_OF_LARGEST)

    def take(self, key: str) -> bool:
        """Whether the work is now the caller's; nobody else's until it is freed."""
        place = _place(key)
        if place in self._held or not self._lock(place):
            return False
        self._held[place] = asyncio.Event()
        return True

    def free(self, key: str) -> None:
        place = _place(key)
        held = self._held.pop(place, None)
        if held is not None:
            lockf(self._descriptor, LOCK_UN, 1, place)
            held.set()

    async def freed(self, key: str) -> None:
        """Waits until nobody has claimed it."""
        place = _place(key)
        while True:
            held = self._held.get(place)
            if held is not None:
                await held.wait()
            elif self._lock(place):
                lockf(self._descriptor, LOCK_UN, 1, place)
                return
            else:
                await asyncio.sleep(_LOOK_SECONDS)

    def find(self, key: str) -> bytes | None:
        """What came of it, if that is still known."""
        record = self._results.find(key)
        if record is None or record.startswith(_WHOLE):
            return None if record is None else record[1:]
        pieces = []
        for place in range(int.from_bytes(record[1:], "little")):
            piece = self._results.find(_piece_key(key, place))
            if piece is None:
                return None  # newer results have made it give way
            pieces.append(piece)
        return b"".join(pieces)

    def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keeps what came of it for so long."""
        if len(value) <= self._whole_bytes:
            self._results.put(key, _WHOLE + value, seconds)
            return
        size = self._piece_bytes
        starts = range(0, len(value), size)
        for place, start in enumerate(starts):
            self._results.put(_piece_key(key, place), value[start : start + size], seconds)
        self._results.put(key, _IN_PIECES + len(starts).to_bytes(4, "little"), seconds)

    def forget(self, key: str) -> None:
        self._results.delete(key)

    def _lock(self, place: int) -> bool:
        try:
            lockf(self._descriptor, LOCK_EX | LOCK_NB, 1, place)
        except OSError:
            return False
        return True


def _piece_key(key: str, place: int) -> str:
    return f"{key}#{place}"


def _place(key: str) -> int:
    digest = blake2b(key.encode("utf-8", "replace"), digest_size=8).digest()
    return _FIRST_BYTE + int.from_bytes(digest, "little") % _BYTES
