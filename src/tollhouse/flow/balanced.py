"""The targets of an upstream: their addresses, who of them gets an exchange, how it went there."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

from tollhouse.balance.consistent_hashing import ConsistentHashing
from tollhouse.balance.health import Key
from tollhouse.balance.latency import LowestLatency, answered
from tollhouse.balance.least_connections import LeastConnections
from tollhouse.balance.members import Chooser, Member
from tollhouse.balance.round_robin import RoundRobin
from tollhouse.balance.slow_start import SlowStart
from tollhouse.errors import Reject
from tollhouse.flow.backend import Dial, Endpoint
from tollhouse.flow.health import PassiveChecks, UpstreamHealth
from tollhouse.model.upstream import Upstream
from tollhouse.pdk.exchange import Try
from tollhouse.upstream.target_names import TargetNames

NO_PEER: Final = "failure to get a peer from the ring-balancer"
NO_OTHER_PEER: Final = "The upstream server is currently unavailable"
#: how often names are looked at for new addresses, in seconds
_LOOK_SECONDS: Final = 0.5

_Member: TypeAlias = Member[Endpoint]
#: an address with its port and weight, the target's host, and the name that requests to it ask for
_Address: TypeAlias = tuple[str, int, int, str, str]


class Asking(Protocol):
    """Whoever asks for a member: what it remembers of its attempts."""

    #: the member that it was given
    lease: "Lease | None"
    #: those that have failed it before
    failed_members: Sequence[_Member]
    tries: list[Try] | None


A = TypeVar("A", bound=Asking)


@dataclass(frozen=True, slots=True)
class TargetAddress:
    """One target as it is configured: a name or an address, its port and weight."""

    host: str
    port: int
    weight: int
    is_ip: bool


class _Told(Protocol):
    """Learns how attempts went."""

    def answered(self, member: _Member, status: int) -> None: ...

    def failed(self, member: _Member, status: int) -> None: ...


class Lease:
    """One attempt at a member, until it has ended."""

    __slots__ = ("_member", "_started", "_told")

    def __init__(self, told: "_Told", member: _Member, started: float) -> None:
        self._told = told
        self._member = member
        self._started = started
        member.condition.open += 1

    def failed(self, status: int, *, stale: bool) -> _Member:
        """The attempt failed; a connection that had been closed in the meantime says nothing of health."""
        self._member.condition.open -= 1
        if not stale:
            self._told.failed(self._member, status)
        return self._member

    def ended(self, status: int, answered_at: float) -> None:
        """The exchange has ended; `status` is the upstream's, 0 if it has not answered."""
        self._member.condition.open -= 1
        if status:
            self.answered(status, answered_at)

    def answered(self, status: int, answered_at: float) -> None:
        """The attempt has succeeded; the exchange may go on for long."""
        answered(self._member.condition, max(0.0, answered_at - self._started), answered_at)
        self._told.answered(self._member, status)


class Balanced(Generic[A]):
    """Picks among the addresses of an upstream's targets. One for each service that uses the upstream."""

    def __init__(
        self,
        upstream: Upstream,
        targets: Sequence[TargetAddress],
        dial: Dial,
        names: TargetNames,
        health: UpstreamHealth,
        hashed: Callable[[A], str | None],
    ) -> None:
        self._upstream = upstream
        self.configured = targets
        self._dial = dial
        self._names = names
        self._health = health
        self._hashed = hashed if upstream.algorithm == "consistent-hashing" else None
        self._passive = PassiveChecks.of(upstream, health)
        self._threshold = upstream.healthchecks.threshold or 0
        self._slow_start = upstream.slow_start or 0.0
        self._members: list[_Member] = []
        self._chooser: Chooser[Endpoint] = RoundRobin((), random.SystemRandom().shuffle)
        self._known: list[_Address] | None = None
        self._look_at = 0.0

    def now(self, asking: A) -> Endpoint | None:
        """The next endpoint; None while names must be looked up first. Raises `Reject`."""
        now = perf_counter()
        if now >= self._look_at and not self._look(now):
            return None
        return self._choose(asking, now)

    async def pick(self, asking: A) -> Endpoint:
        """The next endpoint, names looked up. Raises `Reject`."""
        for target in self.configured:
            if not target.is_ip:
                await self._names.resolve(target.host)
        now = perf_counter()
        self._look(now)
        return self._choose(asking, now)

    # Members

    def _look(self, now: float) -> bool:
        """Brings the members up to date; False if some name was never looked up."""
        known: list[_Address] = []
        for target in self.configured:
            if target.is_ip:
                ip = target.host.strip("[]")
                known.append((ip, target.port, target.weight, ip, ip))
                continue
            records = self._names.known(target.host)
            if records is None:
                return False
            known.extend(
                (
                    record.ip,
                    record.port or target.port,
                    record.weight or target.weight,
                    target.host,
                    (record.host if self._upstream.use_srv_name else None) or target.host,
                )
                for record in records
            )
        self._look_at = now + _LOOK_SECONDS
        if known != self._known:
            self._known = known
            self._members = [self._member(*address) for address in known if address[2] > 0]
            self._health.looked(self._upstream.id, [self._key(member) for member in self._members], now)
            self._chooser = self._make_chooser()
        return True

    def _member(self, ip: str, port: int, weight: int, name: str, shown: str) -> _Member:
        endpoint = self._dial.endpoint(ip, port, self._upstream.host_header or shown)
        condition = self._health.condition((self._upstream.id, name, ip, port))
        return Member(ip, port, weight, endpoint, condition, self._slow_start, name)

    def _key(self, member: _Member) -> Key:
        return self._upstream.id, member.name, member.ip, member.port

    def _make_chooser(self) -> Chooser[Endpoint]:
        chooser: Chooser[Endpoint]
        match self._upstream.algorithm:
            case "least-connections":
                return LeastConnections(self._members)
            case "latency":
                chooser = LowestLatency(self._members, random.SystemRandom().randrange)
            case "consistent-hashing":
                chooser = ConsistentHashing(self._members, self._upstream.slots or 10_000)
            case _:
                chooser = RoundRobin(self._members, random.SystemRandom().shuffle)
        return SlowStart(chooser, random.SystemRandom().random) if self._slow_start else chooser

    def _choose(self, asking: A, now: float) -> Endpoint:
        if self._threshold and not self._is_healthy():
            raise Reject(503, NO_PEER)
        value = self._hashed(asking) if self._hashed is not None else None
        member = self._chooser.choose(value, asking.failed_members, now)
        if member is None:
            raise Reject(503, NO_OTHER_PEER if asking.tries else NO_PEER)
        asking.lease = Lease(self, member, now)
        return member.endpoint

    def _is_healthy(self) -> bool:
        """Whether enough of the weight is there: strictly more than the threshold, in percent."""
        total = sum(member.weight for member in self._members)
        available = sum(member.weight for member in self._members if member.condition.healthy)
        return total > 0 and available / total * 100 > self._threshold

    # What happened

    def answered(self, member: _Member, status: int) -> None:
        """A member has answered."""
        if self._passive is not None:
            self._passive.answered(self._key(member), status)

    def failed(self, member: _Member, status: int) -> None:
        """An attempt at a member has failed."""
        if self._passive is not None:
            self._passive.failed(self._key(member), status)


def balanced(
    upstream: Upstream,
    targets: Sequence[tuple[str, int]],
    dial: Dial,
    names: TargetNames,
    health: UpstreamHealth,
    is_ip: Callable[[str], bool],
    hashed: Callable[[A], str | None],
) -> Balanced[A]:
    """The balancer of an upstream; `targets` are `host:port` and weight."""
    addresses = []
    for target, weight in targets:
        host, _, port = target.rpartition(":")
        addresses.append(TargetAddress(host, int(port), weight, is_ip(host)))
    return Balanced(upstream, addresses, dial, names, health, hashed)
