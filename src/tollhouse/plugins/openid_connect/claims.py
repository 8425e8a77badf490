"""What a token's claims say, and whether that is enough."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from tollhouse.plugins.openid_connect.config import Config


def claim(claims: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The claim at a path, `None` if there is none."""
    found: Any = claims
    for name in path:
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def words(value: Any) -> tuple[str, ...]:
    """A claim with several values: a list, or text with blanks between (RFC 6749 3.3)."""
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(str(element) for element in value) if isinstance(value, list) else ()


def text(value: Any) -> str | None:
    """A claim as it stands in a header: text as it is, anything else as JSON."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


_REQUIREMENTS: Final = ("audience", "scopes", "roles", "groups")


class Requirements:
    """What a configuration requires of tokens."""

    def __init__(self, conf: Config) -> None:
        self._forbidden = conf.claims_forbidden or ()
        self._required = tuple(
            (getattr(conf, f"{name}_claim"), tuple(frozenset(entry.split()) for entry in entries))
            for name in _REQUIREMENTS
            if (entries := getattr(conf, f"{name}_required"))
        )

    def are_met(self, claims: Mapping[str, Any]) -> bool:
        """Whether each required claim has all words of one entry, and no forbidden one is there."""
        if any(name in claims for name in self._forbidden):
            return False
        return all(
            any(entry.issubset(words(claim(claims, path))) for entry in entries)
            for path, entries in self._required
        )
