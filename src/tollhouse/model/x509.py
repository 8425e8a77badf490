"""Certificates and keys in PEM and JWK: what is wrong with them, in Kong's words.

Reading them needs the extra `tls`; without it they are refused with a text that says so.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollhouse.model.constraints import is_reference

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
    from cryptography.x509 import Certificate

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_NEEDS_EXTRA: Final = "reading it needs cryptography: pip install 'tollhouse[tls]'"
_EXPIRED: Final = 'certificate expired, "Not After" time is in the past'
_NO_CA: Final = 'certificate does not appear to be a CA because it is missing the "CA" basic constraint'
_SAME_KIND: Final = (
    "certificate and alternative certificate need to have different type (e.g. RSA and ECDSA), "
    "the provided certificates were both of the same type"
)
#: JWK: the members that each type of key needs (RFC 7518 section 6, RFC 8037 section 2)
_JWK_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "RSA": ("n", "e"),
    "EC": ("crv", "x", "y"),
    "OKP": ("crv", "x"),
    "oct": ("k",),
}
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")


def _with_extra(test: Callable[..., str | None]) -> Callable[..., str | None]:
    @wraps(test)
    def run(*given: Any) -> str | None:
        try:
            return test(*given)
        except ImportError:
            return _NEEDS_EXTRA

    return run


def _certificate(text: str) -> "Certificate":
    """The first certificate of a PEM text, which may hold a chain. Raises `ValueError`, `ImportError`."""
    from cryptography.x509 import load_pem_x509_certificates

    return load_pem_x509_certificates(text.encode())[0]


def _private_key(text: str) -> "PrivateKeyTypes":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        # Proving the primes of a large key takes seconds; whether it is the certificate's is checked apart.
        return load_pem_private_key(text.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error)) from None


def _public_key(text: str) -> "PublicKeyTypes":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        return load_pem_public_key(text.encode())
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from None


def _encoded(key: "PublicKeyTypes") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@_with_extra
def certificate_problem(text: str) -> str | None:
    """Why a text is no certificate in PEM."""
    try:
        _certificate(text)
    except ValueError:
        return "invalid certificate: it is not a certificate in PEM"
    return None


@_with_extra
def private_key_problem(text: str) -> str | None:
    """Why a text is no private key in PEM. The text itself is never repeated."""
    try:
        _private_key(text)
    except ValueError:
        return "invalid key: it is not an unencrypted private key in PEM"
    return None


@_with_extra
def public_key_problem(text: str) -> str | None:
    """Why a text is no public key in PEM."""
    try:
        _public_key(text)
    except ValueError:
        return "invalid key"
    return None


def _given(values: Mapping[str, Any], *names: str) -> list[str]:
    """The texts of fields, unless one is not set or stands in a vault."""
    texts = [values.get(name) for name in names]
    return [] if any(text is None or is_reference(text) for text in texts) else [str(text) for text in texts]


@_with_extra
def pair_problem(values: Mapping[str, Any], certificate: str, key: str) -> str | None:
    """Whether a certificate is for another key."""
    given = _given(values, certificate, key)
    which = "alternative certificate" if certificate == "cert_alt" else "certificate"
    if given and _encoded(_certificate(given[0]).public_key()) != _encoded(
        _private_key(given[1]).public_key()
    ):
        return f"{which} does not match key"
    return None


@_with_extra
def alternative_problem(values: Mapping[str, Any]) -> str | None:
    """Whether both certificates of an entity are of one type."""
    given = _given(values, "cert", "cert_alt")
    kinds = {type(_certificate(text).public_key()) for text in given}
    return _SAME_KIND if len(kinds) == 1 else None


@_with_extra
def authority_problem(text: str, now: "datetime") -> str | None:
    """Why a valid certificate in PEM is none of an authority."""
    from cryptography.x509 import BasicConstraints, ExtensionNotFound

    if text.count(_BEGIN) > 1:
        return "please submit only one certificate at a time"
    certificate = _certificate(text)
    if certificate.not_valid_after_utc < now:
        return _EXPIRED
    try:
        basic = certificate.extensions.get_extension_for_class(BasicConstraints).value
    except ExtensionNotFound:
        return _NO_CA
    return None if basic.ca else _NO_CA


def certificate_digest(text: str) -> str:
    """SHA-256 of a certificate that has been checked, in hex. Raises `ImportError`."""
    from cryptography.hazmat.primitives.hashes import SHA256

    return _certificate(text).fingerprint(SHA256()).hex()


@_with_extra
def pem_problem(values: Mapping[str, Any]) -> str | None:
    """Why a pair of keys, of which one may be missing, is none."""
    private, public = _given(values, "private_key"), _given(values, "public_key")
    try:
        public_key = _public_key(public[0]) if public else None
    except ValueError:
        return "could not load public key"
    try:
        private_key = _private_key(private[0]) if private else None
    except ValueError:
        return "could not load private key"
    if public_key and private_key and _encoded(public_key) != _encoded(private_key.public_key()):
        return "public key does not match private key"
    return None


def jwk_problem(text: str, kid: object) -> str | None:
    """Why a text is no JSON Web Key of that `kid`."""
    try:
        key = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return "could not json decode jwk string"
    if key.get("kid") != kid:
        return "kid in jwk.kid must be equal to keys.kid"
    members = _JWK_MEMBERS.get(str(key.get("kty")))
    if members is None or not all(_is_base64url(key.get(name)) for name in members):
        return "could not load JWK, likely not a valid key"
    return None


def _is_base64url(text: Any) -> bool:
    if not isinstance(text, str) or not _BASE64URL.fullmatch(text):
        return False
    try:
        base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return False
    return True
