"""Thoughts that only their maker can read. Bedrock's clients take them as base64; what other makers give,
OpenAI's for instance, is text, and goes around in a wrapping that is taken off again."""

import binascii
from base64 import b64decode, b64encode
from typing import Final

#: no maker's own bytes begin so
_WRAPPED: Final = b"\x00text\x00"


def written(redacted: str) -> str:
    """As a client's SDK can decode it."""
    if _bytes(redacted) is not None:
        return redacted
    return b64encode(_WRAPPED + redacted.encode()).decode()


def read(told: str) -> str:
    """What the maker gave."""
    found = _bytes(told)
    if found is None or not found.startswith(_WRAPPED):
        return told
    return found.removeprefix(_WRAPPED).decode("utf-8", "replace")


def _bytes(text: str) -> bytes | None:
    """`None` for what is no base64."""
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
