"""Consumers and their groups."""

from dataclasses import dataclass

from tollhouse.model.checks import AtLeastOneOf
from tollhouse.model.common import created_at, tags, updated_at, uuid_id
from tollhouse.model.schema import Ref, setting


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerGroup:
    """Consumers that plugins treat alike."""

    id: str = uuid_id()
    created_at: int = created_at()
    updated_at: int = updated_at()
    name: str = setting(required=True, unique=True, doc="A unique name.")
    tags: tuple[str, ...] | None = tags()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerGroupConsumer:
    """One consumer's membership in one group."""

    id: str = uuid_id()
    created_at: int = created_at()
    consumer_group: Ref = setting(
        required=True, reference="consumer_groups", on_delete="cascade", doc="The group."
    )
    consumer: Ref = setting(required=True, reference="consumers", on_delete="cascade", doc="The member.")
