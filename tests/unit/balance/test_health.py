"""Thresholds: what takes an address out and brings it back."""

import pytest

from tollhouse.balance.health import HealthCounts, Outcome, outcome_of

KEY = ("upstream", "a.test", "10.0.0.1", 80)


@pytest.mark.parametrize("failure", ["http_failure", "tcp_failure", "timeout"])
def test_so_many_failures_take_an_address_out(failure: Outcome) -> None:
    counts = HealthCounts()
    assert [counts.report(KEY, failure, 3) for _ in range(4)] == [None, None, False, None]
    assert counts.is_healthy(KEY) is False
    assert list(counts.unhealthy()) == [KEY]


def test_kinds_of_failures_count_apart() -> None:
    counts = HealthCounts()
    for failure in ("http_failure", "tcp_failure", "timeout"):
        assert counts.report(KEY, failure, 2) is None
    assert counts.is_healthy(KEY)


def test_a_success_forgives_failures() -> None:
    counts = HealthCounts()
    counts.report(KEY, "timeout", 2)
    counts.report(KEY, "success", 5)
    assert counts.report(KEY, "timeout", 2) is None


def test_so_many_successes_bring_it_back() -> None:
    counts = HealthCounts()
    counts.report(KEY, "timeout", 1)
    assert [counts.report(KEY, "success", 2) for _ in range(2)] == [None, True]
    assert counts.is_healthy(KEY)


def test_a_failure_starts_the_way_back_anew() -> None:
    counts = HealthCounts()
    counts.report(KEY, "timeout", 1)
    counts.report(KEY, "success", 2)
    counts.report(KEY, "timeout", 1)
    assert counts.report(KEY, "success", 2) is None


@pytest.mark.parametrize("outcome", ["success", "http_failure", "tcp_failure", "timeout"])
def test_a_limit_of_none_does_nothing(outcome: Outcome) -> None:
    counts = HealthCounts()
    assert [counts.report(KEY, outcome, 0) for _ in range(300)] == [None] * 300
    assert counts.is_healthy(KEY) is None


def test_an_operator_decides_and_counting_begins_anew() -> None:
    counts = HealthCounts()
    counts.report(KEY, "timeout", 2)
    assert counts.set(KEY, healthy=False)
    assert not counts.set(KEY, healthy=False)
    assert counts.set(KEY, healthy=True)
    assert counts.report(KEY, "timeout", 2) is None


def test_upstreams_that_are_gone_are_forgotten() -> None:
    counts = HealthCounts()
    counts.set(KEY, healthy=False)
    counts.keep(["another"])
    assert counts.is_healthy(KEY) is None


def test_statuses_that_say_nothing() -> None:
    assert outcome_of(200, {200}, {500}) == "success"
    assert outcome_of(500, {200}, {500}) == "http_failure"
    assert outcome_of(404, {200}, {500}) is None
