"""Entities of Kong's that tools ask the schema of, and of which nothing is kept here.

Tags are rows made from what bears them; of workspaces there is one, `default`, that nobody can change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tollhouse.model.common import created_at, updated_at, uuid_id
from tollhouse.model.entities import Kind
from tollhouse.model.schema import setting
from tollhouse.model.validators import tag, utf8_name

# fmt: off
#: names that paths of the Admin API begin with
_TAKEN: Final = (
    "workspaces", "consumers", "certificates", "services", "routes", "snis", "upstreams", "targets",
    "plugins", "tags", "ca_certificates", "clustering_data_planes", "parameters", "vaults", "key_sets",
    "keys", "filter_chains",
)
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagging:
    """That an entity has a tag."""

    tag: str = setting(required=True, validator=tag, doc="The tag.")
    entity_name: str = setting(required=True, doc="Of which kind the entity is.")
    entity_id: str = setting(required=True, uuid=True, auto=True, doc="Which entity has it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """A record without fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A part of a configuration under a name of its own."""

    id: str = uuid_id()
    name: str = setting(
        required=True,
        unique=True,
        validator=utf8_name,
        not_one_of=_TAKEN,
        doc="A unique name.",
    )
    comment: str | None = setting(None, doc="What it is for.")
    created_at: int = created_at()
    updated_at: int = updated_at()
    meta: Nothing | None = setting(None, doc="How a manager shows it.")
    config: Nothing | None = setting(None, doc="Settings of its own.")


#: by Kong's plural names
DESCRIBED: Final[Mapping[str, Kind]] = MappingProxyType(
    {"tags": Kind("tags", Tagging), "workspaces": Kind("workspaces", Workspace, lookup="name")}
)
