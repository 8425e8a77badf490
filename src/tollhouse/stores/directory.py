"""Consumers and credentials of the snapshot being served, found by what a client presents."""

from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from typing import Any, Final

from tollhouse.model.changes import Changes
from tollhouse.model.entities import CaCertificate, Consumer, ConsumerGroup
from tollhouse.model.snapshot import Snapshot
from tollhouse.pdk.caller import Caller

_SLICE: Final = 100
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
        self._credentials: dict[str, dict[str, Caller]] = {kind: {} for kind in PRESENTED}
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

    def take_over(self, successor: "Directory | DirectoryPatch") -> None:
        """Serves from now on what the other one holds, or what it holds anew."""
        if isinstance(successor, DirectoryPatch):
            successor.put()
            return
        self._consumers = successor._consumers
        self._usernames = successor._usernames
        self._custom_ids = successor._custom_ids
        self._authorities = successor._authorities
        self._credentials = successor._credentials
        self._groups = successor._groups
        self._consumer_groups = successor._consumer_groups


class DirectoryPatch:
    """What a directory will hold anew, map by map; None under a key that it will not hold any longer."""

    def __init__(self) -> None:
        self._entries: list[tuple[dict[str, Any], Mapping[str, Any]]] = []

    def add(self, held: dict[str, Any], fresh: Mapping[str, Any]) -> None:
        """In the map `held` come these entries, as soon as the directory takes them over."""
        self._entries.append((held, fresh))

    def put(self) -> None:
        """Puts the entries in their places."""
        for held, fresh in self._entries:
            for key, value in fresh.items():
                if value is None:
                    held.pop(key, None)
                else:
                    held[key] = value


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
        directory._credentials[kind] = yield from _callers(directory._consumers.get, credentials, field)
    directory._groups = yield from _groups(snapshot)
    directory._consumer_groups = yield from _consumer_groups(snapshot)
    return directory


def patching_directory(
    directory: Directory, snapshot: Snapshot, changes: Changes
) -> Generator[None, None, DirectoryPatch]:
    """Yields between slices; returns what a directory has to take over to be that of a snapshot, where
    these changes have led to it."""
    patch = DirectoryPatch()
    consumers = _patch_consumers(patch, directory, changes)

    def owner(id_: str) -> Consumer | None:
        return consumers[id_] if id_ in consumers else directory._consumers.get(id_)

    for kind, field in PRESENTED.items():
        stale = {_presented(each, field) for each in changes.touched(kind)}
        stale |= yield from _presented_by(consumers, getattr(snapshot, kind), field)
        if stale:
            callers = yield from _callers(owner, getattr(snapshot, kind), field, stale)
            patch.add(directory._credentials[kind], dict.fromkeys(stale) | callers)
    members = {acl.consumer.id for acl in changes.touched("acls") if acl.consumer is not None}
    if members:
        groups = yield from _groups(snapshot, members)
        patch.add(directory._groups, dict.fromkeys(members) | groups)
    members = yield from _regrouped(snapshot, changes)
    if members:
        consumer_groups = yield from _consumer_groups(snapshot, members)
        patch.add(directory._consumer_groups, dict.fromkeys(members) | consumer_groups)
    return patch


def _patch_consumers(
    patch: DirectoryPatch, directory: Directory, changes: Changes
) -> Mapping[str, Consumer | None]:
    """Consumers that are other ones from now on, by id."""
    consumers = {
        "id": directory._consumers,
        "username": directory._usernames,
        "custom_id": directory._custom_ids,
    }
    for field, held in consumers.items():
        patch.add(held, _by_field(changes, "consumers", field))
    patch.add(directory._authorities, _by_field(changes, "ca_certificates", "id"))
    return _by_field(changes, "consumers", "id")


def _by_field(changes: Changes, collection: str, field: str) -> dict[str, Any]:
    """What is under each value of a field that has changed; None where there is nothing any longer."""
    removed = dict.fromkeys(getattr(entity, field) for entity in changes.removed(collection))
    found = removed | {getattr(entity, field): entity for entity in changes.added(collection)}
    found.pop(None, None)
    return found


def _presented_by(
    consumers: Collection[str], credentials: Iterable[Any], field: str
) -> Generator[None, None, set[str]]:
    """What these consumers present."""
    found = set()
    for number, credential in enumerate(credentials if consumers else ()):
        if credential.consumer is not None and credential.consumer.id in consumers:
            found.add(_presented(credential, field))
        if number % _SLICE == 0:
            yield
    return found


def _regrouped(snapshot: Snapshot, changes: Changes) -> Generator[None, None, set[str]]:
    """Consumers whose consumer groups are other ones from now on."""
    members = {each.consumer.id for each in changes.touched("consumer_group_consumers")}
    groups = {group.id for group in changes.touched("consumer_groups")}
    for number, membership in enumerate(snapshot.consumer_group_consumers if groups else ()):
        if membership.consumer_group.id in groups:
            members.add(membership.consumer.id)
        if number % _SLICE == 0:
            yield
    return members


def _callers(
    owner: Callable[[str], Consumer | None],
    credentials: Iterable[Any],
    field: str,
    wanted: Collection[str] | None = None,
) -> Generator[None, None, dict[str, Caller]]:
    """Callers by what they present, or by what is wanted of that."""
    callers: dict[str, Caller] = {}
    for number, credential in enumerate(credentials):
        presented = _presented(credential, field)
        if presented and (wanted is None or presented in wanted):
            consumer = owner(credential.consumer.id) if credential.consumer else None
            if consumer is not None:
                callers[presented] = Caller(consumer, credential)
        if number % _SLICE == 0:
            yield
    return callers


def _groups(
    snapshot: Snapshot, members: Collection[str] | None = None
) -> Generator[None, None, dict[str, tuple[str, ...]]]:
    """The groups for access lists of all consumers, or of some."""
    found: dict[str, list[str]] = defaultdict(list)
    for number, acl in enumerate(snapshot.acls):
        if acl.consumer is not None and (members is None or acl.consumer.id in members):
            found[acl.consumer.id].append(acl.group)
        if number % _SLICE == 0:
            yield
    return {consumer: tuple(groups) for consumer, groups in found.items()}


def _consumer_groups(
    snapshot: Snapshot, members: Collection[str] | None = None
) -> Generator[None, None, dict[str, tuple[ConsumerGroup, ...]]]:
    """The consumer groups of all consumers, or of some."""
    known = {group.id: group for group in snapshot.consumer_groups}
    found: dict[str, list[ConsumerGroup]] = defaultdict(list)
    for number, membership in enumerate(snapshot.consumer_group_consumers):
        group, member = known.get(membership.consumer_group.id), membership.consumer.id
        if group is not None and (members is None or member in members):
            found[member].append(group)
        if number % _SLICE == 0:
            yield
    return {
        consumer: tuple(sorted(groups, key=lambda group: group.name)) for consumer, groups in found.items()
    }


def _presented(credential: Any, field: str) -> str:
    """What a client shows; empty if there is nothing that it could show."""
    value = getattr(credential, field)
    return "" if value is None else _on_the_wire(value)


def _on_the_wire(key: str) -> str:
    """As the key looks when it comes in a header: its UTF-8 bytes, one character each."""
    return key if key.isascii() else key.encode().decode("latin-1")
