"""The answers that processes of a node share: what is kept, for how long, and what makes room."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.stores.responses import SharedResponses, shared_responses

SIZE = 1024 * 1024


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Iterator[SharedResponses]:
    descriptor = shared_responses(SIZE)
    made = SharedResponses(descriptor, clock)
    yield made
    made.close()
    os.close(descriptor)


def test_what_is_put_is_found_until_its_time_is_over(store: SharedResponses, clock: Clock) -> None:
    store.put("k", b"value", 10)
    assert store.find("k") == b"value"
    assert store.find("other") is None
    clock.now += 10
    assert store.find("k") is None


def test_the_newest_value_of_a_key_counts(store: SharedResponses) -> None:
    store.put("k", b"old", 10)
    store.put("k", b"new", 10)
    assert store.find("k") == b"new"


def test_keys_can_be_deleted_one_by_one_and_together(store: SharedResponses) -> None:
    for name in "abc":
        store.put(name, name.encode(), 10)
    assert store.delete("a")
    assert not store.delete("a")
    assert [store.find(name) for name in "abc"] == [None, b"b", b"c"]
    store.clear()
    assert [store.find(name) for name in "abc"] == [None] * 3


def test_a_value_that_is_too_long_is_not_kept(store: SharedResponses) -> None:
    store.put("k", b"x" * store.largest_bytes, 10)
    store.put("long", b"x" * (store.largest_bytes + 1), 10)
    assert store.find("k") is not None
    assert store.find("long") is None


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, SIZE // 6)), max_size=60))
def test_whatever_is_found_is_what_was_put_last(entries: list[tuple[int, int]]) -> None:
    descriptor = shared_responses(SIZE)
    store = SharedResponses(descriptor, Clock())
    latest: dict[str, bytes] = {}
    try:
        for number, (key, length) in enumerate(entries):
            value = b"%d:" % number + bytes([number]) * length
            store.put(f"k{key}", value, 10)
            if len(value) <= store.largest_bytes:
                latest[f"k{key}"] = value
            else:
                continue
            assert store.find(f"k{key}") == value
        for name, value in latest.items():
            assert store.find(name) in (value, None)
    finally:
        store.close()
        os.close(descriptor)


def test_old_values_make_room(store: SharedResponses) -> None:
    for number in range(20):
        store.put(f"k{number}", bytes(100_000), 10)
    assert store.find("k0") is None
    assert store.find("k19") is not None


def _write(descriptor: int, name: str) -> int:
    store = SharedResponses(descriptor, lambda: 1000.0)
    wrong = 0
    for number in range(300):
        value = f"{name}{number}".encode() * 50
        store.put(f"k{number % 7}", value, 10)
        found = store.find(f"k{number % 7}")
        # Another process may have been faster, but nothing is ever half one's and half the other's.
        wrong += (
            found is None
            or len({found[i : i + len(found) // 50] for i in range(0, len(found), len(found) // 50)}) != 1
        )
    store.close()
    return wrong


def test_processes_never_see_each_others_halves() -> None:
    descriptor = shared_responses(SIZE)
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        assert list(pool.map(_write, [descriptor] * 2, ["a", "b"])) == [0, 0]
    os.close(descriptor)
