"""TLS towards a service: its own certificate, authorities and depth, or those of its upstream."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tollhouse.config.nginx import NginxSettings
from tollhouse.model.entities import Service, Upstream
from tollhouse.model.snapshot import Snapshot
from tollhouse.upstream.pool import TlsProfile


@dataclass(frozen=True, slots=True)
class UsualTls:
    """What holds for services that do not say themselves: whether they are verified, by which authorities
    (PEM) and through how many, and the pair that they are shown."""

    verify: bool = False
    authorities: str | None = None
    depth: int | None = None
    certificate: str | None = None
    key: str | None = None

    @classmethod
    def of(cls, settings: NginxSettings) -> "UsualTls":
        """For services of HTTP routes."""
        return cls(
            settings.proxy_ssl_verify,
            settings.proxy_ssl_trusted_certificate,
            settings.proxy_ssl_verify_depth,
            *_own_pair(settings),
        )

    @classmethod
    def of_streams(cls, settings: NginxSettings) -> "UsualTls":
        """For services of stream routes."""
        return cls(
            settings.stream_proxy_ssl_verify,
            settings.stream_proxy_ssl_trusted_certificate,
            settings.stream_proxy_ssl_verify_depth,
            *_own_pair(settings),
        )


def _own_pair(settings: NginxSettings) -> tuple[str | None, str | None]:
    shown = settings.client_ssl
    return (settings.client_ssl_cert, settings.client_ssl_cert_key) if shown else (None, None)


class TlsProfiles:
    """Finds what entities refer to. `resolved` puts secrets in the place of references to them."""

    def __init__(self, snapshot: Snapshot, resolved: Callable[[Any], Any], usual: UsualTls) -> None:
        self._usual = usual
        self._certificates = {entity.id: entity for entity in snapshot.certificates}
        self._authorities = {entity.id: entity.cert for entity in snapshot.ca_certificates}
        self._resolved = resolved

    def of(self, service: Service, upstream: Upstream | None) -> TlsProfile:
        """The service's certificate counts before its upstream's."""
        shown = service.client_certificate or (upstream.client_certificate if upstream else None)
        entity = self._certificates.get(shown.id) if shown is not None else None
        usual = self._usual
        trusted: tuple[str, ...] | None = (usual.authorities,) if usual.authorities is not None else None
        if service.ca_certificates is not None:
            ids = service.ca_certificates
            trusted = tuple(self._authorities[id_] for id_ in ids if id_ in self._authorities)
        return TlsProfile(
            self._resolved(entity.cert) if entity is not None else usual.certificate,
            self._resolved(entity.key) if entity is not None else usual.key,
            trusted,
            usual.depth if service.tls_verify_depth is None else service.tls_verify_depth,
        )

    def verifies(self, service: Service) -> bool:
        """Whether the service has to prove who it is."""
        return self._usual.verify if service.tls_verify is None else service.tls_verify
