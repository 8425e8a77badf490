"""TLS towards a service: its own certificate, authorities and depth, or those of its upstream."""

from collections.abc import Callable
from typing import Any

from tollhouse.model.entities import Service, Upstream
from tollhouse.model.snapshot import Snapshot
from tollhouse.upstream.pool import TlsProfile


class TlsProfiles:
    """Finds what entities refer to. `resolved` puts secrets in the place of references to them."""

    def __init__(self, snapshot: Snapshot, resolved: Callable[[Any], Any]) -> None:
        self._certificates = {entity.id: entity for entity in snapshot.certificates}
        self._authorities = {entity.id: entity.cert for entity in snapshot.ca_certificates}
        self._resolved = resolved

    def of(self, service: Service, upstream: Upstream | None) -> TlsProfile:
        """The service's certificate counts before its upstream's."""
        shown = service.client_certificate or (upstream.client_certificate if upstream else None)
        entity = self._certificates.get(shown.id) if shown is not None else None
        trusted = None
        if service.ca_certificates is not None:
            ids = service.ca_certificates
            trusted = tuple(self._authorities[id_] for id_ in ids if id_ in self._authorities)
        return TlsProfile(
            self._resolved(entity.cert) if entity is not None else None,
            self._resolved(entity.key) if entity is not None else None,
            trusted,
            service.tls_verify_depth,
        )
