"""Spans of time that limits count in: fixed, and aligned to UTC's calendar, as in Kong."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

#: seconds until a count is over; a month is 30 days and a year 365, whatever the calendar says
SECONDS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "second": 1,
        "minute": 60,
        "hour": 3600,
        "day": 86_400,
        "month": 2_592_000,
        "year": 31_536_000,
    }
)


def start_of(period: str, now: float) -> int:
    """When the running span began, in whole seconds since the epoch."""
    second = int(now)
    if period in ("month", "year"):
        day = datetime.fromtimestamp(second, UTC)
        first = day.replace(
            month=day.month if period == "month" else 1, day=1, hour=0, minute=0, second=0, microsecond=0
        )
        return int(first.timestamp())
    return second - second % SECONDS[period]


def reset_after(period: str, start: int, now: float) -> int:
    """Whole seconds until the span is over, at least one."""
    return max(1, SECONDS[period] - (int(now) - start))
