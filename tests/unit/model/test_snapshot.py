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
from tollhouse.model.snapshot import EMPTY_HASH, Snapshot, decode, encode

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
