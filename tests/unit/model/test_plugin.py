from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pytest

from tollhouse.model.checks import AtLeastOneOf, Conditional
from tollhouse.model.plugin import PluginInstance, plugin_variant, protocols_problem
from tollhouse.model.schema import Record, Ref, schema_of, setting

UUID = "00000001-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    second: float | None = setting(None, gt=0, doc="-")
    minute: float | None = setting(None, gt=0, doc="-")
    policy: str = setting("local", doc="-")
    host: str | None = setting(None, doc="-")
    CHECKS = (
        AtLeastOneOf("config.second", "config.minute"),
        Conditional("config.policy", {"eq": "redis"}, "config.host", {"required": True}),
    )


class OnePlugin:
    def config(self, name: str) -> Record | None:
        return schema_of(Limits) if name == "limits" else None

    def forbidden_scopes(self, name: str) -> Collection[str]:
        return ("consumer",)

    def protocols(self, name: str) -> tuple[str, ...]:
        return ("grpc", "http", "https")

    def default_protocols(self, name: str) -> tuple[str, ...]:
        return ("http", "https")


def check(raw: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    schema = plugin_variant(raw, OnePlugin())
    return schema.check(raw) if isinstance(schema, Record) else ({}, schema)


def test_a_plugin_gets_its_own_defaults() -> None:
    values, errors = check({"name": "limits", "config": {"minute": 5}})
    assert errors == {}
    assert values["config"] == {"second": None, "minute": 5, "policy": "local", "host": None}
    assert values["protocols"] == ["http", "https"]
    assert values["enabled"] is True


BAD_NAME = "invalid value 'a b': the only accepted ascii characters are alphanumerics or ., -, _, and ~"
NONE_SET = "at least one of these fields must be non-empty: 'config.second', 'config.minute'"


@pytest.mark.parametrize(
    ("raw", "errors"),
    [
        ({}, {"name": "required field missing"}),
        ({"name": 5}, {"name": "expected a string"}),
        ({"name": "x"}, {"name": "plugin 'x' not enabled; add it to the 'plugins' configuration property"}),
        ({"name": "limits"}, {"@entity": [NONE_SET]}),
        ({"name": "limits", "config": None}, {"config": "required field missing"} | {"@entity": [NONE_SET]}),
        ({"name": "limits", "config": 5}, {"config": "expected a record"} | {"@entity": [NONE_SET]}),
        (
            {"name": "limits", "config": {"minute": "x", "bogus": 1}},
            {"config": {"minute": "expected a number", "bogus": "unknown field"}},
        ),
        (
            {"name": "limits", "config": {"minute": 1, "policy": "redis"}},
            {
                "config": {"host": "required field missing"},
                "@entity": ["failed conditional validation given value of field 'config.policy'"],
            },
        ),
        (
            {"name": "limits", "config": {"minute": 1}, "consumer": {"id": UUID}},
            {"consumer": "value must be null"},
        ),
        (
            {"name": "limits", "config": {"minute": 1}, "protocols": ["http", "tcp"]},
            {"protocols": [None, "expected one of: grpc, http, https"]},
        ),
        (
            {"name": "limits", "config": {"minute": 1}, "instance_name": "a b"},
            {"instance_name": BAD_NAME},
        ),
    ],
)
def test_a_bad_plugin_is_told_in_kongs_words(raw: dict[str, Any], errors: dict[str, Any]) -> None:
    assert check(raw)[1] == errors


def plugin(*protocols: Any, route: Ref | None = None, service: Ref | None = None) -> PluginInstance:
    return PluginInstance(name="limits", protocols=protocols, route=route, service=service)


ROUTE_TEXT = "must match the associated route's protocols"
SERVICE_TEXT = "must match the protocols of at least one route pointing to this Plugin's service"


@pytest.mark.parametrize(
    ("instance", "route", "service_routes", "problem"),
    [
        (plugin("http"), None, [], None),
        (plugin("http", route=Ref(UUID)), ("http", "https"), [], None),
        (plugin("grpc", route=Ref(UUID)), ("http", "https"), [], ROUTE_TEXT),
        (plugin("http", service=Ref(UUID)), None, [], None),
        (plugin("http", service=Ref(UUID)), None, [("tcp",), ("http",)], None),
        (plugin("http", service=Ref(UUID)), None, [("tcp",), ("udp",)], SERVICE_TEXT),
    ],
)
def test_a_plugin_shares_a_protocol_with_where_it_is_put(
    instance: PluginInstance,
    route: tuple[str, ...] | None,
    service_routes: list[tuple[str, ...]],
    problem: str | None,
) -> None:
    assert protocols_problem(instance, route, service_routes) == problem
