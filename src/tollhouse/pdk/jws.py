"""Signed tokens (RFC 7515, RFC 7519): taken apart, and their signatures verified.

A `Verify` is made once for each key and kept: reading a key costs many times what a signature does.
Algorithms with public keys need cryptography (extra `tls`).
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollhouse.wire.base64 import decoded

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

#: takes what was signed and the signature
Verify = Callable[[bytes, bytes], bool]

SYMMETRIC: Final = ("HS256", "HS384", "HS512")
ASYMMETRIC: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
ALGORITHMS: Final = frozenset((*SYMMETRIC, *ASYMMETRIC))
#: bits of the curve that each algorithm is for (RFC 7518 3.4)
_CURVE_BITS: Final[Mapping[str, int]] = MappingProxyType({"ES256": 256, "ES384": 384, "ES512": 521})


class BadToken(ValueError):
    """A text that is no token; says in one phrase why."""


class BadKey(ValueError):
    """A key that cannot be read, or is not for the algorithm; says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token taken apart; nothing of it is proven yet."""

    header: Mapping[str, Any]
    claims: Any
    signed: bytes
    signature: bytes

    @property
    def algorithm(self) -> str:
        found: str = self.header["alg"]
        return found


def read(text: str) -> Token:
    """Takes a token apart. Raises `BadToken` in Kong's words."""
    header_part, _, rest = text.partition(".")
    claims_part, dot, signature_part = rest.partition(".")
    header, claims = _json(header_part), _json(claims_part)
    if not dot:
        raise BadToken("invalid JSON")
    if not isinstance(header, dict) or header.get("alg") not in ALGORITHMS:
        raise BadToken("invalid alg")
    if not isinstance(claims, dict | str | list):
        raise BadToken("invalid claims")
    signature = decoded(signature_part)
    if signature is None:
        raise BadToken("invalid signature")
    return Token(header, claims, f"{header_part}.{claims_part}".encode("latin-1"), signature)


def _json(part: str) -> Any:
    try:
        return msgspec.json.decode(decoded(part) or b"")
    except msgspec.DecodeError:
        raise BadToken("invalid JSON") from None


def with_secret(algorithm: str, secret: bytes) -> Verify:
    """Verifies HS256, HS384 and HS512."""
    digest = f"sha{algorithm[2:]}"

    def verify(signed: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(hmac.digest(secret, signed, digest), signature)

    return verify


def with_pem(algorithm: str, pem: str) -> Verify:
    """Verifies with a public key in PEM. Raises `BadKey`."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise BadKey("public keys need cryptography: pip install 'tollhouse[tls]'") from None
    try:
        return with_key(algorithm, load_pem_public_key(pem.encode()))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(str(error)) from None


def with_key(algorithm: str, key: "PublicKeyTypes") -> Verify:
    """Verifies with a public key. Raises `BadKey` if it is not for that algorithm."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    family = algorithm[:2]
    if family in ("RS", "PS") and isinstance(key, RSAPublicKey):
        return _verifying(_rsa(algorithm, key))
    if family == "ES" and isinstance(key, EllipticCurvePublicKey) and key.key_size == _CURVE_BITS[algorithm]:
        return _verifying(_ecdsa(algorithm, key))
    if algorithm == "EdDSA" and isinstance(key, Ed25519PublicKey | Ed448PublicKey):
        # Named in the order of `verify` of all keys here, which is the other way round.
        return _verifying(key.verify)
    raise BadKey(f"the key is not for {algorithm}")


def _verifying(check: Callable[[bytes, bytes], None]) -> Verify:
    """Turns a check that raises into one that says yes or no; takes signature and data."""
    from cryptography.exceptions import InvalidSignature

    def verify(signed: bytes, signature: bytes) -> bool:
        try:
            check(signature, signed)
        except (InvalidSignature, ValueError):
            return False
        return True

    return verify


def _hash(algorithm: str) -> "HashAlgorithm":
    from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

    sizes: dict[str, type[SHA256 | SHA384 | SHA512]] = {"256": SHA256, "384": SHA384, "512": SHA512}
    return sizes[algorithm[2:]]()


def _rsa(algorithm: str, key: Any) -> Callable[[bytes, bytes], None]:
    from cryptography.hazmat.primitives.asymmetric import padding

    digest = _hash(algorithm)
    padded: Any = padding.PKCS1v15()
    if algorithm.startswith("PS"):
        # RFC 7518 3.5: the salt is as long as the hash.
        padded = padding.PSS(padding.MGF1(digest), digest.digest_size)
    return lambda signature, signed: key.verify(signature, signed, padded, digest)


def _ecdsa(algorithm: str, key: Any) -> Callable[[bytes, bytes], None]:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    scheme = ECDSA(_hash(algorithm))
    size = (_CURVE_BITS[algorithm] + 7) // 8

    def check(signature: bytes, signed: bytes) -> None:
        if len(signature) != 2 * size:
            raise ValueError("a signature of another length")
        r, s = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
        key.verify(encode_dss_signature(r, s), signed, scheme)

    return check
