"""Windows of limits: fixed, and aligned to UTC's calendar."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.pdk.windows import SECONDS, reset_after, start_of

moments = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


def at(text: str) -> float:
    return datetime.fromisoformat(f"{text}+00:00").timestamp()


@pytest.mark.parametrize(
    ("period", "now", "start", "reset"),
    [
        ("second", "2024-02-29T23:59:59.900", "2024-02-29T23:59:59", 1),
        ("minute", "2024-02-29T23:59:59.900", "2024-02-29T23:59:00", 1),
        ("minute", "2024-03-01T00:00:00", "2024-03-01T00:00:00", 60),
        ("hour", "2024-02-29T23:30:00", "2024-02-29T23:00:00", 1800),
        ("day", "2024-02-29T23:00:00", "2024-02-29T00:00:00", 3600),
        ("month", "2024-02-29T00:00:00", "2024-02-01T00:00:00", 2 * 86_400),  # of 30 days, always
        ("month", "2024-03-31T12:00:00", "2024-03-01T00:00:00", 1),  # which are over on the 31st
        ("year", "2024-12-31T12:00:00", "2024-01-01T00:00:00", 1),  # the 366th day
        ("year", "2023-12-31T00:00:00", "2023-01-01T00:00:00", 86_400),
    ],
)
def test_windows_begin_with_the_calendar(period: str, now: str, start: str, reset: int) -> None:
    begun = start_of(period, at(now))

    assert begun == at(start)
    assert reset_after(period, begun, at(now)) == reset


@given(st.sampled_from(sorted(SECONDS)), moments)
def test_a_moment_is_in_its_window_and_the_next_begins_later(period: str, moment: datetime) -> None:
    now = moment.timestamp()
    start = start_of(period, now)

    assert start <= now
    assert start_of(period, start) == start
    assert 1 <= reset_after(period, start, now) <= SECONDS[period]
    later = (moment + timedelta(seconds=SECONDS[period] + 86_400)).timestamp()
    assert start_of(period, later) > start
