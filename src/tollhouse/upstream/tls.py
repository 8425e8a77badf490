"""TLS towards targets: what is shown to them, and whom they must be vouched for by."""

import os
import ssl
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from tollhouse.errors import Cause, UpstreamFault
from tollhouse.upstream.pool import Address, TlsProfile

#: contexts kept; a configuration uses few, but old ones are not told of their end
_CONTEXTS: Final = 256


class UpstreamTls:
    """Makes the contexts of upstream connections. `trusted` are files of authorities, and `system`."""

    def __init__(self, trusted: Sequence[str] = ("system",)) -> None:
        self._trusted = tuple(trusted)
        self._context = lru_cache(_CONTEXTS)(self._make)

    def context_for(self, address: Address) -> ssl.SSLContext:
        """The context for an address. Raises `UpstreamFault` if a certificate of it cannot be used."""
        return self._context(address.tls_profile, address.verify, address.http2)

    def _make(self, profile: TlsProfile, verify: bool, http2: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if not verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            elif profile.authorities is not None:
                context.load_verify_locations(cadata="\n".join(profile.authorities))
                # An authority that is named is trusted, though another one may have issued it.
                context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            else:
                self._trust_usual(context)
            if profile.certificate is not None:
                load_pair(context, profile.certificate, profile.key or "")
        except (OSError, ssl.SSLError, ValueError) as error:
            raise UpstreamFault(Cause.TLS_FAILED, f"a certificate cannot be used: {error}") from error
        if http2:
            context.set_alpn_protocols(["h2"])
        return context

    def _trust_usual(self, context: ssl.SSLContext) -> None:
        for name in self._trusted:
            if name == "system":
                context.load_default_certs()
            else:
                context.load_verify_locations(name)

    def check(self, address: Address, connection: ssl.SSLObject) -> None:
        """Judges what OpenSSL leaves open. Raises `UpstreamFault`."""
        if address.http2 and connection.selected_alpn_protocol() != "h2":
            raise UpstreamFault(Cause.TLS_FAILED, f"{address.host}:{address.port} does not speak HTTP/2")
        depth = address.tls_profile.depth
        if not address.verify or depth is None:
            return
        # The public method comes with Python 3.13.
        public = hasattr(connection, "get_verified_chain")
        inner: Any = connection if public else getattr(connection, "_sslobj", None)
        chain = inner.get_verified_chain()
        if len(chain) - 2 > depth:  # neither the target's own certificate counts nor the last authority
            problem = f"{len(chain) - 2} intermediate authorities, not more than {depth} are accepted"
            raise UpstreamFault(Cause.TLS_FAILED, f"{address.host}:{address.port}: {problem}")


def load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Puts a chain and its key, PEM, into a context, which takes them from files only. Raises `OSError`."""
    pem = f"{certificate.rstrip()}\n{key.rstrip()}\n".encode()
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("pair")
        try:  # a key that has never been on a disk cannot be left there
            os.write(file, pem)
            context.load_cert_chain(f"/proc/self/fd/{file}")
        finally:
            os.close(file)
        return
    with tempfile.NamedTemporaryFile() as kept:  # of mode 0600
        kept.write(pem)
        kept.flush()
        context.load_cert_chain(kept.name)
