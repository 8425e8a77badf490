"""The same value goes to the same member, and few values move when members come or go (ketama)."""

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from tollhouse.balance.members import Member, usable

E = TypeVar("E")

#: Kong takes fewer slots for this many
FEWEST_SLOTS: Final = 1000
#: points of a member of average weight
POINTS: Final = 160


class ConsistentHashing(Generic[E]):
    """A ring of `slots` on which every member has points by its weight."""

    def __init__(self, members: Sequence[Member[E]], slots: int) -> None:
        self._slots = max(slots, FEWEST_SLOTS)
        self._members = members
        total = sum(member.weight for member in members) or 1
        ring: dict[int, Member[E]] = {}
        for member in members:
            count = max(1, round(POINTS * len(members) * member.weight / total))
            for number in range(count):
                ring.setdefault(self._slot(f"{member.ip}:{member.port} {number}"), member)
        self._points = sorted(ring)
        self._owners = [ring[point] for point in self._points]

    def _slot(self, text: str) -> int:
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self._slots

    def choose(self, value: str | None, failed: Sequence[Member[E]], now: float) -> Member[E] | None:
        """The owner of the value's place; if it cannot be used, the next one counter-clockwise."""
        able = usable(self._members, failed)
        if not able:
            return None
        start = bisect_right(self._points, self._slot(value or "")) - 1
        owners = (self._owners[start - step] for step in range(len(self._owners)))
        return next((owner for owner in owners if owner in able), able[0])
