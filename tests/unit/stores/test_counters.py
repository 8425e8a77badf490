"""The counters' arithmetic in one process: windows, slots and what happens when room runs out."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from tollhouse.pdk.services import Window
from tollhouse.stores.counters import SharedCounters, shared_file

REGION = 256


@contextmanager
def counting(slots: int = REGION, clock: Callable[[], float] = lambda: 1000.0) -> Iterator[SharedCounters]:
    descriptor = shared_file(slots)
    counters = SharedCounters(descriptor, clock)
    try:
        yield counters
    finally:
        counters.close()
        os.close(descriptor)


def window(key: str = "k", *, start: int = 960, seconds: int = 60, limit: float = 5) -> Window:
    return Window(key, start, seconds, limit)


def test_a_limit_lets_exactly_so_many_through() -> None:
    with counting() as counters:
        tally = counters.tally([window(limit=3)])

        assert [tally.take() for _ in range(5)] == [
            (True, [1]),
            (True, [2]),
            (True, [3]),
            (False, [3]),
            (False, [3]),
        ]


def test_a_refusal_by_one_window_counts_in_none() -> None:
    with counting() as counters:
        minute, hour = window(limit=2), window(start=0, seconds=3600, limit=10)
        tally = counters.tally([minute, hour])

        results = [tally.take() for _ in range(4)]

        assert [taken for taken, _ in results] == [True, True, False, False]
        assert counters.read(hour) == 2
        assert counters.read(minute) == 2


def test_an_amount_that_does_not_fit_leaves_room_for_one_that_does() -> None:
    with counting() as counters:
        tally = counters.tally([window(limit=10)])

        assert tally.take(8) == (True, [8])
        assert tally.take(3) == (False, [8])
        assert tally.take(2) == (True, [10])


def test_keys_and_windows_are_counted_apart() -> None:
    with counting(slots=1024) as counters:
        for number in range(100):
            assert counters.add(window(f"key {number}"), number) == number
        assert counters.add(window("key 7", start=1020), 1) == 1

        assert [counters.read(window(f"key {number}")) for number in range(100)] == list(range(100))
        assert counters.evictions == 0


def test_a_new_window_begins_at_zero_and_the_old_one_keeps_its_count_until_then() -> None:
    now = 1019.9
    with counting(clock=lambda: now) as counters:
        counters.tally([window(start=960)]).take(5)
        assert counters.tally([window(start=960)]).take() == (False, [5])

        now = 1020.0
        assert counters.tally([window(start=1020)]).take() == (True, [1])


def test_slots_of_windows_that_are_over_are_used_again() -> None:
    now = 0.0
    with counting(clock=lambda: now) as counters:
        for minute in range(10):
            now = minute * 60.0
            for caller in range(200):
                assert counters.add(window(f"caller {caller}", start=minute * 60), 1) == 1

        assert counters.evictions == 0


def test_a_full_region_gives_up_the_window_that_ends_first() -> None:
    with counting() as counters:
        for number in range(REGION - 1):
            counters.add(window(f"day {number}", start=0, seconds=86_400), 7)
        counters.add(window("ends soon"), 7)

        assert counters.add(window("one more", start=0, seconds=86_400), 1) == 1

        assert counters.evictions == 1
        assert counters.read(window("day 0", start=0, seconds=86_400)) == 7
        assert all(
            counters.read(window(f"day {number}", start=0, seconds=86_400)) == 7
            for number in range(REGION - 1)
        )


def test_a_tally_whose_slot_was_taken_away_starts_anew_and_spoils_no_other() -> None:
    with counting() as counters:
        early = counters.tally([window("ends soon", limit=100)])
        early.take(9)
        others = [window(f"day {number}", start=0, seconds=86_400) for number in range(REGION)]
        for other in others:
            counters.add(other, 3)

        assert early.take() == (True, [1])
        assert sum(counters.read(other) == 3 for other in others) >= REGION - 2


def test_another_process_that_maps_the_file_later_sees_the_counts() -> None:
    descriptor = shared_file(REGION)
    first, second = (SharedCounters(descriptor, lambda: 1000.0) for _ in range(2))

    assert first.tally([window(limit=2)]).take() == (True, [1])
    assert second.tally([window(limit=2)]).take() == (True, [2])
    assert first.tally([window(limit=2)]).take() == (False, [2])

    first.close()
    second.close()
    os.close(descriptor)


callers = st.integers(0, 400)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("take"), callers, st.integers(1, 3)),
        st.tuples(st.just("add"), callers, st.integers(0, 5)),
        st.tuples(st.just("pass"), st.integers(0, 90), st.just(0)),
    ),
    max_size=120,
)


@given(steps)
@settings(max_examples=60)
def test_with_room_enough_the_counters_agree_with_a_dictionary(
    steps: list[tuple[str, int, int]],
) -> None:
    """Windows roll over as time passes; 256 slots hold more callers than one window ever sees here."""
    now, limit = 0.0, 4
    expected: dict[tuple[int, int], int] = {}
    with counting(clock=lambda: now) as counters:
        for act, number, amount in steps:
            if act == "pass":
                now += number
                continue
            start = int(now) - int(now) % 60
            here = window(f"caller {number}", start=start, limit=limit)
            count = expected.get((number, start), 0)
            if act == "add":
                count = expected[number, start] = count + amount
                assert counters.add(here, amount) == count
            elif count + amount <= limit:
                expected[number, start] = count + amount
                assert counters.tally([here]).take(amount) == (True, [count + amount])
            else:
                assert counters.tally([here]).take(amount) == (False, [count])
        assert counters.evictions == 0


@given(st.lists(st.tuples(st.integers(0, 600), st.integers(1, 4000)), min_size=300, max_size=700))
@settings(max_examples=15)
def test_when_room_runs_out_a_count_is_either_right_or_starts_anew(
    takes: list[tuple[int, int]],
) -> None:
    """Never the count of somebody else: an evicted window begins at one again, and is counted."""
    expected: dict[Window, int] = {}
    with counting() as counters:
        for number, seconds in takes:
            here = window(f"caller {number}", start=1000, seconds=seconds, limit=1e9)
            evicted_before = counters.evictions
            _, (count,) = counters.tally([here]).take()
            if count != expected.get(here, 0) + 1:
                assert count == 1
                assert counters.evictions > evicted_before
            expected[here] = count
