from typing import Any

import pytest

from tollhouse.model.messages import schema_violation


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"host": "required field missing"}, "schema violation (host: required field missing)"),
        (
            {
                "path": "should start with: /",
                "name": "length must be at least 1",
            },
            "2 schema violations (name: length must be at least 1; path: should start with: /)",
        ),
        (
            {"bogus": "unknown field", "hosts": [None, "bad"]},
            "2 schema violations (bogus: unknown field; hosts.2: bad)",
        ),
        ({"@entity": ["one is missing"]}, "schema violation (one is missing)"),
        (
            {"@entity": ["failed"], "config": {"redis": {"host": "required field missing"}}},
            '2 schema violations (failed; config.redis: {\n  host = "required field missing"\n})',
        ),
        (
            {"config": {"add": {"headers": ["invalid value: nocolon"]}}},
            'schema violation (config.add: {\n  headers = {\n    "invalid value: nocolon"\n  }\n})',
        ),
        (
            {"config": "message cannot be used with content_type or body"},
            "schema violation (config: message cannot be used with content_type or body)",
        ),
        (
            {"config": {"@entity": ["must set 'a'", "must set 'b'"]}},
            "schema violation (config.@entity: {\n  \"must set 'a'\",\n  \"must set 'b'\"\n})",
        ),
    ],
)
def test_the_message_reads_as_kongs(fields: dict[str, Any], message: str) -> None:
    assert schema_violation(fields) == message
