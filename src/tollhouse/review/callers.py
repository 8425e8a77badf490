"""Who is calling, as far as a record and a configuration can tell."""

import base64
import binascii
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tollhouse.model.entities import Consumer, PluginInstance
from tollhouse.model.snapshot import Snapshot
from tollhouse.review.recorded import REDACTED, Recorded
from tollhouse.wire.uri import arguments

#: the credentials that a plugin asks for, by its name
_COLLECTIONS: Final = {
    "key-auth": "keyauth_credentials",
    "basic-auth": "basicauth_credentials",
    "hmac-auth": "hmacauth_credentials",
    "jwt": "jwt_secrets",
}
#: plugins that may let callers through without any credential that is kept here
_ELSEWHERE: Final = frozenset({"openid-connect", "mtls-auth", "session", "oauth2", "ldap-auth"})
AUTHENTICATING: Final = frozenset(_COLLECTIONS) | _ELSEWHERE
_UNAUTHORISED: Final = 401


@dataclass(frozen=True, slots=True)
class Caller:
    """The consumer, if any, and what the record leaves open; `refusal` says why nobody was recognised."""

    consumer: Consumer | None = None
    refusal: str | None = None
    #: stands in for those whom the plugin did not recognise
    is_anonymous: bool = False
    unsure: str | None = None


class Callers:
    """The consumers and credentials of one configuration."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._by_id = {consumer.id: consumer for consumer in snapshot.consumers}
        self._by_name: dict[str, Consumer] = {}
        for field in ("custom_id", "username", "id"):  # what is found by id counts most
            named = ((getattr(consumer, field), consumer) for consumer in snapshot.consumers)
            self._by_name.update({name: consumer for name, consumer in named if name})
        self._keys = {key.key: key.consumer for key in snapshot.keyauth_credentials}
        self._users = {each.username: each.consumer for each in snapshot.basicauth_credentials}
        self._equipped: dict[str, set[str]] = defaultdict(set)
        for plugin, collection in _COLLECTIONS.items():
            owners = (credential.consumer for credential in getattr(snapshot, collection))
            self._equipped[plugin] = {owner.id for owner in owners if owner}

    def named(self, names: tuple[str, ...]) -> Consumer | None:
        """The consumer by the id, else the names, that a record has."""
        return next((self._by_name[name] for name in names if name in self._by_name), None)

    def caller(self, recorded: Recorded, plugin: PluginInstance) -> Caller:
        """Whom one plugin recognises."""
        found = self._caller(recorded, plugin)
        anonymous = plugin.config.get("anonymous")
        if found.refusal is not None and anonymous:
            return Caller(self._by_name.get(anonymous), is_anonymous=True)
        return found

    def _caller(self, recorded: Recorded, plugin: PluginInstance) -> Caller:
        shown = next(_keys(recorded, plugin.config), None) if plugin.name == "key-auth" else None
        if shown is not None and shown != REDACTED:
            return self._owner(self._keys.get(shown), "nobody has the key that was shown")
        user = _user(recorded)
        if plugin.name == "basic-auth" and user is not None:
            return self._owner(self._users.get(user), f"there is no user {user}")
        if recorded.consumer:
            return self._known(recorded.consumer, plugin.name)
        return self._nobody(recorded, plugin.name, shown)

    def _owner(self, owner: Any, otherwise: str) -> Caller:
        consumer = self._by_id.get(owner.id) if owner else None
        return Caller(consumer) if consumer else Caller(refusal=otherwise)

    def _known(self, names: tuple[str, ...], plugin: str) -> Caller:
        """A consumer of the record, who showed a credential that the record does not hold."""
        consumer = self.named(names)
        if plugin in _ELSEWHERE:
            return Caller(consumer)
        if consumer is None:
            return Caller(refusal=f"there is no consumer {names[-1]}")
        if consumer.id in self._equipped[plugin]:
            return Caller(consumer)
        return Caller(refusal=f"consumer {names[-1]} has no credential for {plugin}")

    def _nobody(self, recorded: Recorded, plugin: str, shown: str | None) -> Caller:
        if recorded.refused and recorded.status == _UNAUTHORISED:
            return Caller(refusal="it was refused before, too")
        if recorded.headers is None:
            return Caller(unsure="the log does not tell of credentials")
        secret = recorded.headers.get("authorization") or recorded.headers.get("cookie")
        if plugin in _ELSEWHERE or secret or shown is not None:
            return Caller(unsure=f"whether {plugin} lets it through cannot be told from the record")
        return Caller(refusal="no credential was shown")


def _keys(recorded: Recorded, config: Mapping[str, Any]) -> Iterator[str]:
    """The keys that a request shows in its headers and query."""
    query = dict(arguments(recorded.target.query))
    for name in config["key_names"]:
        if config.get("key_in_header", True) and recorded.headers is not None:
            value = recorded.headers.get(name.lower())
            if value:
                yield value
        if config.get("key_in_query", True) and isinstance(query.get(name), str):
            yield str(query[name])


def _user(recorded: Recorded) -> str | None:
    """The name in basic credentials."""
    given = (recorded.headers.get("authorization") or "") if recorded.headers else ""
    scheme, _, encoded = given.partition(" ")
    if scheme.lower() != "basic":
        return recorded.user
    try:
        return base64.b64decode(encoded).decode("latin-1").partition(":")[0]
    except binascii.Error:
        return None
