"""What tells one snapshot from the next leads from the one to the other."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tollhouse.model.changes import Splice, changes_between, decode_changes, encode_changes
from tollhouse.model.entities import Consumer, Route
from tollhouse.model.snapshot import Snapshot


def consumers(*names: str) -> tuple[Consumer, ...]:
    return tuple(Consumer(id=name, username=name) for name in names)


known = consumers(*"abcdefghij")
routes = tuple(Route(id=name, paths=(f"/{name}",)) for name in "xyz")
fresh: st.SearchStrategy[Any] = st.builds(Consumer, id=st.text(max_size=3), username=st.text(max_size=3))
some = st.lists(st.sampled_from(known) | fresh, max_size=14).map(tuple)


@given(some, some, st.permutations(routes).map(tuple))
def test_changes_lead_from_any_snapshot_to_any_other(
    old: tuple[Consumer, ...], new: tuple[Consumer, ...], ordered: tuple[Route, ...]
) -> None:
    before = Snapshot(consumers=old, routes=routes, hash="1" * 32)
    after = Snapshot(consumers=new, routes=ordered, hash="2" * 32)

    sent = encode_changes(changes_between(before, after))

    assert decode_changes(sent, before).after() == after


def test_only_what_has_changed_is_sent() -> None:
    before = Snapshot(consumers=known, routes=routes)
    other = replace(known[3], username="other")
    after = replace(before, consumers=(*known[:3], other, *known[4:8], known[9]), hash="3" * 32)

    changes = changes_between(before, after)

    assert changes.splices == {"consumers": [Splice(3, 4, (other,)), Splice(8, 9, ())]}
    assert changes.entities == 2
    assert list(changes.removed("consumers")) == [known[3], known[8]]
    assert list(changes.added("consumers")) == [other]
    assert list(changes.touched("routes")) == []
    assert changes.after().routes is routes


def test_nothing_changed_is_no_change_but_for_the_hash() -> None:
    changes = changes_between(Snapshot(consumers=known), Snapshot(consumers=tuple(known), hash="4" * 32))

    assert changes.entities == 0
    assert changes.after() == Snapshot(consumers=known, hash="4" * 32)
