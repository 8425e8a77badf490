"""Host names to addresses, with their time to live, never blocking the loop.

c-ares does the asking (hosts file, search domains and server order as the system has them). An answer
is used until its time to live ends; after that it still serves while a new one is being asked for, so
that a slow name server delays nobody who was served before.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiodns
import pycares

from tollhouse.pdk.tasks import Tasks

log = logging.getLogger("tollhouse.dns")

_LOCAL: Final = ("127.0.0.1",)
#: as Kong's client words them
_FAILURES: Final = {
    aiodns.error.ARES_EFORMERR: "dns server error: 1 format error",
    aiodns.error.ARES_ESERVFAIL: "dns server error: 2 server failure",
    aiodns.error.ARES_ENOTIMP: "dns server error: 4 not implemented",
    aiodns.error.ARES_EREFUSED: "dns server error: 5 refused",
}
_NOT_FOUND: Final = frozenset({aiodns.error.ARES_ENOTFOUND, aiodns.error.ARES_ENODATA})


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Kong's `dns_*` settings, in seconds."""

    valid: float | None = None
    stale: float = 3600.0
    not_found: float = 30.0
    error: float = 1.0
    entries: int = 10_000


@dataclass(slots=True)
class _Answer:
    addresses: tuple[str, ...]
    fresh_until: float
    usable_until: float
    #: what the name server said instead of yes or no
    failure: str = ""


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """An SRV record (RFC 2782), valid for so many seconds."""

    priority: int
    weight: int
    port: int
    host: str
    seconds: int


class Resolver:
    """The names of one worker."""

    def __init__(
        self,
        clock: Callable[[], float],
        tasks: Tasks,
        lifetimes: Lifetimes,
        servers: Sequence[str] | None = None,
    ) -> None:
        """`servers` are asked in place of the system's, each as `address` or `address:port`."""
        self._servers = servers or None
        self._clock = clock
        self._tasks = tasks
        self._lifetimes = lifetimes
        self._answers: dict[str, _Answer] = {}
        self._asking: dict[str, asyncio.Task[_Answer]] = {}
        self._channel: aiodns.DNSResolver | None = None

    def known(self, name: str) -> tuple[str, ...]:
        """Addresses that can be used at once; empty if the name must be resolved first."""
        if name == "localhost":
            return _LOCAL
        answer = self._answers.get(name)
        if answer is None:
            return ()
        now = self._clock()
        if now >= answer.fresh_until:
            if now >= answer.usable_until:
                return ()
            self._ask(name)
        return answer.addresses

    async def resolve(self, name: str) -> tuple[str, ...]:
        """The addresses of a name, empty if it has none or nobody can tell."""
        known = self.known(name)
        if known:
            return known
        answer = self._answers.get(name)
        if answer is not None and self._clock() < answer.fresh_until:
            return answer.addresses
        return (await asyncio.shield(self._ask(name))).addresses

    def failure(self, name: str) -> str:
        """Why a name could not be resolved; empty if it is known to have no address."""
        answer = self._answers.get(name)
        return answer.failure if answer is not None else ""

    async def services(self, name: str) -> list[ServiceRecord]:
        """The SRV records of a name, none if it has none or nobody can tell."""
        try:
            found = await self._asked().query_dns(name, "SRV")
        except aiodns.error.DNSError as error:
            log.info("no SRV records of %s: %s", name, error)
            return []
        return [
            ServiceRecord(data.priority, data.weight, data.port, data.target, record.ttl)
            for record in found.answer
            if isinstance(data := record.data, pycares.SRVRecordData)
        ]

    def now(self) -> float:
        """This moment on the resolver's clock, in seconds."""
        return self._clock()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Looks something up while nobody waits for it."""
        self._tasks.spawn(work, name)

    def _asked(self) -> aiodns.DNSResolver:
        if self._channel is None:
            self._channel = aiodns.DNSResolver(nameservers=self._servers)
        return self._channel

    def _ask(self, name: str) -> asyncio.Task[_Answer]:
        task = self._asking.get(name)
        if task is None:
            task = self._asking[name] = self._tasks.spawn(self._look_up(name), f"resolve {name}")
            task.add_done_callback(lambda _: self._asking.pop(name, None))
        return task

    async def _look_up(self, name: str) -> _Answer:
        lifetimes = self._lifetimes
        now = self._clock()
        try:
            found = await self._asked().getaddrinfo(name, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM)
        except aiodns.error.DNSError as error:
            code = error.args[0] if error.args else None
            log.warning("cannot resolve %s: %s", name, error)
            earlier = self._answers.get(name)
            if earlier is not None and earlier.addresses and now < earlier.usable_until:
                earlier.fresh_until = now + lifetimes.error
                return earlier
            if code in _NOT_FOUND:
                return self._keep(name, _Answer((), now + lifetimes.not_found, 0.0))
            failure = _FAILURES.get(code) or f"dns client error: {error.args[-1]}"
            return self._keep(name, _Answer((), now + lifetimes.error, 0.0, failure))
        addresses = _preferred([node.addr[0].decode() for node in found.nodes])
        seconds = lifetimes.valid or max(1, min((node.ttl for node in found.nodes), default=1))
        return self._keep(name, _Answer(addresses, now + seconds, now + seconds + lifetimes.stale))

    def _keep(self, name: str, answer: _Answer) -> _Answer:
        if name not in self._answers and len(self._answers) >= self._lifetimes.entries:
            self._answers.pop(next(iter(self._answers)))
        self._answers[name] = answer
        return answer


def _preferred(addresses: list[str]) -> tuple[str, ...]:
    """IPv4 where there is any, as Kong's default `dns_order` (SRV, A) has it; else IPv6."""
    return tuple(dict.fromkeys([a for a in addresses if ":" not in a] or addresses))
