"""One immutable configuration: every entity that is in force, and its hash.

Snapshots travel between processes as JSON, a line for some hundred entities, so that reading one can
pause between lines. What they hold is already checked and complete; decoding does not check it again.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, fields
from typing import Any, Final, get_type_hints

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
#: entities in a line
_SLICE: Final = 100


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
_decoders: Final = {
    name: msgspec.json.Decoder(kind) for name, kind in get_type_hints(Snapshot).items() if name != "hash"
}


def encode(snapshot: Snapshot) -> bytes:
    """The snapshot as lines: its hash, then slices of each collection after their name."""
    return b"\n".join(_lines(snapshot))


def _lines(snapshot: Snapshot) -> Iterator[bytes]:
    yield snapshot.hash.encode()
    for field in fields(snapshot):
        if field.name in _decoders:
            entities = getattr(snapshot, field.name)
            for start in range(0, len(entities), _SLICE):
                yield field.name.encode() + b" " + _encoder.encode(entities[start : start + _SLICE])


def decoding(data: bytes) -> Generator[None, None, Snapshot]:
    """Yields between slices; returns the snapshot."""
    collections: dict[str, list[Any]] = {name: [] for name in _decoders}
    first, *lines = data.split(b"\n")
    for line in lines:
        name, _, encoded = line.partition(b" ")
        collections[name.decode()].extend(_decoders[name.decode()].decode(encoded))
        yield
    kept = {name: tuple(entities) for name, entities in collections.items()}
    return Snapshot(hash=first.decode() or EMPTY_HASH, **kept)


def decode(data: bytes) -> Snapshot:
    """The snapshot, at once."""
    work = decoding(data)
    while True:
        try:
            next(work)
        except StopIteration as end:
            snapshot: Snapshot = end.value
            return snapshot
