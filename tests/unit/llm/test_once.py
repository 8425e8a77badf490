"""What is kept for retries."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from tollhouse.llm.form import Refusal
from tollhouse.llm.once import First, Firsts
from tollhouse.pdk import Reject
from tollhouse.stores.claims import SharedClaims
from tollhouse.stores.responses import SharedResponses, shared_responses

KEY = "me/key"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def claims(clock: Clock) -> Iterator[SharedClaims]:
    descriptor = shared_responses(1024 * 1024)
    results = SharedResponses(descriptor, clock)
    yield SharedClaims(descriptor, results)
    results.close()
    os.close(descriptor)


@pytest.fixture
def firsts(claims: SharedClaims) -> Firsts:
    return Firsts(10, "plugin", claims)


def claimed(firsts: Firsts, digest: bytes = b"digest") -> First:
    first = firsts.claim(KEY, digest)
    assert first is not None
    return first


def test_an_answer_is_given_again_until_its_time_is_over(firsts: Firsts, clock: Clock) -> None:
    first = claimed(firsts)
    first.add(b"ans")
    first.add(b"wer")
    firsts.keep(first, "text/plain")

    with pytest.raises(Reject) as again:
        firsts.claim(KEY, b"digest")
    assert (again.value.status, again.value.body) == (200, b"answer")

    clock.now += 10
    claimed(firsts)


def test_another_request_is_refused_while_the_first_is_known(firsts: Firsts) -> None:
    first = claimed(firsts)
    with pytest.raises(Refusal):
        firsts.claim(KEY, b"other")

    firsts.keep(first, "text/plain")
    with pytest.raises(Refusal):
        firsts.claim(KEY, b"other")


def test_a_failed_call_is_forgotten(firsts: Firsts) -> None:
    first = claimed(firsts)
    firsts.drop(first)
    second = claimed(firsts, b"other")

    firsts.drop(first)  # says nothing of the second
    assert firsts.claim(KEY, b"other") is None
    firsts.drop(second)


def test_an_answer_that_is_larger_than_a_piece_of_memory_is_kept(firsts: Firsts) -> None:
    first = claimed(firsts)
    answer = bytes(range(256)) * (first.limit_bytes // 256)
    first.add(answer)
    firsts.keep(first, "audio/mpeg")

    with pytest.raises(Reject) as again:
        firsts.claim(KEY, b"digest")
    assert again.value.body == answer


def test_an_answer_that_is_too_large_is_not_kept_and_not_asked_for_again(firsts: Firsts) -> None:
    first = claimed(firsts)
    first.add(b"x" * first.limit_bytes)
    first.add(b"x")
    firsts.keep(first, "text/plain")

    assert first.over
    with pytest.raises(Refusal, match="too large to be kept"):
        firsts.claim(KEY, b"digest")


async def test_who_waits_goes_on_when_the_first_has_ended(firsts: Firsts) -> None:
    first = claimed(firsts)
    waiting = asyncio.ensure_future(firsts.freed(KEY))
    await asyncio.wait({waiting}, timeout=0)
    assert not waiting.done()

    firsts.drop(first)
    await waiting
