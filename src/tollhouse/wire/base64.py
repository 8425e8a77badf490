"""Base64 as peers write it: either alphabet, with padding or without."""

import binascii
import re
from typing import Final

_DIGITS: Final = re.compile(r"[A-Za-z0-9+/]*")
_STANDARD: Final = str.maketrans("-_", "+/")
_URL_SAFE: Final = str.maketrans("+/", "-_")


def decoded(text: str) -> bytes | None:
    """The bytes of base64 or base64url (RFC 4648 4 and 5), `None` if it is neither."""
    digits = text.rstrip("=").translate(_STANDARD)
    if not _DIGITS.fullmatch(digits) or len(digits) % 4 == 1:
        return None
    return binascii.a2b_base64(digits + "=" * (-len(digits) % 4))


def encoded(data: bytes) -> str:
    """base64url without padding, which cookies and URLs may hold."""
    return binascii.b2a_base64(data, newline=False).decode().translate(_URL_SAFE).rstrip("=")
