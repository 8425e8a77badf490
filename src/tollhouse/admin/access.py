"""Who asks something of the Admin API, and what they may."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tollhouse.config.admin_tokens import AdminToken, Role, digest, holder
from tollhouse.config.settings import Settings
from tollhouse.pdk.messages import Request

ADMIN_HEADER: Final = "Kong-Admin-Token"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Actor:
    """Someone who has been let in."""

    #: what the audit trail calls them
    name: str
    role: Role = "admin"
    #: an operator's own part of the configuration: entities that have all of these tags
    tags: frozenset[str] = frozenset()

    def may_change(self, *states: Mapping[str, Any] | None) -> bool:
        """Whether an entity is theirs to change, as it was and as it shall be."""
        if self.role == "admin":
            return True
        tags = (frozenset(state.get("tags") or ()) for state in states if state is not None)
        return self.role == "operator" and all(self.tags <= held for held in tags)


#: whoever reaches an Admin API that asks for no credentials
ANYONE: Final = Actor("anyone")


class Gate:
    """Lets in whoever shows a token, or everyone if there are no tokens."""

    def __init__(self, tokens: tuple[AdminToken, ...] = ()) -> None:
        self._tokens = tokens

    @classmethod
    def of(cls, settings: Settings) -> "Gate":
        key = settings.admin_key
        own = (AdminToken("admin-key", "admin", digest(key)),) if key is not None else ()
        return cls((*own, *settings.admin_tokens))

    @property
    def is_open(self) -> bool:
        return not self._tokens

    def admit(self, request: Request, peer: str) -> Actor | None:
        """Who asks; None if they do not show a token that is known. `peer` tells one from another where
        no tokens are asked for."""
        if not self._tokens:
            return Actor(peer)
        found = holder(self._tokens, _shown(request))
        return Actor(found.name, found.role, frozenset(found.tags)) if found is not None else None


def is_allowed(actor: Actor, request: Request) -> bool:
    """Whether this role may ask this at all. Checks of schemas change nothing."""
    return actor.role != "read-only" or request.method in _SAFE or request.path.startswith("/schemas/")


def _shown(request: Request) -> str:
    token = request.headers.values.get(ADMIN_HEADER.lower())
    if token is None:
        scheme, _, token = request.headers.values.get("authorization", "").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
    return token
