"""How a setting of the node is declared: a field that knows its variables, its default and its reader.

Nothing is read here; `settings` does that for every field at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: its variables without their prefix, the default as text, how it is read."""

    names: tuple[str, ...]
    default: str
    read: Callable[[str], Any]
    doc: str
    #: whether it is never shown, and may refer to a vault
    is_secret: bool = False


def option(default: str, read: Callable[[str], T], doc: str, *names: str) -> T:
    """Declares a setting. Its variable is called like the field unless `names` says otherwise."""
    # The field is no default: every setting is given when `Settings` is made.
    return cast(T, field(metadata={"option": Option(names, default, read, doc)}))


def secret(default: str, read: Callable[[str], T], doc: str, *names: str) -> T:
    """Declares a setting that is never shown. It may refer to a vault."""
    return cast(T, field(repr=False, metadata={"option": Option(names, default, read, doc, is_secret=True)}))
