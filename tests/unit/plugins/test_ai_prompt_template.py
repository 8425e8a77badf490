"""ai-prompt-template: what its settings refuse."""

from typing import Any

import pytest

from tollhouse.plugins import Registry


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "templates"),
        ({"templates": [{"name": "x"}]}, "templates"),
        ({"templates": [], "max_request_body_size": 0}, "max_request_body_size"),
    ],
)
def test_a_wrong_setting_is_refused(config: dict[str, Any], field: str) -> None:
    schema = Registry().config("ai-prompt-template")
    assert schema is not None
    _, errors = schema.check(config)
    assert list(errors) == [field]
