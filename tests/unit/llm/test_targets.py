"""Choice among targets, the breaker, and what counts as a failure."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.errors import Cause, Reject, UpstreamFault
from tollhouse.llm.chat import Failed, Trouble
from tollhouse.llm.targets.choice import Ring, chooser
from tollhouse.llm.targets.failures import words_of
from tollhouse.llm.targets.target import Breaker, Target


def targets(*weights: int) -> list[Target]:
    return [
        Target(number, f"target-{number}", weight, Breaker(0, 10)) for number, weight in enumerate(weights)
    ]


def test_turns_are_spread_evenly() -> None:
    among = targets(2, 1)
    choose = chooser("round-robin", among, 10)

    assert [choose(among, "").number for _ in range(6)] == [0, 1, 0, 0, 1, 0]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_turns_are_as_many_as_the_weight_says(weights: list[int]) -> None:
    among = targets(*weights)
    choose = chooser("round-robin", among, 10)

    counted = Counter(choose(among, "").number for _ in range(sum(weights)))

    assert counted == dict(enumerate(weights))


def test_the_greatest_weight_goes_before_and_equals_take_turns() -> None:
    among = targets(5, 10, 10)
    choose = chooser("priority", among, 10)

    assert {choose(among, "").number for _ in range(4)} == {1, 2}
    assert choose(among[:1], "").number == 0


def test_the_fastest_the_idlest_and_the_least_used() -> None:
    among = targets(1, 1, 2)
    for target, seconds in zip(among, (0.2, 0.1, 0.3), strict=True):
        target.seen.took(seconds)
        target.seen.running = 1
        target.seen.used = 300
    among[1].seen.running = 4
    assert chooser("lowest-latency", among, 10)(among, "").number == 1
    assert chooser("least-connections", among, 10)(among, "").number == 2
    assert chooser("lowest-usage", among, 10)(among, "").number == 2


def test_who_was_never_asked_is_fastest() -> None:
    among = targets(1, 1)
    among[0].seen.took(0.001)

    assert chooser("lowest-latency", among, 10)(among, "").number == 1


def test_a_slow_answer_counts_at_once_and_fades() -> None:
    seen = targets(1)[0].seen
    seen.took(1.0)
    seen.took(9.0)
    assert seen.latency == 9.0
    seen.took(1.0)
    assert seen.latency is not None
    assert 1.0 < seen.latency < 9.0


def test_only_keys_of_a_target_that_has_gone_move() -> None:
    among = targets(1, 1, 1)
    ring = Ring(among, 1000)
    keys = [f"key-{number}" for number in range(300)]
    before = {key: ring.choose(among, key).number for key in keys}

    left = [among[0], among[2]]
    after = {key: ring.choose(left, key).number for key in keys}

    assert {key for key in keys if before[key] != after[key]} == {key for key in keys if before[key] == 1}
    assert set(before.values()) == {0, 1, 2}


def test_more_slots_bring_the_shares_nearer_to_the_weights() -> None:
    among = targets(1, 1)

    def off(slots: int) -> float:
        choose = chooser("consistent-hashing", among, slots)
        first = sum(choose(among, f"key-{number}").number == 0 for number in range(2000))
        return abs(first / 2000 - 0.5)

    assert off(10_000) < 0.03 < off(10)


def test_a_breaker_opens_lets_one_through_and_closes_again() -> None:
    breaker = Breaker(2, 10.0)
    breaker.failed(100.0)
    assert breaker.is_closed(100.0)
    breaker.failed(101.0)
    assert not breaker.is_closed(105.0)
    assert breaker.is_closed(111.0)
    breaker.asked()
    assert not breaker.is_closed(111.0)
    breaker.failed(111.5)
    assert not breaker.is_closed(120.0)
    assert breaker.is_closed(122.0)
    breaker.asked()
    breaker.answered(122.5)
    assert breaker.is_closed(122.5)
    assert breaker.failures == 0


def test_a_breaker_counts_all_failures_not_those_in_a_row() -> None:
    breaker = Breaker(2, 10.0)
    breaker.failed(100.0)
    breaker.answered(105.0)
    breaker.failed(106.0)

    assert not breaker.is_closed(107.0)


def test_nobody_knows_what_a_client_that_left_would_have_got() -> None:
    breaker = Breaker(1, 10.0)
    breaker.failed(0.0)
    breaker.asked()
    breaker.left()

    assert breaker.is_closed(10.0)


@pytest.mark.parametrize(
    ("cause", "answered", "word"),
    [
        (Cause.CONNECT_REFUSED, False, "error"),
        (Cause.CONNECT_TIMEOUT, False, "timeout"),
        (Cause.READ_TIMEOUT, True, "timeout"),
        (Cause.BAD_RESPONSE, False, "invalid_header"),
        (Cause.BAD_RESPONSE, True, "error"),
        (Cause.TRUNCATED, True, "error"),
    ],
)
def test_faults_have_a_word(cause: Cause, answered: bool, word: str) -> None:
    assert words_of(UpstreamFault(cause, "x"), None, answered=answered) == {word}


@pytest.mark.parametrize(
    ("trouble", "word"),
    [("rate_limit", "http_429"), ("overloaded", "http_503"), ("overloaded", "error"), ("timeout", "timeout")],
)
def test_an_error_within_a_stream_stands_for_a_status(trouble: Trouble, word: str) -> None:
    assert word in words_of(Reject(500), Failed("x", trouble), answered=True)


def test_what_a_client_did_wrong_is_wrong_everywhere() -> None:
    for trouble in ("invalid_request", "context_length", "content_filter"):
        assert not words_of(Reject(400), Failed("x", trouble), answered=True)
    assert not words_of(Reject(403), None, answered=True)
    assert words_of(Reject(503), None, answered=False) == {"error"}
