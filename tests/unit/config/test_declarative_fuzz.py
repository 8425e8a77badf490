"""Whatever stands in a file, it is loaded or refused."""

import functools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tollhouse.config.declarative import Refused, answer, load, to_config_answer
from tollhouse.errors import ConfigError
from tollhouse.model.plugin import PluginSchemas
from tollhouse.model.snapshot import Snapshot

# fmt: off
NAMES = [
    "services", "routes", "consumers", "plugins", "upstreams", "targets", "keyauth_credentials", "config",
    "paths", "name", "id", "host", "url", "service", "key", "username", "tags", "protocols", "headers",
    "_comment", "port",
]
# fmt: on
names = st.sampled_from(NAMES)
DEEP: list[Any] = functools.reduce(lambda inner, _: [inner], range(400), [])
words = st.text(max_size=8) | st.sampled_from(["key-auth", "rate-limiting", "/x", "~/(", "http", "a", "3.0"])
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | words, inner, max_size=5),
    max_leaves=25,
)


def outcome_of(text: str, plugins: PluginSchemas) -> Snapshot | Refused:
    try:
        return load(text, file=None, plugins=plugins, flavor="traditional_compatible", now=5)
    except Refused as refused:
        return refused


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=300)
@example([])
@example({"routes": [{"protocols": [[]]}]})
@example({"_ignore": DEEP, "services": [{"name": "a", "host": "a"}, {"name": "a", "host": "a"}]})
@example({"routes": [{"paths": DEEP}], "services": DEEP})
@given(st.dictionaries(names | words, anything, max_size=5) | anything)
def test_any_json_document_is_loaded_or_refused(plugins: PluginSchemas, document: Any) -> None:
    if isinstance(document, dict):
        document = {"_format_version": "3.0", **document}
    outcome = outcome_of(json.dumps(document), plugins)
    if isinstance(outcome, Refused):
        assert outcome.errors
        assert all(isinstance(error, ConfigError) and error.message for error in outcome.errors)
        json.dumps([answer(outcome, flatten=True), answer(outcome, flatten=False)])
    else:
        json.dumps(to_config_answer(outcome))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=300)
@example('{"a": ' * 3000)
@example("a: " * 50)
@example("\ud800")
@example("- - - " * 500)
@given(st.text() | st.text("{}[]:,-&*!|>'\"%@`#? \nab1<"))
def test_any_text_is_loaded_or_refused(plugins: PluginSchemas, text: str) -> None:
    with pytest.raises(Refused) as caught:
        load(text, file=None, plugins=plugins, flavor="traditional_compatible", now=5)
    assert caught.value.errors
