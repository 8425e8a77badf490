"""TLS towards clients: what a listener shows and accepts. What a snapshot changes holds for handshakes
from then on; open connections are not touched."""

import logging
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final

from tollhouse.config.ciphers import TlsTerms
from tollhouse.errors import ConfigError, ConfigErrors
from tollhouse.model.entities import Certificate
from tollhouse.server.certificates import Certificates
from tollhouse.upstream.tls import load_pair

log = logging.getLogger("tollhouse.tls")

HTTP1: Final = ("http/1.1",)
HTTP2: Final = ("h2", "http/1.1")
_VERSIONS: Final = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


def server_context(
    certificate: str | None,
    key: str | None,
    authorities: str | None = None,
    terms: TlsTerms | None = None,
    protocols: tuple[str, ...] = HTTP1,
) -> ssl.SSLContext:
    """The context of an `ssl` listener. With a file of authorities, clients need a certificate of one of
    them. Raises `ConfigErrors`."""
    context = _bare_context(terms or TlsTerms(), protocols)
    try:
        if certificate is not None:
            context.load_cert_chain(certificate, key)
        if authorities is not None:
            context.load_verify_locations(authorities)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise ConfigErrors([ConfigError("KONG_SSL_CERT", f"cannot use {certificate}: {error}")]) from error
    context.sni_callback = _remember_name
    return context


def _bare_context(terms: TlsTerms, protocols: tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[terms.protocols[0]]
    context.maximum_version = _VERSIONS[terms.protocols[-1]]
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if terms.prefer_own:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if terms.ciphers:
        try:
            context.set_ciphers(terms.ciphers)
        except ssl.SSLError as error:
            raise ConfigErrors([ConfigError("KONG_SSL_CIPHERS", f"OpenSSL knows none: {error}")]) from error
    return context


class ServerTls:
    """TLS of one `ssl` listener of the proxy, by the certificates of the snapshot in force."""

    def __init__(
        self,
        certificate: str | None,
        key: str | None,
        terms: TlsTerms,
        protocols: tuple[str, ...],
        want: Callable[[str], None],
    ) -> None:
        """`want` is told the name that a client has asked for when a certificate for it is to be had."""
        self._own = (certificate, key, None, terms, protocols)
        self._terms, self._protocols = terms, protocols
        self._shown = Certificates()
        self._made: dict[Certificate, ssl.SSLContext] = {}
        self._want = want
        #: the context that the listener begins every handshake with
        self.context = server_context(*self._own)
        self.context.sni_callback = self._choose
        self._default = self.context

    def show(self, certificates: Certificates) -> None:
        """Serves these from the next handshake on."""
        if certificates.authorities != self._shown.authorities:
            self._made.clear()
            asks = bool(certificates.authorities)
            self.context.verify_mode = ssl.CERT_OPTIONAL if asks else ssl.CERT_NONE
            # Whether an intermediate authority is enough is for the plugin to say.
            self.context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            # Authorities can be added to a context, but not taken away from it.
            self._default = server_context(*self._own)
            _trust(self._default, certificates.authorities)
        else:
            kept = {*certificates.names.values(), *certificates.issued.values()}
            self._made = {entity: made for entity, made in self._made.items() if entity in kept}
        self._shown = certificates

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """Called by OpenSSL in the handshake, also for clients that name nobody."""
        connection.server_name_indication = name  # type: ignore[attr-defined]
        entity = self._shown.find(name)
        if entity is None and name and self._shown.issues(name):
            self._want(name.lower().rstrip("."))
        connection.context = self._default if entity is None else self._context_of(entity)

    def _context_of(self, entity: Certificate) -> ssl.SSLContext:
        context = self._made.get(entity)
        if context is None:
            context = self._made[entity] = self._make(entity)
        return context

    def _make(self, entity: Certificate) -> ssl.SSLContext:
        context = _bare_context(self._terms, self._protocols)
        try:
            load_pair(context, entity.cert, entity.key)
            if entity.cert_alt is not None and entity.key_alt is not None:
                load_pair(context, entity.cert_alt, entity.key_alt)
        except (OSError, ssl.SSLError) as error:
            log.error("certificate %s cannot be shown: %s", entity.id, error)
            return self._default
        _trust(context, self._shown.authorities)
        return context


def _trust(context: ssl.SSLContext, authorities: tuple[str, ...]) -> None:
    if authorities:
        context.load_verify_locations(cadata="\n".join(authorities))


def common_name(certificate: Mapping[str, Any] | None) -> str | None:
    """Who a certificate says its holder is."""
    for group in (certificate or {}).get("subject", ()):
        for name, value in group:
            if name == "commonName":
                return str(value)
    return None


def agreed(connection: ssl.SSLObject) -> tuple[str, str]:
    """The version of TLS and the cipher suite that the handshake ended with."""
    cipher = connection.cipher()
    return connection.version() or "", cipher[0] if cipher is not None else ""


def shown_chain(connection: ssl.SSLObject) -> tuple[bytes, ...]:
    """The certificates that the client has shown, DER, its own first; none if it has shown none."""
    own = connection.getpeercert(binary_form=True)
    if own is None:
        return ()
    # The public method comes with Python 3.13.
    inner: Any = (
        connection if hasattr(connection, "get_unverified_chain") else getattr(connection, "_sslobj", None)
    )
    chain = inner.get_unverified_chain() if inner is not None else None
    if not chain:
        return (own,)
    return tuple(each if isinstance(each, bytes) else each.public_bytes(_DER) for each in chain)


#: what OpenSSL calls DER in `_ssl.Certificate.public_bytes`
_DER: Final = 2


def _remember_name(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
    connection.server_name_indication = name  # type: ignore[attr-defined]
