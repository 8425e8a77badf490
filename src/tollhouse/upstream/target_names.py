"""Names of an upstream's targets to addresses with ports and weights, by SRV records where there are any.

Kong asks for SRV records of every name first. Here a name is asked for its addresses first, so that hosts
files count and nobody waits for a question that has no answer; SRV records are asked for where a name has
no address, or begins with an underscore as names of services do (RFC 2782).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tollhouse.upstream.dns import Resolver, ServiceRecord

#: how long a name without records is left alone, in seconds
_EMPTY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class TargetRecord:
    """One address; port and weight are None where only the target's own are known."""

    ip: str
    port: int | None = None
    weight: int | None = None
    #: the host of its SRV record
    host: str | None = None


@dataclass(slots=True)
class _Known:
    records: tuple[ServiceRecord, ...]
    fresh_until: float


class TargetNames:
    """Looks names up for balancers; what is known is given out at once and renewed in the background."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._services: dict[str, _Known] = {}

    def known(self, name: str) -> tuple[TargetRecord, ...] | None:
        """What is known of a name, None if it was never looked up."""
        addresses = self._resolver.known(name)
        if addresses:
            return tuple(TargetRecord(address) for address in addresses)
        found = self._services.get(name)
        if found is None:
            return None
        if self._resolver.now() >= found.fresh_until:
            found.fresh_until = self._resolver.now() + _EMPTY_SECONDS
            self._resolver.spawn(self._look_up(name), f"look up {name}")
        return self._joined(found.records)

    async def resolve(self, name: str) -> tuple[TargetRecord, ...]:
        """The addresses of a name, none if it has none or nobody can tell."""
        known = self.known(name)
        if known is None:
            await self._look_up(name)
            known = self.known(name)
        return known or ()

    async def _look_up(self, name: str) -> None:
        if not name.startswith("_") and await self._resolver.resolve(name):
            self._services.pop(name, None)
            return
        records = tuple(await self._resolver.services(name))
        seconds = min((record.seconds for record in records), default=0) or _EMPTY_SECONDS
        for record in records:
            await self._resolver.resolve(record.host)
        self._services[name] = _Known(records, self._resolver.now() + seconds)

    def _joined(self, records: Sequence[ServiceRecord]) -> tuple[TargetRecord, ...]:
        """The addresses of the most wanted records; a weight of 0 counts as 1, as in Kong."""
        best = min((record.priority for record in records), default=0)
        return tuple(
            TargetRecord(address, record.port, record.weight or 1, record.host)
            for record in records
            if record.priority == best
            for address in self._resolver.known(record.host)
        )
