"""Who may use the Admin API: a file that names tokens and roles.

    tokens:
    - {name: pipeline, role: operator, tags: [team-a], sha256: 9f86d081…}
    - {name: dashboard, role: read-only, token: "a long random text"}

A token stands there as it is, or as its SHA-256 in hexadecimal digits, which nobody can log in with.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

Role = Literal["read-only", "operator", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
_DIGEST_DIGITS: Final = 64


@dataclass(frozen=True, slots=True)
class AdminToken:
    """One user of the Admin API. An operator with tags changes only entities that have all of them."""

    name: str
    role: Role
    #: of the token, in hexadecimal digits
    sha256: str = field(repr=False)
    tags: tuple[str, ...] = ()


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    role: Role
    token: str | None = None
    sha256: str | None = None
    tags: list[str] = msgspec.field(default_factory=list)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    tokens: list[_Entry]


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def holder(tokens: Sequence[AdminToken], shown: str) -> AdminToken | None:
    """Whose token this is. It takes as long for every token."""
    given = digest(shown)
    found = [token for token in tokens if hmac.compare_digest(token.sha256, given)]
    return found[0] if found else None


def read_tokens(text: str) -> tuple[AdminToken, ...]:
    """The tokens in a file; none if no file is named. Raises `ValueError`."""
    if not text:
        return ()
    try:
        file = msgspec.yaml.decode(Path(text).read_bytes(), type=_File)
    except OSError as error:
        raise ValueError(f"cannot read {text}: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise ValueError(f"{text}: {error}") from None
    tokens = tuple(_token(text, entry) for entry in file.tokens)
    for names in ([token.name for token in tokens], [token.sha256 for token in tokens]):
        if len(set(names)) < len(names):
            raise ValueError(f"{text}: every name and every token may occur only once")
    return tokens


def _token(path: str, entry: _Entry) -> AdminToken:
    if (entry.token is None) == (entry.sha256 is None):
        raise ValueError(f"{path}: '{entry.name}' needs either a token or a sha256")
    if entry.tags and entry.role != "operator":
        raise ValueError(f"{path}: '{entry.name}' has tags, which only operators have")
    sha256 = (entry.sha256 or digest(entry.token or "")).lower()
    if len(sha256) != _DIGEST_DIGITS or entry.token == "":
        raise ValueError(f"{path}: '{entry.name}' has no valid token")
    return AdminToken(entry.name, entry.role, sha256, tuple(entry.tags))
