"""request-transformer: what its settings refuse, in which words."""

from typing import Any

import pytest

from tollhouse.model.judges import Wrong
from tollhouse.model.schema import schema_of
from tollhouse.plugins.request_transformer import Config


def problem(**config: Any) -> Any:
    found = schema_of(Config).judge(config)
    return found.error if isinstance(found, Wrong) else None


@pytest.mark.parametrize(
    ("part", "entry", "text"),
    [
        (("add", "headers"), "bad name:1", "'bad name' is not a valid header"),
        (("add", "headers"), "no-value", "invalid value: no-value"),
        (("rename", "headers"), "a:b c", "'b c' is not a valid header"),
        (("remove", "headers"), "b c", "'b c' is not a valid header"),
        (("add", "body"), "x", "key 'x' has no value"),
        (("rename", "querystring"), "x", "key 'x' has no value"),
        (("append", "querystring"), "x:$(1 +)", "value '$(1 +)' is not in supported format, error:"),
        (("add", "body"), "x:$(shared.y = 1)", "value '$(shared.y = 1)' is not in supported format, error:"),
    ],
)
def test_a_wrong_entry_is_refused(part: tuple[str, str], entry: str, text: str) -> None:
    operation, field = part
    error = problem(**{operation: {field: entry if field == "uri" else [entry]}})
    found = error[operation][field]
    assert str(found if isinstance(found, str) else found[0]).startswith(text)


@pytest.mark.parametrize("config", [{"add": {"headers": ["x:$(1 +)"]}}, {"replace": {"uri": "$(1 +)"}}])
def test_lua_of_headers_and_of_the_uri_is_not_looked_at_before_a_request(config: dict[str, Any]) -> None:
    assert problem(**config) is None


def test_the_method_is_in_capitals() -> None:
    assert problem(http_method="get") == {"http_method": "invalid value: get"}
    assert problem(http_method="GET") is None
