"""The certificate of a node that was given none: made up once, kept under the prefix, as Kong does."""

import datetime
import os
from pathlib import Path

from tollhouse.errors import ConfigError, ConfigErrors


def own_pair(prefix: Path) -> tuple[str, str]:
    """Files of the node's own certificate and key, made if they are not there. All its processes show the
    same one, now and after a restart. Raises `ConfigErrors`; needs the extra `tls`."""
    folder = prefix / "ssl"
    certificate, key = folder / "tollhouse-default.crt", folder / "tollhouse-default.key"
    if not (certificate.is_file() and key.is_file()):
        try:
            made, secret = _self_signed()
            folder.mkdir(parents=True, exist_ok=True)
            _write(key, secret, 0o600)
            _write(certificate, made, 0o644)
        except ImportError:
            message = (
                "an `ssl` listener needs KONG_SSL_CERT and KONG_SSL_CERT_KEY, "
                "or `pip install 'tollhouse[tls]'`"
            )
            raise ConfigErrors([ConfigError("KONG_SSL_CERT", message)]) from None
        except OSError as error:
            message = f"a certificate cannot be made in {folder}: {error}"
            raise ConfigErrors([ConfigError("KONG_SSL_CERT", message)]) from error
    return str(certificate), str(key)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all, for another node may be reading it."""
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.touch(mode=mode)
    fresh.write_bytes(content)
    fresh.replace(path)


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
