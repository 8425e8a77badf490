"""upstream-timeout: what its settings refuse; that it acts is tried with retry."""

import pytest

from tollhouse.plugins import Registry


@pytest.mark.parametrize("field", ["connect_timeout", "send_timeout", "read_timeout"])
def test_a_timeout_is_a_number_of_milliseconds(field: str) -> None:
    schema = Registry().config("upstream-timeout")
    assert schema is not None
    assert schema.check({field: 2**31})[1] == {field: "value should be between 0 and 2147483646"}
    assert schema.check({field: 0})[1] == {}
