"""What `ssl_cipher_suite` stands for: Mozilla's recommendations, https://wiki.mozilla.org/Security/Server_Side_TLS.

The ciphers of TLS 1.3 are not chosen here: all of them are good, and OpenSSL offers all of them.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

PROTOCOLS: Final = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")

_INTERMEDIATE: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"
)
_OLD: Final = (
    f"{_INTERMEDIATE}:ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:"
    "ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA:"
    "ECDHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA256:DHE-RSA-AES256-SHA256:AES128-GCM-SHA256:"
    "AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA:DES-CBC3-SHA:@SECLEVEL=0"
)


@dataclass(frozen=True, slots=True)
class TlsTerms:
    """Which versions of TLS are spoken, and by which ciphers of those before 1.3 (OpenSSL's names; empty
    for its own choice)."""

    protocols: tuple[str, ...] = ("TLSv1.2", "TLSv1.3")
    ciphers: str = ""
    prefer_own: bool = False


SUITES: Final = MappingProxyType(
    {
        "modern": TlsTerms(("TLSv1.3",)),
        "intermediate": TlsTerms(("TLSv1.2", "TLSv1.3"), _INTERMEDIATE),
        "old": TlsTerms(PROTOCOLS, _OLD, prefer_own=True),
    }
)


def tls_terms(suite: str, ciphers: str, protocols: tuple[str, ...], *, prefer_own: bool) -> TlsTerms:
    """What listeners offer: as the suite says, or as the other settings say if it is `custom`."""
    return SUITES[suite] if suite != "custom" else TlsTerms(protocols, ciphers, prefer_own)


def read_protocols(text: str) -> tuple[str, ...]:
    """Versions of TLS, oldest first. Raises `ValueError`."""
    asked = text.split()
    unknown = next((name for name in asked if name not in PROTOCOLS), None)
    if unknown is not None or not asked:
        raise ValueError(f"'{unknown or text}' is not one of: {', '.join(PROTOCOLS)}")
    found = tuple(name for name in PROTOCOLS if name in asked)
    places = [PROTOCOLS.index(name) for name in found]
    if places[-1] - places[0] >= len(places):
        raise ValueError("versions between the oldest and the newest cannot be left out")
    return found
