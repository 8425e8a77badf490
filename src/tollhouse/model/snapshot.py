"""One immutable configuration: every entity that is in force, and its hash.

Snapshots travel between processes as JSON, a line for some hundred entities, so that reading one can
pause between lines. What they hold is already checked and complete; decoding does not check it again.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, fields, replace
from hashlib import blake2b
from operator import attrgetter
from typing import Any, Final, get_type_hints
from zlib import crc32

import msgspec

from tollhouse.model.entities import (
    Acl,
    BasicAuthCredential,
    CaCertificate,
    Certificate,
    Consumer,
    ConsumerGroup,
    ConsumerGroupConsumer,
    HmacAuthCredential,
    JwtSecret,
    Key,
    KeyAuthCredential,
    KeySet,
    MtlsAuthCredential,
    PluginInstance,
    Route,
    Service,
    Sni,
    Target,
    Upstream,
    Vault,
)

#: Kong's hash of a configuration that was never loaded
EMPTY_HASH: Final = "0" * 32
#: entities in a line, on average
_SLICE: Final = 100
_INSTANTS: Final = frozenset({"created_at", "updated_at"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Fields are named as Kong's collections; `hash` is 32 hexadecimal digits."""

    certificates: tuple[Certificate, ...] = ()
    ca_certificates: tuple[CaCertificate, ...] = ()
    vaults: tuple[Vault, ...] = ()
    key_sets: tuple[KeySet, ...] = ()
    services: tuple[Service, ...] = ()
    routes: tuple[Route, ...] = ()
    consumers: tuple[Consumer, ...] = ()
    consumer_groups: tuple[ConsumerGroup, ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    snis: tuple[Sni, ...] = ()
    keys: tuple[Key, ...] = ()
    targets: tuple[Target, ...] = ()
    consumer_group_consumers: tuple[ConsumerGroupConsumer, ...] = ()
    keyauth_credentials: tuple[KeyAuthCredential, ...] = ()
    basicauth_credentials: tuple[BasicAuthCredential, ...] = ()
    hmacauth_credentials: tuple[HmacAuthCredential, ...] = ()
    jwt_secrets: tuple[JwtSecret, ...] = ()
    mtls_auth_credentials: tuple[MtlsAuthCredential, ...] = ()
    acls: tuple[Acl, ...] = ()
    plugins: tuple[PluginInstance, ...] = ()
    hash: str = EMPTY_HASH


_encoder: Final = msgspec.json.Encoder()
#: readers of the tuples of a snapshot, by the name of the collection
DECODERS: Final = {
    name: msgspec.json.Decoder(kind) for name, kind in get_type_hints(Snapshot).items() if name != "hash"
}


def encode(snapshot: Snapshot) -> bytes:
    """The snapshot as lines: its hash, then slices of each collection after their name."""
    return b"\n".join(_lines(snapshot))


def _lines(snapshot: Snapshot) -> Iterator[bytes]:
    yield snapshot.hash.encode()
    for field in fields(snapshot):
        if field.name in DECODERS:
            for entities in _slices(getattr(snapshot, field.name)):
                yield field.name.encode() + b" " + _encoder.encode(entities)


def _slices(entities: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Slices end by what stands in them, so that one entity more or less changes one slice alone."""
    start = 0
    for end, entity in enumerate(entities, 1):
        if crc32(entity.id.encode()) % _SLICE == 0 or end - start >= 10 * _SLICE:
            yield entities[start:end]
            start = end
    if start < len(entities):
        yield entities[start:]


class Reader:
    """Decodes snapshots. Slices that the one before had too are not decoded again: what has not changed
    is the same object, in one snapshot and the next."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Any, ...]] = {}

    def decoding(self, data: bytes) -> Generator[None, None, Snapshot]:
        """Yields between slices; returns the snapshot."""
        collections: dict[str, list[Any]] = {name: [] for name in DECODERS}
        known: dict[bytes, tuple[Any, ...]] = {}
        first, *lines = data.split(b"\n")
        for line in lines:
            name, _, encoded = line.partition(b" ")
            digest = blake2b(line, digest_size=16).digest()
            entities = self._known.get(digest)
            if entities is None:
                entities = DECODERS[name.decode()].decode(encoded)
            known[digest] = entities
            collections[name.decode()].extend(entities)
            yield
        self._known = known
        kept = {name: tuple(entities) for name, entities in collections.items()}
        return Snapshot(hash=first.decode() or EMPTY_HASH, **kept)


def decode(data: bytes) -> Snapshot:
    """The snapshot, at once."""
    work = Reader().decoding(data)
    while True:
        try:
            next(work)
        except StopIteration as end:
            snapshot: Snapshot = end.value
            return snapshot


def with_unchanged(fresh: Snapshot, before: Snapshot, now: int) -> Snapshot:
    """The fresh snapshot with the entities of the one before that are the same but for instants made up
    at the time of the load, `now`: what has not changed was not created or updated again."""
    kept: dict[str, Any] = {
        name: _with_unchanged(getattr(fresh, name), getattr(before, name), now)
        for name in DECODERS
        if getattr(fresh, name)
    }
    return replace(fresh, **kept)


def _with_unchanged(fresh: tuple[Any, ...], before: tuple[Any, ...], now: int) -> tuple[Any, ...]:
    compared = attrgetter("id", *(each.name for each in fields(fresh[0]) if each.name not in _INSTANTS))
    known = {entity.id: entity for entity in before}

    def chosen(entity: Any) -> Any:
        former = known.get(entity.id)
        if former is None or compared(former) != compared(entity):
            return entity
        return former if entity.created_at in (now, former.created_at) else entity

    return tuple(map(chosen, fresh))
