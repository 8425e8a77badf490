import uuid
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tollhouse.model.entities import (
    Consumer,
    KeyAuthCredential,
    PluginInstance,
    Ref,
    Route,
    Service,
    Target,
    Upstream,
)
from tollhouse.model.snapshot import EMPTY_HASH, Reader, Snapshot, decode, encode, with_unchanged

ids = st.uuids().map(str)
refs = st.builds(Ref, ids)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
tags = st.none() | st.lists(texts, max_size=3).map(tuple)
instants = st.integers(0, 2**40)
values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
services = st.builds(
    Service, id=ids, name=st.none() | texts, host=texts, port=st.integers(0, 65535), tags=tags
)
routes = st.builds(
    Route,
    id=ids,
    name=texts,
    service=st.none() | refs,
    paths=st.none() | st.lists(texts, max_size=2).map(tuple),
    headers=st.none() | st.dictionaries(texts, st.lists(texts, max_size=2).map(tuple), max_size=2),
)
snapshots = st.builds(
    Snapshot,
    services=st.lists(services, max_size=2).map(tuple),
    routes=st.lists(routes, max_size=2).map(tuple),
    consumers=st.lists(st.builds(Consumer, id=ids, username=texts, tags=tags), max_size=2).map(tuple),
    upstreams=st.lists(st.builds(Upstream, id=ids, name=texts), max_size=1).map(tuple),
    targets=st.lists(
        st.builds(Target, id=ids, upstream=refs, target=texts, created_at=st.floats(0, 2**40)), max_size=2
    ).map(tuple),
    keyauth_credentials=st.lists(
        st.builds(KeyAuthCredential, id=ids, key=texts, consumer=refs, created_at=instants), max_size=2
    ).map(tuple),
    plugins=st.lists(
        st.builds(PluginInstance, id=ids, name=texts, config=st.dictionaries(texts, values, max_size=3)),
        max_size=2,
    ).map(tuple),
    hash=st.text("0123456789abcdef", min_size=32, max_size=32),
)


@given(snapshots)
def test_a_snapshot_survives_its_way_between_processes(snapshot: Snapshot) -> None:
    assert decode(encode(snapshot)) == snapshot


def test_an_empty_snapshot_has_kongs_hash_of_nothing() -> None:
    assert Snapshot().hash == EMPTY_HASH == "0" * 32


def read(reader: Reader, data: bytes) -> Snapshot:
    work = reader.decoding(data)
    while True:
        try:
            next(work)
        except StopIteration as end:
            snapshot: Snapshot = end.value
            return snapshot


MANY = tuple(
    Consumer(id=str(uuid.UUID(int=number)), username=f"u{number}", created_at=1, updated_at=1)
    for number in range(3000)
)


def test_what_has_not_changed_is_not_decoded_again() -> None:
    reader = Reader()
    before = read(reader, encode(Snapshot(consumers=MANY)))
    changed = (*MANY[:50], Consumer(id=str(uuid.UUID(int=99999)), username="new"), *MANY[51:])
    after = read(reader, encode(Snapshot(consumers=changed)))
    assert after.consumers == changed
    known = {id(consumer) for consumer in before.consumers}
    fresh = [consumer for consumer in after.consumers if id(consumer) not in known]
    assert len(fresh) < 1100
    assert fresh[-1].username != "u2999"


def test_an_unchanged_entity_keeps_its_instants() -> None:
    before = Snapshot(consumers=MANY[:3])
    loaded = [replace(consumer, created_at=7, updated_at=7) for consumer in MANY[:3]]
    loaded[1] = replace(loaded[1], tags=("new",))
    loaded[2] = replace(loaded[2], created_at=5)
    after = with_unchanged(Snapshot(consumers=tuple(loaded), hash="a"), before, 7)
    assert after.consumers == (MANY[0], loaded[1], loaded[2])
    assert after.hash == "a"
