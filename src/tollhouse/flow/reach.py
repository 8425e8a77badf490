"""How the services of a snapshot are reached: TLS, timeouts, and the targets behind their hosts."""

import ipaddress
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from tollhouse.flow.backend import Dial, Targets, targets_at
from tollhouse.flow.balanced import Asking, balanced
from tollhouse.flow.compilation import TLS_PROTOCOLS
from tollhouse.flow.health import UpstreamHealth
from tollhouse.flow.profiles import TlsProfiles, UsualTls
from tollhouse.model.entities import Service, Upstream
from tollhouse.model.snapshot import Snapshot
from tollhouse.pdk.plugin import Plugin
from tollhouse.routing.build import RuleBook
from tollhouse.routing.match import Flavour
from tollhouse.upstream.dns import Resolver
from tollhouse.upstream.http1 import Timeouts
from tollhouse.upstream.pool import USUAL_TLS, Pools
from tollhouse.upstream.target_names import TargetNames

A = TypeVar("A", bound=Asking)

_TIMEOUT_MS: Final = 60_000
_RETRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Workshop:
    """What compiling needs besides the snapshot. Lives as long as the worker."""

    pools: Pools
    resolver: Resolver
    flavor: Flavour
    names: TargetNames
    health: UpstreamHealth
    rules: RuleBook
    #: plugins of the node's own that take part in every plan
    everywhere: tuple[Plugin[Any], ...] = ()
    usual_tls: UsualTls = UsualTls()  # noqa: RUF009 - it is frozen


class Reach:
    """Finds what services refer to. `resolved` puts secrets in the place of references to them."""

    def __init__(self, snapshot: Snapshot, workshop: Workshop, resolved: Callable[[Any], Any]) -> None:
        self._workshop = workshop
        self._profiles = TlsProfiles(snapshot, resolved, workshop.usual_tls)
        self._upstreams: Mapping[str, Upstream] = {upstream.name: upstream for upstream in snapshot.upstreams}
        self._targets: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for target in snapshot.targets:
            self._targets[target.upstream.id].append((target.target, _or(target.weight, 100)))

    def dial(self, service: Service) -> Dial:
        """How connections to a service are opened."""
        tls = service.protocol in TLS_PROTOCOLS
        return Dial(
            self._workshop.pools,
            self._workshop.resolver,
            tls=tls,
            verify=self._profiles.verifies(service),
            tls_profile=self._profiles.of(service, self._upstreams.get(service.host)) if tls else USUAL_TLS,
            http2=service.protocol in ("grpc", "grpcs"),
        )

    def targets(
        self, service: Service, dial: Dial, hashed_by: Callable[[Upstream], Callable[[A], str | None]]
    ) -> Targets[A]:
        """What the host of a service stands for: an address, a name, or an upstream, which may share
        its connections out by what `hashed_by` gives."""
        upstream = self._upstreams.get(service.host)
        if upstream is None:
            return targets_at(service.host, service.port, dial, is_ip=is_ip)
        targets, workshop = self._targets[upstream.id], self._workshop
        return balanced(upstream, targets, dial, workshop.names, workshop.health, is_ip, hashed_by(upstream))


def retries_of(service: Service) -> int:
    """How often an attempt that has failed is repeated."""
    return _or(service.retries, _RETRIES)


def timeouts_of(service: Service) -> Timeouts:
    """A service's patience."""
    return Timeouts(
        _or(service.connect_timeout, _TIMEOUT_MS) / 1000,
        _or(service.read_timeout, _TIMEOUT_MS) / 1000,
        _or(service.write_timeout, _TIMEOUT_MS) / 1000,
    )


def _or(value: int | None, default: int) -> int:
    """Kong's entities may have null where there is a default."""
    return default if value is None else value


def is_ip(host: str) -> bool:
    """Whether a host is an address that needs no looking up."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
