"""One probe of one address."""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from tollhouse import __version__
from tollhouse.balance.health import Outcome
from tollhouse.errors import UpstreamFault
from tollhouse.model.entities import Certificate, Upstream
from tollhouse.model.snapshot import Snapshot
from tollhouse.stores.vaults import Vaults
from tollhouse.upstream.pool import USUAL_TLS, Address, TlsProfile
from tollhouse.upstream.tls import UpstreamTls

log = logging.getLogger("tollhouse.health")


@dataclass(frozen=True, slots=True)
class Probe:
    """What to ask whom: `GET path`, or nothing but a connection where there is no path."""

    ip: str
    port: int
    path: str | None
    host: str
    headers: Sequence[tuple[str, str]]
    seconds: float
    tls: ssl.SSLContext | None
    server_name: str


class ProbeTls:
    """TLS of probes: by the node's authorities, with the upstream's certificate or else the `usual` one."""

    def __init__(self, trusted: Sequence[str], vaults: Vaults, usual: TlsProfile = USUAL_TLS) -> None:
        self._usual = usual
        self._contexts = UpstreamTls(trusted)
        self._vaults = vaults
        self._certificates: dict[str, Certificate] = {}

    def serve(self, snapshot: Snapshot) -> None:
        """Takes over the certificates of a configuration."""
        self._certificates = {entity.id: entity for entity in snapshot.certificates}
        self._resolved = self._vaults.knowing(snapshot.vaults).resolved

    def context(self, upstream: Upstream) -> ssl.SSLContext:
        """The context for probes of an upstream."""
        verify = bool(upstream.healthchecks.active.https_verify_certificate)
        shown = upstream.client_certificate
        entity = self._certificates.get(shown.id) if shown is not None else None
        if entity is not None:
            profile = TlsProfile(self._resolved(entity.cert), self._resolved(entity.key))
            try:
                return self._contexts.context_for(_profiled(profile, verify=verify))
            except UpstreamFault as fault:
                log.error("probes of upstream %s show no certificate: %s", upstream.name, fault)
        return self._contexts.context_for(_profiled(self._usual, verify=verify))


def _profiled(profile: TlsProfile, *, verify: bool) -> Address:
    return Address("", 0, True, "", verify, profile)


async def probe(wanted: Probe) -> int | Outcome:
    """The status that was answered; else what went wrong, or `success` if connecting was all."""
    try:
        async with asyncio.timeout(wanted.seconds):
            return await _ask(wanted)
    except TimeoutError:
        return "timeout"
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        return "tcp_failure"


async def _ask(wanted: Probe) -> int | Outcome:
    server_name = wanted.server_name if wanted.tls else None
    reader, writer = await asyncio.open_connection(
        wanted.ip, wanted.port, ssl=wanted.tls, server_hostname=server_name
    )
    try:
        if wanted.path is None:
            return "success"
        lines = [f"GET {wanted.path} HTTP/1.1", f"Host: {wanted.host}", "Connection: close"]
        lines += [f"User-Agent: tollhouse/{__version__} (health check)"]
        lines += [f"{name}: {value}" for name, value in wanted.headers]
        writer.write("\r\n".join((*lines, "", "")).encode("latin-1", "replace"))
        line = await reader.readuntil(b"\r\n")
        version, status = line.split(None, 2)[:2]
        if not version.startswith(b"HTTP/1."):
            raise ValueError("that is no HTTP")
        return int(status)
    finally:
        writer.close()
