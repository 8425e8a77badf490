"""Plugins as the recorded cases use them, with the settings those cases touch."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import pytest

from tollhouse.config.declarative import Refused, load
from tollhouse.model.checks import AtLeastOneOf, Conditional, Custom, OnlyOneOf
from tollhouse.model.plugin import PluginSchemas
from tollhouse.model.schema import Record, item, schema_of, setting
from tollhouse.model.shorthands import Renamed
from tollhouse.model.snapshot import Snapshot
from tollhouse.model.validators import header_name, host
from tollhouse.routing import route_problem

NOW = 1_700_000_000
PERIODS = ("second", "minute", "hour", "day", "month", "year")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAuth:
    key_names: tuple[str, ...] = setting(
        ("apikey",), required=True, items=item(validator=header_name), doc="-"
    )
    hide_credentials: bool = setting(False, required=True, doc="-")
    anonymous: str | None = setting(None, doc="-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Redis:
    host: str | None = setting(None, validator=host, doc="-")
    port: int | None = setting(6379, between=(0, 65535), doc="-")


def limit() -> Any:
    return setting(None, gt=0, doc="-")


def periods_grow(values: Mapping[str, Any]) -> str | None:
    given = [(name, values[name]) for name in PERIODS if values[name] is not None]
    for (shorter, low), (longer, high) in pairwise(given):
        if high < low:
            return (
                f"The limit for {longer}({high:.1f}) cannot be lower than the limit for {shorter}({low:.1f})"
            )
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimiting:
    second: float | None = limit()
    minute: float | None = limit()
    hour: float | None = limit()
    day: float | None = limit()
    month: float | None = limit()
    year: float | None = limit()
    policy: Literal["local", "redis"] = setting("local", doc="-")
    redis: Redis = setting(Redis, doc="-")

    CHECKS = (
        AtLeastOneOf(*(f"config.{period}" for period in PERIODS)),
        Conditional("config.policy", {"eq": "redis"}, "config.redis.host", {"required": True}),
        Custom(periods_grow),
    )
    SHORTHANDS = (Renamed("redis_host", "redis.host"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acl:
    allow: tuple[str, ...] | None = setting(None, doc="-")
    deny: tuple[str, ...] | None = setting(None, doc="-")

    CHECKS = (OnlyOneOf("config.allow", "config.deny"), AtLeastOneOf("config.allow", "config.deny"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    origins: tuple[str, ...] | None = setting(None, doc="-")


CONFIGS: dict[str, type] = {"key-auth": KeyAuth, "rate-limiting": RateLimiting, "acl": Acl, "cors": Cors}


class SomePlugins:
    def config(self, name: str) -> Record | None:
        return schema_of(CONFIGS[name]) if name in CONFIGS else None

    def forbidden_scopes(self, name: str) -> Collection[str]:
        return () if name == "rate-limiting" else ("consumer",)

    def protocols(self, name: str) -> tuple[str, ...]:
        return ("grpc", "grpcs", "http", "https")

    def default_protocols(self, name: str) -> tuple[str, ...]:
        return ("grpc", "grpcs", "http", "https")


Load: TypeAlias = Callable[[str], Snapshot]
Refuse: TypeAlias = Callable[[str], Refused]


@pytest.fixture
def plugins() -> PluginSchemas:
    return SomePlugins()


@pytest.fixture
def snapshot_of(plugins: PluginSchemas) -> Load:
    """Loads a text that is expected to be right."""
    return lambda text: load(
        text,
        file="kong.yml",
        plugins=plugins,
        flavor="traditional_compatible",
        now=NOW,
        route_problem=route_problem,
    )


@pytest.fixture
def refusal_of(snapshot_of: Load) -> Refuse:
    """Loads a text that is expected to be wrong."""

    def refuse(text: str) -> Refused:
        with pytest.raises(Refused) as caught:
            snapshot_of(text)
        return caught.value

    return refuse
