"""Mistral's models.

Ids of calls must be nine letters and digits, also of those that another model made earlier in the
conversation: https://docs.mistral.ai/capabilities/function_calling
"""

import re
from hashlib import blake2s
from typing import Final

_OWN: Final = re.compile(r"[A-Za-z0-9]{9}", re.ASCII)
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LENGTH: Final = 9


def call_id(given: str) -> str:
    """An id that Mistral takes: its own stay, and a foreign one always becomes the same, so that calls
    and their results still belong together."""
    if _OWN.fullmatch(given) is not None:
        return given
    number = int.from_bytes(blake2s(given.encode("utf-8", "surrogatepass"), digest_size=8).digest())
    digits = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(digits)
