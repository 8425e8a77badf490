"""What a worker knows of the health of upstreams' addresses.

It counts what happens to its own requests, tells the control process, which counts for all workers and
probes, and takes over what control decides.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from tollhouse.balance.health import HealthCounts, Key, Outcome, outcome_of
from tollhouse.balance.members import Condition
from tollhouse.model.upstream import Passive, Upstream

_GATEWAY_TIMEOUT: Final = 504


class UpstreamHealth:
    """The conditions of all addresses, kept while configurations come and go."""

    def __init__(self) -> None:
        self._conditions: dict[Key, Condition] = {}
        self._counts = HealthCounts()
        #: the addresses that each upstream had when somebody looked last
        self._looked: dict[str, frozenset[Key]] = {}
        #: tells control what happened; set while there is a control process
        self.tell: Callable[[Key, Outcome], None] | None = None

    def condition(self, key: Key) -> Condition:
        """The condition of an address; there is one for all services that use it."""
        return self._conditions.setdefault(key, Condition())

    def looked(self, upstream: str, keys: Collection[Key], now: float) -> None:
        """Takes note of the addresses that an upstream has; those that came beside others begin now."""
        before = self._looked.get(upstream)
        self._looked[upstream] = frozenset(keys)
        for key in self._looked[upstream] - before if before else ():
            self.condition(key).began_at = now

    def report(self, key: Key, outcome: Outcome, limit: int) -> None:
        """Counts what happened to a request; enough of it takes the address out."""
        if limit == 0 or (outcome == "success" and self._counts.is_spotless(key)):
            return
        if self.tell is not None:
            self.tell(key, outcome)
        changed = self._counts.report(key, outcome, limit)
        if changed is not None:
            self._become(key, healthy=changed)

    def decided(self, key: Key, *, healthy: bool) -> None:
        """Takes over what control has decided."""
        self._counts.set(key, healthy=healthy)
        self._become(key, healthy=healthy)

    def _become(self, key: Key, *, healthy: bool) -> None:
        condition = self.condition(key)
        if healthy and not condition.healthy:
            condition.began_at = perf_counter()
        condition.healthy = healthy

    def keep(self, upstreams: Collection[str]) -> None:
        """Forgets upstreams that are gone."""
        self._counts.keep(upstreams)
        kept = {key: value for key, value in self._conditions.items() if key[0] in upstreams}
        self._conditions = kept
        self._looked = {upstream: keys for upstream, keys in self._looked.items() if upstream in upstreams}


@dataclass(frozen=True, slots=True)
class PassiveChecks:
    """How an upstream's own traffic decides about its addresses."""

    health: UpstreamHealth
    passive: Passive
    healthy: frozenset[int]
    unhealthy: frozenset[int]

    @classmethod
    def of(cls, upstream: Upstream, health: UpstreamHealth) -> "PassiveChecks | None":
        """None if traffic never takes an address out."""
        passive = upstream.healthchecks.passive
        bad = passive.unhealthy
        if not (bad.tcp_failures or bad.timeouts or bad.http_failures):
            return None
        return cls(
            health,
            passive,
            frozenset(passive.healthy.http_statuses or ()),
            frozenset(bad.http_statuses or ()),
        )

    def answered(self, key: Key, status: int) -> None:
        """The address has answered with a status."""
        if status == _GATEWAY_TIMEOUT:
            self.health.report(key, "timeout", self.passive.unhealthy.timeouts or 0)
            return
        outcome = outcome_of(status, self.healthy, self.unhealthy)
        if outcome == "success":
            self.health.report(key, "success", self.passive.healthy.successes or 0)
        elif outcome == "http_failure":
            self.health.report(key, "http_failure", self.passive.unhealthy.http_failures or 0)

    def failed(self, key: Key, status: int) -> None:
        """An attempt has failed; `status` is what a client would be told for it."""
        bad = self.passive.unhealthy
        if status == _GATEWAY_TIMEOUT:
            self.health.report(key, "timeout", bad.timeouts or 0)
        else:
            self.health.report(key, "tcp_failure", bad.tcp_failures or 0)
