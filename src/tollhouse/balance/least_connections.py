"""The member with the fewest exchanges under way for its weight."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from tollhouse.balance.members import Member, usable

E = TypeVar("E")


class LeastConnections(Generic[E]):
    """Compares (exchanges + 1) / weight, as Kong does, so that an idle member is judged by its weight."""

    def __init__(self, members: Sequence[Member[E]]) -> None:
        self._members = list(members)

    def choose(self, value: str | None, failed: Sequence[Member[E]], now: float) -> Member[E] | None:
        """The least busy member; among equals, the one that was not chosen longest."""
        chosen = min(
            usable(self._members, failed),
            key=lambda member: (member.condition.open + 1) / member.weight_at(now),
            default=None,
        )
        if chosen is not None:
            self._members.remove(chosen)
            self._members.append(chosen)
        return chosen
