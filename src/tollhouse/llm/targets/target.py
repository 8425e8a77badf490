"""One of several models, and what has been seen of it."""

from dataclasses import dataclass, field
from typing import Final

#: how much the newest observation counts
_NEWEST: Final = 0.3


@dataclass(slots=True)
class Seen:
    """What one worker has seen of a target."""

    #: requests that are under way
    running: int = 0
    #: a moving mean, in seconds; `None` before the first answer
    latency: float | None = None
    #: tokens, or billionths of a dollar, as `balancer.tokens_count_strategy` says
    used: int = 0

    def took(self, seconds: float) -> None:
        before = self.latency
        # As a peak does more harm than a mean tells, it counts in full at once and fades slowly.
        if before is None or seconds > before:
            self.latency = seconds
        else:
            self.latency = before + _NEWEST * (seconds - before)


@dataclass(slots=True)
class Breaker:
    """Keeps requests away from a target that has failed too often.

    The count is of all failures, not of those in a row; it starts again with a success that comes
    `fail_seconds` after the last of them. `most` 0: never.
    """

    most: int
    fail_seconds: float
    failures: int = 0
    failed_at: float = 0.0
    #: the one request that is let through to see whether the target is back
    probing: bool = False

    def is_closed(self, now: float) -> bool:
        """Whether the target may be asked."""
        if not self.most or self.failures < self.most:
            return True
        return not self.probing and now - self.failed_at >= self.fail_seconds

    def asked(self) -> None:
        self.probing = bool(self.most) and self.failures >= self.most

    def failed(self, now: float) -> None:
        self.failures += 1
        self.failed_at = now
        self.probing = False

    def answered(self, now: float) -> None:
        self.probing = False
        if now - self.failed_at >= self.fail_seconds:
            self.failures = 0

    def left(self) -> None:
        """The request ended and nobody knows what the target would have said."""
        self.probing = False


@dataclass(slots=True, eq=False)
class Target:
    """A place in the list of targets."""

    number: int
    #: tells it from the others, and stays the same when others come or go
    label: str
    weight: int
    breaker: Breaker
    seen: Seen = field(default_factory=Seen)
