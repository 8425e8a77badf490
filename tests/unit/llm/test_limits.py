"""The limits of a call as the flow gets them."""

from tollhouse.llm.limits import Limits
from tollhouse.pdk import Patience


def test_limits_are_seconds_and_what_is_not_set_is_left_to_the_service() -> None:
    limits = Limits(first_byte_timeout=1500, connect_timeout=250, total_timeout=9000)

    assert limits.patience == Patience(first=1.5, gap=None, total=9.0, connect=0.25)
    assert limits.patience.with_read(60.0) == (1.5, 60.0, 9.0)
    assert limits.patience.with_read(5.0) == (1.5, 5.0, 9.0)
