"""The faster of two members drawn at random, by a moving average of how long their answers took.

Two random choices keep a member that has just become fast from being flooded by every worker at once
(Mitzenmacher, "The power of two choices in randomized load balancing").
"""

from collections.abc import Callable, Sequence
from math import exp
from typing import Final, Generic, TypeVar

from tollhouse.balance.members import Condition, Member, usable

E = TypeVar("E")

#: seconds in which an old latency loses most of its say
DECAY_SECONDS: Final = 10.0


class LowestLatency(Generic[E]):
    """`draw(n)` gives a random whole number below n."""

    def __init__(self, members: Sequence[Member[E]], draw: Callable[[int], int]) -> None:
        self._members = list(members)
        self._draw = draw

    def choose(self, value: str | None, failed: Sequence[Member[E]], now: float) -> Member[E] | None:
        """The better of two; one that was never asked counts as fast, so that it gets asked."""
        members = usable(self._members, failed)
        if len(members) < 2:
            return members[0] if members else None
        first = self._draw(len(members))
        second = (first + 1 + self._draw(len(members) - 1)) % len(members)
        return min(members[first], members[second], key=lambda member: _score(member, now))


def _score(member: Member[E], now: float) -> float:
    condition = member.condition
    return condition.latency * exp(-max(0.0, now - condition.answered_at) / DECAY_SECONDS) / member.weight


def answered(condition: Condition, seconds: float, now: float) -> None:
    """Takes an answer into account that took so long."""
    if not condition.answered_at:
        condition.latency = seconds
    else:
        share = exp(-max(0.0, now - condition.answered_at) / DECAY_SECONDS)
        condition.latency = condition.latency * share + seconds * (1.0 - share)
    condition.answered_at = now
