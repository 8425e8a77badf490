"""What is kept for retries."""

import pytest

from tollhouse.llm.form import Refusal
from tollhouse.llm.once import ANSWER_LIMIT_BYTES, TOTAL_LIMIT_BYTES, Firsts

KEY = ("me", "key")


def test_an_answer_is_forgotten_when_its_time_is_over() -> None:
    firsts = Firsts(10)
    first, _ = firsts.claim(KEY, b"digest", 0.0)
    first.add(b"answer")
    firsts.keep(first, {}, 1.0)

    assert firsts.claim(KEY, b"digest", 10.9) == (first, False)
    assert firsts.claim(KEY, b"digest", 11.0)[1]


def test_another_request_is_refused_while_the_first_is_known() -> None:
    firsts = Firsts(10)
    first, _ = firsts.claim(KEY, b"digest", 0.0)

    with pytest.raises(Refusal):
        firsts.claim(KEY, b"other", 0.0)

    firsts.drop(first)
    assert first.over.is_set()
    assert firsts.claim(KEY, b"other", 0.0)[1]


def test_an_answer_that_is_too_large_is_not_kept() -> None:
    firsts = Firsts(10)
    first, _ = firsts.claim(KEY, b"digest", 0.0)
    first.add(b"x" * ANSWER_LIMIT_BYTES)
    first.add(b"x")
    firsts.keep(first, {}, 0.0)

    assert first.content is None
    assert first.over.is_set()
    assert firsts.claim(KEY, b"digest", 0.0)[1]


def test_the_oldest_answers_give_way() -> None:
    firsts = Firsts(10)
    count = TOTAL_LIMIT_BYTES // ANSWER_LIMIT_BYTES + 1
    for place in range(count):
        first, _ = firsts.claim(("me", str(place)), b"digest", 0.0)
        first.add(b"x" * ANSWER_LIMIT_BYTES)
        firsts.keep(first, {}, 0.0)

    known = [firsts.claim(("me", str(place)), b"digest", 0.0)[1] for place in range(count)]
    assert known == [True] + [False] * (count - 1)
