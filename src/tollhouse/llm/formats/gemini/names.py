"""Names of members: Google's JSON takes `camelCase` and `snake_case`, and its own SDK mixes them."""

import re
from collections.abc import Mapping
from typing import Any, Final

_WORD: Final = re.compile(r"_([a-z0-9])")


def camel(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members of this object, not of those in it, under their names in camel case."""
    return {_camel(name) if "_" in name else name: value for name, value in members.items()}


def _camel(name: str) -> str:
    return _WORD.sub(lambda found: found[1].upper(), name)


def camel_in(members: dict[str, Any], *names: str) -> None:
    """Does the same to the objects of those names, where they are objects."""
    for name in names:
        value = members.get(name)
        if isinstance(value, dict):
            members[name] = camel(value)
