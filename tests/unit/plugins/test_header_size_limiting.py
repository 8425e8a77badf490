"""header-size-limiting: what its settings refuse; that it acts is tried with fault-injection."""

from tollhouse.plugins import Registry


def test_limits_are_above_nothing() -> None:
    schema = Registry().config("header-size-limiting")
    assert schema is not None
    for name in ("max_total_bytes", "max_header_bytes", "max_headers"):
        assert schema.check({name: 0})[1] == {name: "value must be greater than 0"}
    assert schema.check({"max_headers": 1, "status_code": 500})[1] == {
        "status_code": "value should be between 400 and 499"
    }
