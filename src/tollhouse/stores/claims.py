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
        self.largest_bytes = results.largest_bytes

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
        return self._results.find(key)

    def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keeps what came of it for so long."""
        self._results.put(key, value, seconds)

    def forget(self, key: str) -> None:
        self._results.delete(key)

    def _lock(self, place: int) -> bool:
        try:
            lockf(self._descriptor, LOCK_EX | LOCK_NB, 1, place)
        except OSError:
            return False
        return True


def _place(key: str) -> int:
    digest = blake2b(key.encode("utf-8", "replace"), digest_size=8).digest()
    return _FIRST_BYTE + int.from_bytes(digest, "little") % _BYTES
