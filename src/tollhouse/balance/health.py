"""When an address stops getting requests, and when it gets them again: Kong's thresholds, counted."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

#: what happened to a request or a probe
Outcome: TypeAlias = Literal["success", "http_failure", "tcp_failure", "timeout"]
#: an upstream's id, the host of one of its targets, and one of the addresses that it stands for
Key: TypeAlias = tuple[str, str, str, int]

FAILURES: Final = ("http_failure", "tcp_failure", "timeout")


@dataclass(slots=True)
class _Counted:
    healthy: bool = True
    success: int = 0
    http_failure: int = 0
    tcp_failure: int = 0
    timeout: int = 0

    def clear(self) -> None:
        self.success = self.http_failure = self.tcp_failure = self.timeout = 0


class HealthCounts:
    """The health of many addresses; one that nothing is known of is healthy."""

    def __init__(self) -> None:
        self._counted: dict[Key, _Counted] = {}

    def is_healthy(self, key: Key) -> bool | None:
        """None if nothing has happened to it yet."""
        counted = self._counted.get(key)
        return counted.healthy if counted is not None else None

    def is_spotless(self, key: Key) -> bool:
        """Whether one more success would change nothing."""
        counted = self._counted.get(key)
        return counted is None or (
            counted.healthy and not any(getattr(counted, failure) for failure in FAILURES)
        )

    def report(self, key: Key, outcome: Outcome, limit: int) -> bool | None:
        """Counts an outcome of which `limit` in a row change the health; returns it if it has changed.

        A limit of 0 means that this outcome does not count.
        """
        if limit == 0 or (outcome == "success" and self.is_spotless(key)):
            return None
        counted = self._counted.setdefault(key, _Counted())
        if outcome == "success":
            counted.http_failure = counted.tcp_failure = counted.timeout = 0
        else:
            counted.success = 0
        number = getattr(counted, outcome) + 1
        setattr(counted, outcome, number)
        good = outcome == "success"
        if number < limit or counted.healthy == good:
            return None
        counted.healthy = good
        counted.clear()
        return good

    def set(self, key: Key, *, healthy: bool) -> bool:
        """Decides without counting; whether that changed anything."""
        counted = self._counted.setdefault(key, _Counted())
        changed = counted.healthy != healthy
        counted.healthy = healthy
        counted.clear()
        return changed

    def keep(self, upstreams: Collection[str]) -> None:
        """Forgets upstreams that are gone."""
        self._counted = {key: counted for key, counted in self._counted.items() if key[0] in upstreams}

    def unhealthy(self) -> Iterator[Key]:
        """Every address that gets no requests."""
        return (key for key, counted in self._counted.items() if not counted.healthy)


def outcome_of(status: int, healthy: Collection[int], unhealthy: Collection[int]) -> Outcome | None:
    """What a status says of an address; None for one that says nothing."""
    if status in unhealthy:
        return "http_failure"
    return "success" if status in healthy else None
