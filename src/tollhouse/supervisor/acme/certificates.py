"""A certificate as it is kept and told of."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec


class Pair(msgspec.Struct, frozen=True):
    """What Kong keeps in its storages too, so that a move from it asks for nothing anew. PEM."""

    key: str
    cert: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A certificate of a name, and when it ends."""

    pair: Pair
    ends_at: float

    @classmethod
    def read(cls, data: bytes) -> "Kept | None":
        """None for what is no certificate with a key."""
        from cryptography import x509

        try:
            pair = msgspec.json.decode(data, type=Pair)
            certificate = x509.load_pem_x509_certificates(pair.cert.encode())[0]
        except (msgspec.DecodeError, ValueError):
            return None
        return cls(pair, certificate.not_valid_after_utc.timestamp())

    def shown(self, host: str) -> dict[str, Any]:
        """Kong's description of it."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.hashes import SHA1
        from cryptography.x509.oid import NameOID

        certificate = x509.load_pem_x509_certificates(self.pair.cert.encode())[0]
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        issuers = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
        number = f"{certificate.serial_number:x}"
        is_rsa = isinstance(certificate.public_key(), rsa.RSAPublicKey)
        return {
            "digest": certificate.fingerprint(SHA1()).hex(":").upper(),  # noqa: S303 - what Kong tells
            "host": host,
            "issuer_cn": issuers[0].value if issuers else None,
            "not_before": begins.strftime("%Y-%m-%d %H:%M:%S"),
            "not_after": ends.strftime("%Y-%m-%d %H:%M:%S"),
            "valid": begins < datetime.now(UTC) < ends,
            "serial_number": bytes.fromhex(number.zfill(len(number) + len(number) % 2)).hex(":").upper(),
            "pubkey_type": "rsaEncryption" if is_rsa else "id-ecPublicKey",
        }
