"""Where a service's requests go: one address, a name, or the targets of an upstream."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from msgspec.structs import replace

from tollhouse.errors import Reject
from tollhouse.flow.forwarded import host_without_port
from tollhouse.pdk.exchange import Patience
from tollhouse.upstream.dns import Resolver
from tollhouse.upstream.http1 import Timeouts
from tollhouse.upstream.pool import USUAL_TLS, Address, Pool, Pools, TlsProfile

log = logging.getLogger("tollhouse.flow")

if TYPE_CHECKING:
    from tollhouse.flow.drive import DrivenExchange

A_contra = TypeVar("A_contra", contravariant=True)

_KNOWN: Final = 256
NAME_FAILED = "name resolution failed"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address to send to, and the value of Host that it gets."""

    pool: Pool
    host: str
    pools: Pools

    def for_host(self, host: str) -> "Endpoint":
        """The same, asked for by another name: TLS follows Host, as in Kong."""
        return Endpoint(self.pools.named(self.pool.address, _tls_name(host)), self.host, self.pools)


class Targets(Protocol[A_contra]):
    """Picks an endpoint for whoever asks. `now` is for what can be told at once, `pick` for what must be
    looked up."""

    def now(self, asking: A_contra, /) -> Endpoint | None: ...

    async def pick(self, asking: A_contra, /) -> Endpoint: ...


@dataclass(slots=True)
class Backend:
    """A service's side of a plan."""

    targets: "Targets[DrivenExchange]"
    #: the endpoint, if there is but one and nothing to look up
    endpoint: Endpoint | None
    retries: int
    timeouts: Timeouts
    _patient: dict[Patience, "Backend"] = field(default_factory=dict)

    def with_patience(self, patience: Patience) -> "Backend":
        """The same with a plugin's patience in place of the service's."""
        found = self._patient.get(patience)
        if found is None:
            timeouts = self.timeouts
            first, gap, total = patience.with_read(timeouts.read)
            timeouts = replace(
                timeouts,
                read=gap,
                first=first,
                total=total,
                connect=patience.connect or timeouts.connect,
                write=patience.write or timeouts.write,
            )
            retries = self.retries if patience.retries is None else patience.retries
            if len(self._patient) >= _KNOWN:
                self._patient.clear()
            found = self._patient[patience] = Backend(self.targets, self.endpoint, retries, timeouts)
        return found


@dataclass(frozen=True, slots=True)
class Dial:
    """How a service's endpoints are reached: scheme and TLS settings."""

    pools: Pools
    resolver: Resolver
    tls: bool = False
    verify: bool = False
    tls_profile: TlsProfile = USUAL_TLS
    http2: bool = False

    def endpoint(self, ip: str, port: int, host: str) -> Endpoint:
        """The endpoint at an address; `host` is the name for Host and TLS."""
        name = _tls_name(host)
        address = (
            Address(ip, port, True, name, self.verify, self.tls_profile, self.http2)
            if self.tls
            else Address(ip, port, http2=self.http2)
        )
        return Endpoint(self.pools.at(address), host_field(host, port, tls=self.tls), self.pools)


def _tls_name(host: str) -> str:
    """What TLS asks for: Host without port and brackets. A bare IPv6 address has more than one colon."""
    return (host_without_port(host) if host.startswith("[") or host.count(":") == 1 else host).strip("[]")


def host_field(host: str, port: int, *, tls: bool) -> str:
    """Host as Kong sends it: with the port unless that is the scheme's own."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port == (443 if tls else 80) else f"{shown}:{port}"


@dataclass(slots=True)
class Fixed:
    """A single address."""

    endpoint: Endpoint

    def now(self, asking: object) -> Endpoint:
        return self.endpoint

    async def pick(self, asking: object) -> Endpoint:
        return self.endpoint


@dataclass(slots=True)
class Named:
    """A host name: its addresses in turn."""

    name: str
    port: int
    dial: Dial
    host: str = ""
    _turn: int = 0
    _endpoints: dict[str, Endpoint] = field(default_factory=dict)

    def now(self, asking: object) -> Endpoint | None:
        addresses = self.dial.resolver.known(self.name)
        return self._next(addresses) if addresses else None

    async def pick(self, asking: object) -> Endpoint:
        addresses = await self.dial.resolver.resolve(self.name)
        if not addresses:
            failure = self.dial.resolver.failure(self.name)
            raise Reject(500, failure) if failure else Reject(503, NAME_FAILED)
        return self._next(addresses)

    def _next(self, addresses: Sequence[str]) -> Endpoint:
        self._turn += 1
        ip = addresses[self._turn % len(addresses)]
        endpoint = self._endpoints.get(ip)
        if endpoint is None:
            endpoint = self._endpoints[ip] = self.dial.endpoint(ip, self.port, self.host or self.name)
        return endpoint


def targets_at(
    host: str, port: int, dial: Dial, *, is_ip: Callable[[str], bool], shown: str = ""
) -> Targets[object]:
    """What one host and port stands for."""
    if is_ip(host):
        return Fixed(dial.endpoint(host.strip("[]"), port, shown or host.strip("[]")))
    return Named(host, port, dial, shown)
