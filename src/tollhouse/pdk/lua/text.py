"""Text between Python, where a character is a character, and Lua, where it is its bytes."""

from collections.abc import Callable
from typing import Any


def to_bytes(value: Any) -> Any:
    """A JSON value with one character for each byte of its texts, as Lua takes it."""
    return _deep(value, lambda text: text.encode().decode("latin-1"))


def from_bytes(value: Any) -> Any:
    """The JSON value back, with texts as they are read."""
    return _deep(value, lambda text: text.encode("latin-1", "replace").decode("utf-8", "replace"))


def _deep(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else change(value)
    if isinstance(value, dict):
        return {_deep(key, change): _deep(inner, change) for key, inner in value.items()}
    return [_deep(inner, change) for inner in value] if isinstance(value, list) else value
