"""ai-prompt-guard: what its settings refuse."""

from typing import Any

import pytest

from tollhouse.plugins import Registry


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"deny_patterns": [""]}, "deny_patterns"),
        ({"deny_patterns": ["x"] * 11}, "deny_patterns"),
        ({"deny_patterns": ["x" * 501]}, "deny_patterns"),
        ({"deny_patterns": ["x"], "max_request_body_size": 0}, "max_request_body_size"),
        ({"deny_patterns": ["x"], "llm_format": "cohere"}, "llm_format"),
    ],
)
def test_a_wrong_setting_is_refused(config: dict[str, Any], field: str) -> None:
    schema = Registry().config("ai-prompt-guard")
    assert schema is not None
    _, errors = schema.check(config)
    assert list(errors) == [field]
