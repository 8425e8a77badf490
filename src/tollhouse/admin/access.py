"""Who asks something of the Admin API, and what they may."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Role = Literal["read-only", "operator", "admin"]
ROLES: Final[tuple[Role, ...]] = ("read-only", "operator", "admin")


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
