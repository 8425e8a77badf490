"""Lua's patterns as regular expressions, with captures."""

import re
from functools import lru_cache
from typing import Final

from tollhouse.model import lua
from tollhouse.pdk.lua.errors import LuaError

_TOKEN: Final = re.compile(r"\((?!\))|\)|\(\)|%.|\[\^?\]?(?:%.|[^\]%])*\]|.", re.DOTALL)
_REPEATS: Final = {"*": "*", "+": "+", "?": "?", "-": "*?"}


@lru_cache(maxsize=512)
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern to be used with `search`. Raises `LuaError` for `%b`, `%f`, `%1` and position captures."""
    anchored = pattern.startswith("^")
    body = pattern[1:] if anchored else pattern
    ends = body.endswith("$") and not body.endswith("%$")
    pieces = ["\\A"] if anchored else []
    after_item = False
    for part in _TOKEN.findall(body[:-1] if ends else body):
        if part in ("(", ")"):
            pieces.append(part)
            after_item = False
        elif part == "()":
            raise LuaError(f"position captures are not supported: {pattern}")
        elif after_item and part in _REPEATS:
            pieces.append(_REPEATS[part])
            after_item = False
        else:
            pieces.append(_item(part))
            after_item = True
    try:
        return re.compile("".join(pieces) + ("\\Z" if ends else ""), re.DOTALL)
    except re.error as error:
        raise LuaError(f"malformed pattern {pattern!r}: {error}") from None


def _item(part: str) -> str:
    """One character or class of characters."""
    if part in _REPEATS:
        return re.escape(part)
    try:
        return lua.pattern(part).pattern if len(part) > 1 or part == "." else re.escape(part)
    except ValueError as error:
        raise LuaError(str(error)) from None
