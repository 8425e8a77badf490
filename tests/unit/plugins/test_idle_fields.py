"""Fields that Kong's files may hold and that ask for nothing here: taken where that is true, else refused."""

import pytest

from tollhouse.plugins import Registry


@pytest.mark.parametrize(
    ("plugin", "config", "problem"),
    [
        ("proxy-cache", {"strategy": "memory", "memory": {"dictionary_name": "kong_db_cache"}}, None),
        ("prometheus", {"wasm_metrics": True}, None),
        (
            "rate-limiting-advanced",
            {"limit": [1], "window_size": [1], "dictionary_name": "mine"},
            {
                "dictionary_name": "not supported: only 'kong_rate_limiting_counters', Kong's default, "
                "is accepted"
            },
        ),
    ],
)
def test_a_name_that_decides_nothing_is_taken_only_as_it_is(
    plugin: str, config: dict[str, object], problem: object
) -> None:
    record = Registry().config(plugin)
    assert record is not None
    _, errors = record.check(config)
    assert (errors or None) == problem
