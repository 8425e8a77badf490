"""Streams that are too slow."""

from tollhouse.llm.pace import WINDOW_SECONDS, Pace

FLOOR = 2.0


def ended_at(written_at: list[int], step: float = 0.5) -> float | None:
    """When the stream was ended that had written so many bytes at each look."""
    now = 100.0
    written = iter(written_at)
    pace = Pace(FLOOR, lambda: next(written))
    for _ in written_at:
        now += step
        if pace.look(now) is not None:
            return now - 100
    return None


def test_what_keeps_the_pace_goes_on() -> None:
    assert ended_at([place * 8 for place in range(100)]) is None


def test_what_falls_behind_is_ended_after_a_window() -> None:
    ended = ended_at([8] * 100)

    assert ended is not None
    assert WINDOW_SECONDS <= ended <= WINDOW_SECONDS + 1


def test_before_the_first_text_nothing_is_judged() -> None:
    assert ended_at([0] * 100) is None


def test_time_in_which_nobody_read_does_not_count() -> None:
    assert ended_at([8] * 100, step=10) is None
