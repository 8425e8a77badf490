"""Consumers and the credentials by which requests are recognised as theirs."""

from dataclasses import dataclass
from typing import Protocol

from tollhouse.model.checks import AtLeastOneOf
from tollhouse.model.common import created_at, tags, updated_at, uuid_id
from tollhouse.model.schema import Ref, setting

#: Kong's limit for a time to live, in seconds
_MAX_TTL = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """Someone who calls the APIs: an application, a team, a tenant."""

    id: str = uuid_id()
    created_at: int = created_at()
    updated_at: int = updated_at()
    username: str | None = setting(None, unique=True, doc="A unique name.")
    custom_id: str | None = setting(None, unique=True, doc="The id it has in another system.")
    tags: tuple[str, ...] | None = tags()

    CHECKS = (AtLeastOneOf("custom_id", "username"),)


class Credential(Protocol):
    """What every kind of credential has."""

    @property
    def id(self) -> str: ...

    @property
    def consumer(self) -> Ref | None: ...

    @property
    def identifier(self) -> str:
        """What the upstream is told in X-Credential-Identifier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAuthCredential:
    """An API key of a consumer."""

    id: str = uuid_id()
    created_at: int = created_at()
    consumer: Ref | None = setting(
        None, required=True, reference="consumers", on_delete="cascade", doc="Whose key it is."
    )
    key: str = setting("", auto=True, unique=True, doc="The key; made up if it is not given.")
    tags: tuple[str, ...] | None = tags()
    ttl: int | None = setting(None, between=(0, _MAX_TTL), unit="s", hidden=True, doc="Seconds to live.")

    @property
    def identifier(self) -> str:
        return self.id
