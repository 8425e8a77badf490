"""canary: what its settings refuse; that it acts is tried with route-by-header."""

from typing import Any

import pytest

from tollhouse.plugins import Registry

HERE = {"upstream_host": "new.test"}


@pytest.mark.parametrize(
    ("config", "error"),
    [
        (HERE, "percentage or start has to be given"),
        ({**HERE, "hash": "allow"}, "with hash 'allow' or 'deny' groups have to be given"),
        ({**HERE, "stages": [10], "percentage": 1}, "stages need a start"),
        ({**HERE, "percentage": 101}, {"percentage": "value should be between 0 and 100"}),
        (
            {**HERE, "percentage": 1, "upstream_port": 70000},
            {"upstream_port": "value should be between 0 and 65535"},
        ),
        ({**HERE, "percentage": 1, "upstream_uri": "no-path"}, None),
        ({**HERE, "percentage": 1}, {}),
    ],
)
def test_what_is_refused(config: dict[str, Any], error: Any) -> None:
    schema = Registry().config("canary")
    assert schema is not None
    errors = schema.check(config)[1]
    assert errors if error is None else errors == error
