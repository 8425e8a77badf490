"""TLS towards clients: the certificate of a listener."""

import datetime
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tollhouse.errors import ConfigError, ConfigErrors


def server_context(
    certificate: str | None, key: str | None, authorities: str | None = None
) -> ssl.SSLContext:
    """The context of an `ssl` listener. Without a certificate one is made up, as Kong does; that needs
    the extra `tls`. With a file of authorities, clients need a certificate of one of them. Raises
    `ConfigErrors`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        if certificate is not None and key is not None:
            context.load_cert_chain(certificate, key)
        else:
            _load_self_signed(context)
        if authorities is not None:
            context.load_verify_locations(authorities)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise ConfigErrors([ConfigError("KONG_SSL_CERT", f"cannot use {certificate}: {error}")]) from error
    context.sni_callback = _remember_name
    return context


def common_name(certificate: Mapping[str, Any] | None) -> str | None:
    """Who a certificate says its holder is."""
    for group in (certificate or {}).get("subject", ()):
        for name, value in group:
            if name == "commonName":
                return str(value)
    return None


def _remember_name(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
    connection.server_name_indication = name  # type: ignore[attr-defined]


def _load_self_signed(context: ssl.SSLContext) -> None:
    try:
        certificate, key = _self_signed()
    except ImportError:
        message = (
            "an `ssl` listener needs KONG_SSL_CERT and KONG_SSL_CERT_KEY, or `pip install tollhouse[tls]`"
        )
        raise ConfigErrors([ConfigError("KONG_SSL_CERT", message)]) from None
    with tempfile.TemporaryDirectory() as folder:
        chain, private = Path(folder) / "cert.pem", Path(folder) / "key.pem"
        chain.write_bytes(certificate)
        private.touch(mode=0o600)
        private.write_bytes(key)
        context.load_cert_chain(chain, private)


def _self_signed() -> tuple[bytes, bytes]:
    """Certificate and key in PEM for `localhost`."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365 * 20))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
