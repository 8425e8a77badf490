"""rate-limiting with a clock of our own: windows that roll over, reset times, several workers."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollhouse.errors import Reject
from tollhouse.pdk.exchange import ClientSide, Exchange
from tollhouse.pdk.messages import Request
from tollhouse.pdk.plugin import Scope
from tollhouse.pdk.services import Services
from tollhouse.plugins.rate_limiting import Config, RateLimiting
from tollhouse.stores.counters import SharedCounters, shared_file

#: the 29th of February 2024, 23:59:57 UTC
EVE = 1_709_251_197


@dataclass
class Node:
    """Workers that count together, and the time of day."""

    now: float = EVE
    descriptor: int = field(default_factory=lambda: shared_file(1024))

    def worker(self, conf: Config) -> RateLimiting:
        counters = SharedCounters(self.descriptor, lambda: self.now)
        services = SimpleNamespace(counters=counters, wall_clock=lambda: self.now)
        return RateLimiting(conf, Scope(route="r"), cast(Services, services))


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node()
    yield node
    os.close(node.descriptor)


def ask(worker: RateLimiting, address: str = "10.0.0.1") -> tuple[bool, dict[str, str]]:
    """Whether a request passes, and the header fields that tell of limits."""
    client = cast(ClientSide, SimpleNamespace(peer_ip=address))
    ex = Exchange(client, Request(), "id", 0.0)
    refusal: Reject | None = None
    try:
        worker.access(ex)
    except Reject as reject:
        refusal = reject
    assert refusal is None or (refusal.status, refusal.message) == (429, "API rate limit exceeded")
    (fields,) = ex.early_headers
    lines = fields.data.decode().split("\r\n")[:-1]
    told = dict(line.split(": ") for line in lines)
    assert {name.lower(): value for name, value in told.items()} == fields.values, "index and lines agree"
    return refusal is None, told


def test_a_window_ends_with_the_calendars_minute(node: Node) -> None:
    worker = node.worker(Config(minute=2, limit_by="ip"))
    assert [ask(worker)[0] for _ in range(3)] == [True, True, False]
    node.now = EVE + 2.999
    assert ask(worker)[0] is False

    node.now = EVE + 3

    assert ask(worker) == (
        True,
        {
            "X-RateLimit-Limit-Minute": "2",
            "X-RateLimit-Remaining-Minute": "1",
            "RateLimit-Limit": "2",
            "RateLimit-Remaining": "1",
            "RateLimit-Reset": "60",
        },
    )


def test_the_reset_counts_down_and_is_never_zero(node: Node) -> None:
    worker = node.worker(Config(minute=100, limit_by="ip"))
    resets = []
    for step in (0, 0.9, 1, 2, 2.99, 3, 4):
        node.now = EVE + step
        resets.append(ask(worker)[1]["RateLimit-Reset"])

    assert resets == ["3", "3", "2", "1", "1", "60", "59"]


def test_all_windows_roll_each_at_its_time(node: Node) -> None:
    worker = node.worker(Config(second=2, minute=3, hour=100, day=100, month=100, year=100, limit_by="ip"))
    assert ask(worker)[1]["X-RateLimit-Remaining-Second"] == "1"
    assert ask(worker)[1]["X-RateLimit-Remaining-Second"] == "0"
    assert ask(worker)[0] is False
    node.now += 1
    assert ask(worker)[0] is True
    refused, told = ask(worker)
    assert refused is False, "the minute is full"
    assert told["Retry-After"] == told["RateLimit-Reset"] == "2"
    assert told["X-RateLimit-Remaining-Second"] == "1", "what is refused is not counted"

    node.now = EVE + 3  # a new day, and a new month

    assert ask(worker) == (
        True,
        {
            "X-RateLimit-Limit-Second": "2", "X-RateLimit-Remaining-Second": "1",
            "X-RateLimit-Limit-Minute": "3", "X-RateLimit-Remaining-Minute": "2",
            "X-RateLimit-Limit-Hour": "100", "X-RateLimit-Remaining-Hour": "99",
            "X-RateLimit-Limit-Day": "100", "X-RateLimit-Remaining-Day": "99",
            "X-RateLimit-Limit-Month": "100", "X-RateLimit-Remaining-Month": "99",
            "X-RateLimit-Limit-Year": "100", "X-RateLimit-Remaining-Year": "96",
            "RateLimit-Limit": "2", "RateLimit-Remaining": "1", "RateLimit-Reset": "1",
        },
    )  # fmt: skip


def test_callers_are_told_apart(node: Node) -> None:
    worker = node.worker(Config(minute=1, limit_by="ip"))

    assert [ask(worker, f"10.0.0.{n % 3}")[0] for n in range(6)] == [True] * 3 + [False] * 3


steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 2), st.sampled_from(["a", "b"])),
        st.tuples(st.just("wait"), st.integers(0, 40), st.just("")),
    ),
    max_size=80,
)


@given(steps)
@settings(max_examples=40)
def test_whichever_worker_is_asked_the_limits_hold_and_nothing_is_refused_too_early(
    steps: list[tuple[str, int, str]],
) -> None:
    node, conf = Node(), Config(second=2, minute=5, limit_by="ip")
    workers = [node.worker(conf) for _ in range(3)]
    passed: dict[tuple[str, str, int], int] = {}
    for act, number, caller in steps:
        if act == "wait":
            node.now += number
            continue
        second = (caller, "second", int(node.now))
        minute = (caller, "minute", int(node.now) // 60)
        expected = passed.get(second, 0) < 2 and passed.get(minute, 0) < 5
        assert ask(workers[number], caller)[0] is expected
        if expected:
            for window in (second, minute):
                passed[window] = passed.get(window, 0) + 1
    os.close(node.descriptor)
