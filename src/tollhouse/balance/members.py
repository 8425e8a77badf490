"""The addresses that an upstream's requests are shared among, and how each of them is doing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

E = TypeVar("E")

#: what a member starts with of its weight, so that it is asked at all
LEAST_SHARE: Final = 0.1


@dataclass(slots=True)
class Condition:
    """How one address is doing, as far as this worker knows; kept while configurations come and go."""

    healthy: bool = True
    #: when it came beside others or recovered; 0.0 if it was there from the start
    began_at: float = 0.0
    #: exchanges under way
    open: int = 0
    #: smoothed seconds that answers took, and the instant of the last one; 0.0 before the first
    latency: float = 0.0
    answered_at: float = 0.0


@dataclass(slots=True, eq=False)
class Member(Generic[E]):
    """One address: how it is reached, its share, its condition."""

    ip: str
    port: int
    weight: int
    endpoint: E
    condition: Condition = field(default_factory=Condition)
    #: for so long after it began its weight grows, in seconds
    slow_start: float = 0.0
    #: the target's host
    name: str = ""

    def share_at(self, now: float) -> float:
        """How much of its weight it has at an instant: a tenth at first, all of it in the end."""
        if not self.slow_start or not self.condition.began_at:
            return 1.0
        return min(1.0, max(LEAST_SHARE, (now - self.condition.began_at) / self.slow_start))

    def weight_at(self, now: float) -> float:
        """The weight at an instant."""
        return self.weight * self.share_at(now)


class Chooser(Protocol[E]):
    """Chooses the member that gets the next request; members of weight 0 are not among them."""

    def choose(self, value: str | None, failed: Sequence[Member[E]], now: float) -> Member[E] | None:
        """A healthy member, one that has not failed this request before if there is such a one.

        `value` is what is hashed, `now` an instant in seconds. None if no member is healthy.
        """
        ...


def usable(members: Sequence[Member[E]], failed: Sequence[Member[E]]) -> list[Member[E]]:
    """The healthy members that have not failed yet, else all that are healthy."""
    healthy = [member for member in members if member.condition.healthy]
    if not failed:
        return healthy
    return [member for member in healthy if member not in failed] or healthy
