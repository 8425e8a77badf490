"""The entities of a configuration, and what is to be known about each kind of them.

To add a kind: its dataclass, a line in `ENTITIES`, a field in `Snapshot`.
"""

import secrets
import string
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

import msgspec

from tollhouse.model.consumer import Consumer, Credential, KeyAuthCredential
from tollhouse.model.fields import Field
from tollhouse.model.plugin import PluginInstance, PluginSchemas, plugin_variant
from tollhouse.model.route import Peer, Route, route_variant
from tollhouse.model.schema import Record, Ref, schema_of
from tollhouse.model.service import Service
from tollhouse.model.upstream import Healthchecks, Target, Upstream

_LETTERS: Final = string.ascii_letters + string.digits
_KEY_LENGTH: Final = 32


@dataclass(frozen=True)
class Kind:
    """A kind of entity, under Kong's plural name."""

    name: str
    cls: type
    #: the unique field by which it may be called instead of its id
    lookup: str | None = None
    #: fields that together are unique, and from which Kong derives the id
    composite: tuple[str, ...] = ()

    @cached_property
    def schema(self) -> Record:
        """The schema before a variant is chosen."""
        return schema_of(self.cls)

    @cached_property
    def references(self) -> Mapping[str, str]:
        """Which fields point to which kinds of entities."""
        fields = self.schema.fields.items()
        return {name: field.rules["reference"] for name, field in fields if "reference" in field.rules}

    @cached_property
    def unique(self) -> tuple[str, ...]:
        """The fields whose values occur once."""
        return tuple(name for name, field in self.schema.fields.items() if field.rules.get("unique"))

    @cached_property
    def _auto(self) -> tuple[tuple[str, Callable[[], str] | None], ...]:
        """The fields the gateway fills in; those without a function get the time."""
        fields = [field for field in self.schema.fields.values() if field.rules.get("auto")]
        return tuple((field.name, _maker(field)) for field in fields)

    def fill_auto(self, values: dict[str, Any], now: float) -> None:
        """Gives the values what the gateway makes up: an id, instants, a key."""
        for name, make in self._auto:
            if values[name] is None:
                values[name] = make() if make else now
        if "updated_at" in values:
            values["updated_at"] = now


def _maker(field: Field) -> Callable[[], str] | None:
    if field.rules.get("timestamp"):
        return None
    return random_id if field.rules.get("uuid") else random_key


#: parents before their children
ENTITIES: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind("services", Service, lookup="name"),
            Kind("routes", Route, lookup="name"),
            Kind("consumers", Consumer, lookup="username"),
            Kind("upstreams", Upstream, lookup="name"),
            Kind("targets", Target, composite=("upstream", "target")),
            Kind("keyauth_credentials", KeyAuthCredential, lookup="key"),
            Kind(
                "plugins",
                PluginInstance,
                lookup="instance_name",
                composite=("name", "route", "service", "consumer"),
            ),
        )
    }
)


def random_id() -> str:
    return str(uuid.uuid4())


def random_key() -> str:
    """A key nobody can guess: 32 letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_KEY_LENGTH))


def variant(
    kind: Kind, raw: Mapping[str, Any], flavor: str, plugins: PluginSchemas
) -> Record | dict[str, Any]:
    """The schema that this input has to satisfy, or Kong's error map if it selects none."""
    if kind.cls is Route:
        return route_variant(raw, flavor)
    if kind.cls is PluginInstance:
        return plugin_variant(raw, plugins)
    return kind.schema


def as_json(entity: Any, flavor: str = "traditional_compatible") -> dict[str, Any]:
    """An entity as Kong's Admin API shows it; unset fields are null."""
    shown: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(entity))
    if shown.get("ttl", ...) is None:
        del shown["ttl"]
    if isinstance(entity, Route) and flavor != "expressions":
        del shown["expression"], shown["priority"]
    return shown


__all__ = [
    "ENTITIES",
    "Consumer",
    "Credential",
    "Healthchecks",
    "KeyAuthCredential",
    "Kind",
    "Peer",
    "PluginInstance",
    "PluginSchemas",
    "Ref",
    "Route",
    "Service",
    "Target",
    "Upstream",
    "as_json",
    "random_key",
    "variant",
]
