"""Consumers and credentials of the snapshot being served, found by what a client presents."""

from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping
from typing import Any, Final

from tollhouse.model.entities import CaCertificate, Consumer, ConsumerGroup
from tollhouse.model.snapshot import Snapshot
from tollhouse.pdk.caller import Caller

_SLICE: Final = 500
#: what a client presents of each kind of credential
PRESENTED: Final[Mapping[str, str]] = {
    "keyauth_credentials": "key",
    "basicauth_credentials": "username",
    "hmacauth_credentials": "username",
    "jwt_secrets": "key",
    "mtls_auth_credentials": "subject_name",
}


class Directory:
    """Answers who is calling. One per worker; its content is exchanged with the snapshot."""

    def __init__(self) -> None:
        self._consumers: dict[str, Consumer] = {}
        self._usernames: dict[str, Consumer] = {}
        self._custom_ids: dict[str, Consumer] = {}
        self._authorities: dict[str, CaCertificate] = {}
        self._credentials: dict[str, dict[str, Caller]] = {}
        self._groups: dict[str, tuple[str, ...]] = {}
        self._consumer_groups: dict[str, tuple[ConsumerGroup, ...]] = {}

    def consumer(self, id_or_username: str) -> Consumer | None:
        """The consumer of that id, else of that username."""
        return self._consumers.get(id_or_username) or self._usernames.get(id_or_username)

    def consumer_by(self, field: str, value: str) -> Consumer | None:
        """The consumer with that `id`, `username` or `custom_id`."""
        known = {"id": self._consumers, "username": self._usernames, "custom_id": self._custom_ids}
        return known[field].get(value)

    def caller(self, kind: str, presented: str) -> Caller | None:
        """Who presents this credential of a kind."""
        known = self._credentials.get(kind)
        return known.get(presented) if known is not None else None

    def authority(self, id_: str) -> CaCertificate | None:
        """The certificate authority of that id."""
        return self._authorities.get(id_)

    def groups(self, consumer_id: str) -> tuple[str, ...]:
        """The groups for access lists that a consumer is in, in the order of its memberships."""
        return self._groups.get(consumer_id, ())

    def consumer_groups(self, consumer_id: str) -> tuple[ConsumerGroup, ...]:
        """The consumer groups a consumer is in, sorted by name."""
        return self._consumer_groups.get(consumer_id, ())

    def take_over(self, successor: "Directory") -> None:
        """Serves from now on what the other one holds."""
        self._consumers = successor._consumers
        self._usernames = successor._usernames
        self._custom_ids = successor._custom_ids
        self._authorities = successor._authorities
        self._credentials = successor._credentials
        self._groups = successor._groups
        self._consumer_groups = successor._consumer_groups


def building_directory(snapshot: Snapshot) -> Generator[None, None, Directory]:
    """Yields between slices; returns the directory of a snapshot."""
    directory = Directory()
    directory._authorities = {authority.id: authority for authority in snapshot.ca_certificates}
    for number, consumer in enumerate(snapshot.consumers):
        directory._consumers[consumer.id] = consumer
        if consumer.username is not None:
            directory._usernames[consumer.username] = consumer
        if consumer.custom_id is not None:
            directory._custom_ids[consumer.custom_id] = consumer
        if number % _SLICE == 0:
            yield
    for kind, field in PRESENTED.items():
        credentials = getattr(snapshot, kind)
        if credentials:
            directory._credentials[kind] = yield from _callers(directory, credentials, field)
    directory._groups = yield from _groups(snapshot)
    directory._consumer_groups = yield from _consumer_groups(snapshot)
    return directory


def _callers(
    directory: Directory, credentials: Iterable[Any], field: str
) -> Generator[None, None, dict[str, Caller]]:
    callers: dict[str, Caller] = {}
    for number, credential in enumerate(credentials):
        owner = directory._consumers.get(credential.consumer.id) if credential.consumer else None
        presented = getattr(credential, field)
        if owner is not None and presented is not None:
            callers[_on_the_wire(presented)] = Caller(owner, credential)
        if number % _SLICE == 0:
            yield
    return callers


def _groups(snapshot: Snapshot) -> Generator[None, None, dict[str, tuple[str, ...]]]:
    found: dict[str, list[str]] = defaultdict(list)
    for number, acl in enumerate(snapshot.acls):
        if acl.consumer is not None:
            found[acl.consumer.id].append(acl.group)
        if number % _SLICE == 0:
            yield
    return {consumer: tuple(groups) for consumer, groups in found.items()}


def _consumer_groups(snapshot: Snapshot) -> Generator[None, None, dict[str, tuple[ConsumerGroup, ...]]]:
    known = {group.id: group for group in snapshot.consumer_groups}
    found: dict[str, list[ConsumerGroup]] = defaultdict(list)
    for number, membership in enumerate(snapshot.consumer_group_consumers):
        group = known.get(membership.consumer_group.id)
        if group is not None:
            found[membership.consumer.id].append(group)
        if number % _SLICE == 0:
            yield
    return {
        consumer: tuple(sorted(groups, key=lambda group: group.name)) for consumer, groups in found.items()
    }


def _on_the_wire(key: str) -> str:
    """As the key looks when it comes in a header: its UTF-8 bytes, one character each."""
    return key if key.isascii() else key.encode().decode("latin-1")
