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

from tollhouse.model.certificate import CaCertificate, Certificate, Sni, with_digest
from tollhouse.model.consumer import Consumer, ConsumerGroup, ConsumerGroupConsumer
from tollhouse.model.credentials import (
    Acl,
    BasicAuthCredential,
    Credential,
    HmacAuthCredential,
    JwtSecret,
    KeyAuthCredential,
    MtlsAuthCredential,
    with_hashed_password,
    with_unlimited_ttl,
)
from tollhouse.model.fields import Field
from tollhouse.model.judges import MISSING_KEY
from tollhouse.model.key import Key, KeySet, Pem
from tollhouse.model.plugin import PluginInstance, PluginSchemas, plugin_variant
from tollhouse.model.route import Peer, Route, route_variant
from tollhouse.model.schema import Record, Ref, schema_of
from tollhouse.model.service import Service
from tollhouse.model.upstream import Healthchecks, Target, Upstream, with_full_target
from tollhouse.model.vault import Vault, vault_variant

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
    #: checked values in the form they are kept in: what is computed from others, a normal form
    kept: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    #: the same for what `_transform: false` says is there already: hashes of passwords
    transformed: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    #: a field that is transformed with the help of a reference: when that changes, both have to be given
    bound: tuple[str, str] | None = None

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
    def hidden(self) -> frozenset[str]:
        """The fields that are shown only when they are set."""
        return frozenset(name for name, field in self.schema.fields.items() if field.rules.get("hidden"))

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
            Kind("certificates", Certificate),
            Kind("ca_certificates", CaCertificate, kept=with_digest),
            Kind("vaults", Vault, lookup="prefix"),
            Kind("key_sets", KeySet, lookup="name"),
            Kind("services", Service, lookup="name"),
            Kind("routes", Route, lookup="name"),
            Kind("consumers", Consumer, lookup="username"),
            Kind("consumer_groups", ConsumerGroup, lookup="name"),
            Kind("upstreams", Upstream, lookup="name"),
            Kind("snis", Sni, lookup="name"),
            Kind("keys", Key, lookup="name", composite=("kid", "set")),
            Kind("targets", Target, composite=("upstream", "target"), kept=with_full_target),
            Kind("consumer_group_consumers", ConsumerGroupConsumer, composite=("consumer_group", "consumer")),
            Kind("keyauth_credentials", KeyAuthCredential, lookup="key", kept=with_unlimited_ttl),
            Kind(
                "basicauth_credentials",
                BasicAuthCredential,
                lookup="username",
                transformed=with_hashed_password,
                bound=("password", "consumer"),
            ),
            Kind("hmacauth_credentials", HmacAuthCredential, lookup="username"),
            Kind("jwt_secrets", JwtSecret, lookup="key"),
            Kind("mtls_auth_credentials", MtlsAuthCredential, composite=("subject_name", "ca_certificate")),
            Kind("acls", Acl, composite=("consumer", "group")),
            Kind(
                "plugins",
                PluginInstance,
                lookup="instance_name",
                composite=("name", "route", "service", "consumer", "consumer_group"),
            ),
        )
    }
)


_HIDDEN: Final = {kind.cls: kind.hidden for kind in ENTITIES.values()}


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
    if kind.cls is Vault:
        return vault_variant(raw)
    return kind.schema


def with_references(kind: Kind, given: Mapping[str, Any], errors: dict[str, Any]) -> dict[str, Any]:
    """Errors of an entity; of those it refers to without an id, what is wrong with what is said of them."""
    for field in kind.references.keys() & errors.keys():
        about = given.get(field)
        if errors[field] == MISSING_KEY and isinstance(about, Mapping):
            _, wrong = ENTITIES[kind.references[field]].schema.check(about)
            said = {name: text for name, text in wrong.items() if name in about} if wrong else {}
            errors = {**errors, field: said or errors[field]}
    return errors


def as_json(entity: Any, flavor: str = "traditional_compatible") -> dict[str, Any]:
    """An entity as Kong's Admin API shows it; unset fields are null."""
    shown: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(entity))
    for name in _HIDDEN[type(entity)]:
        if shown[name] is None:
            del shown[name]
    if isinstance(entity, Route) and flavor != "expressions":
        del shown["expression"], shown["priority"]
    return shown


__all__ = [
    "ENTITIES",
    "Acl",
    "BasicAuthCredential",
    "CaCertificate",
    "Certificate",
    "Consumer",
    "ConsumerGroup",
    "ConsumerGroupConsumer",
    "Credential",
    "Healthchecks",
    "HmacAuthCredential",
    "JwtSecret",
    "Key",
    "KeyAuthCredential",
    "KeySet",
    "Kind",
    "MtlsAuthCredential",
    "Peer",
    "Pem",
    "PluginInstance",
    "PluginSchemas",
    "Ref",
    "Route",
    "Service",
    "Sni",
    "Target",
    "Upstream",
    "Vault",
    "as_json",
    "random_key",
    "variant",
    "with_references",
]
