"""Members that are new or have recovered get their share of the requests little by little.

`least-connections` compares members by their weight, and so by what it has grown to (`Member.weight_at`): a
member that has just come is idle, and would else get everything. Of what other choosers give to a member that
is still growing, some goes to the next one instead.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from tollhouse.balance.members import Chooser, Member

E = TypeVar("E")


class SlowStart(Generic[E]):
    """Chooses as another chooser does, passing over members that are still growing as often as they have
    yet to grow. `draw()` gives a random number from 0 to 1; what is hashed decides for itself, so that a
    value that has moved to such a member stays there."""

    def __init__(self, chooser: Chooser[E], draw: Callable[[], float]) -> None:
        self._chooser = chooser
        self._draw = draw

    def choose(self, value: str | None, failed: Sequence[Member[E]], now: float) -> Member[E] | None:
        """A member that takes this request, else the first one that came up."""
        first: Member[E] | None = None
        passed = list(failed)
        while True:
            member = self._chooser.choose(value, passed, now)
            if member is None or member in passed:
                return first or member
            share = member.share_at(now)
            if share >= 1 or (self._draw() if value is None else _fraction(value)) < share:
                return member
            first = first or member
            passed.append(member)


def _fraction(value: str) -> float:
    """A number from 0 to 1 that is always the same for a value."""
    # Another hash than the ring's, or the values of a place would all be lucky, or none.
    digest = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8, person=b"slow-start")
    return int.from_bytes(digest.digest(), "big") / 2**64
