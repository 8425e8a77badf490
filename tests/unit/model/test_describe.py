from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from tollhouse.model.checks import AtLeastOneOf
from tollhouse.model.describe import describe
from tollhouse.model.entities import ENTITIES
from tollhouse.model.schema import item, schema_of, setting
from tollhouse.model.shorthands import Renamed, Shorthand


def without_descriptions(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: without_descriptions(value) for key, value in node.items() if key != "description"}
    return [without_descriptions(value) for value in node] if isinstance(node, list | tuple) else node


def published(name: str) -> Any:
    shown = msgspec.json.decode(msgspec.json.encode(describe(ENTITIES[name].schema)))
    return without_descriptions(shown)


ID = {"id": {"uuid": True, "auto": True, "type": "string"}}
TAGS = {"tags": {"elements": {"required": True, "type": "string"}, "type": "set"}}


def test_the_schema_of_consumers_is_kongs() -> None:
    assert published("consumers") == {
        "fields": [
            ID,
            {"created_at": {"timestamp": True, "auto": True, "type": "integer"}},
            {"updated_at": {"timestamp": True, "auto": True, "type": "integer"}},
            {"username": {"unique": True, "type": "string"}},
            {"custom_id": {"unique": True, "type": "string"}},
            TAGS,
        ],
        "entity_checks": [{"at_least_one_of": ["custom_id", "username"]}],
    }


def test_the_schema_of_targets_is_kongs() -> None:
    assert published("targets") == {
        "fields": [
            ID,
            {"created_at": {"timestamp": True, "auto": True, "type": "number"}},
            {"updated_at": {"timestamp": True, "auto": True, "type": "number"}},
            {
                "upstream": {
                    "required": True,
                    "reference": "upstreams",
                    "on_delete": "cascade",
                    "type": "foreign",
                }
            },
            {"target": {"required": True, "type": "string"}},
            {"weight": {"default": 100, "between": [0, 65535], "type": "integer"}},
            TAGS,
        ],
        "entity_checks": [],
    }


def test_a_time_to_live_is_accepted_but_not_published() -> None:
    names = [name for field in published("keyauth_credentials")["fields"] for name in field]
    assert names == ["id", "created_at", "consumer", "key", "tags"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Redis:
    host: str | None = setting(None, doc="-")
    CHECKS = (AtLeastOneOf("host"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    policy: Literal["local", "redis"] = setting("local", doc="Where to count.")
    redis: Redis = setting(Redis, doc="-")
    shown: Redis = setting(Redis(host="h"), doc="-")
    headers: Mapping[str, tuple[str, ...]] | None = setting(
        None, keys=item(match="^%a+$"), values=item(items=item(len_min=0)), doc="-"
    )
    CHECKS = (AtLeastOneOf("config.policy"),)
    SHORTHANDS = (Renamed("redis_host", "redis.host"), Shorthand("url", "string", lambda _: {}))


def test_nested_kinds_are_published_inside_one_another() -> None:
    redis = {
        "type": "record",
        "required": True,
        "fields": [{"host": {"type": "string"}}],
        "entity_checks": [{"at_least_one_of": ["host"]}],
    }
    assert without_descriptions(describe(schema_of(Config))) == {
        "fields": [
            {"policy": {"type": "string", "default": "local", "one_of": ["local", "redis"]}},
            {"redis": redis},
            {"shown": {**redis, "default": {"host": "h"}}},
            {
                "headers": {
                    "type": "map",
                    "keys": {"type": "string", "match": "^%a+$"},
                    "values": {"type": "array", "elements": {"type": "string", "len_min": 0}},
                }
            },
        ],
        "entity_checks": [{"at_least_one_of": ["config.policy"]}],
        "shorthand_fields": [
            {
                "redis_host": {
                    "type": "string",
                    "deprecation": {"replaced_with": [{"path": ["redis", "host"]}]},
                }
            },
            {"url": {"type": "string"}},
        ],
    }


def test_only_the_fields_asked_for_are_published() -> None:
    assert [list(field) for field in describe(schema_of(Config), only=("policy",))["fields"]] == [["policy"]]


def test_what_a_field_is_for_is_published() -> None:
    assert describe(schema_of(Config))["fields"][0]["policy"]["description"] == "Where to count."
