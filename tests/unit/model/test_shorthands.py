from dataclasses import dataclass
from typing import Any

import pytest

from tollhouse.model.schema import schema_of, setting
from tollhouse.model.shorthands import Renamed, Shorthand


@dataclass(frozen=True, slots=True, kw_only=True)
class Redis:
    host: str | None = setting(None, doc="-")
    port: int = setting(6379, between=(0, 65535), doc="-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    redis: Redis = setting(Redis, doc="-")
    first: str | None = setting(None, doc="-")
    last: str | None = setting(None, doc="-")

    SHORTHANDS = (
        Renamed("redis_host", "redis.host"),
        Renamed("redis_port", "redis.port"),
        Shorthand(
            "name", "string", lambda name: dict(zip(("first", "last"), (name or "").split(), strict=False))
        ),
    )


def check(raw: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    return schema_of(Config).check(raw)


def test_a_deprecated_name_sets_the_new_place() -> None:
    values, errors = check({"redis_host": "h"})
    assert errors == {}
    assert values["redis"] == {"host": "h", "port": 6379}
    assert "redis_host" not in values


def test_equal_values_under_both_names_are_accepted() -> None:
    values, errors = check({"redis_host": "h", "redis": {"host": "h", "port": 1}})
    assert errors == {}
    assert values["redis"] == {"host": "h", "port": 1}


def test_different_values_under_both_names_are_refused() -> None:
    assert check({"redis_port": 1, "redis": {"port": 2}})[1] == {
        "redis_port": "both deprecated and new field are used but their values mismatch: "
        "redis_port = 1 vs redis.port = 2"
    }


def test_a_null_under_the_old_name_changes_nothing() -> None:
    values, errors = check({"redis_host": None, "redis": {"host": "h"}})
    assert errors == {}
    assert values["redis"]["host"] == "h"


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        ({"redis_port": "x"}, {"redis_port": "expected an integer"}),
        ({"redis_port": 70000}, {"redis_port": "value should be between 0 and 65535"}),
        ({"name": 5}, {"name": "expected a string"}),
        ({"redis_host": "h", "redis": 5}, {}),
    ],
)
def test_short_forms_are_checked_like_what_they_stand_for(raw: dict[str, Any], error: dict[str, str]) -> None:
    assert check(raw)[1] == error


def test_a_short_form_overrides_what_it_stands_for() -> None:
    values, errors = check({"name": "Ada Lovelace", "first": "x"})
    assert errors == {}
    assert (values["first"], values["last"]) == ("Ada", "Lovelace")


def test_the_input_itself_is_never_changed() -> None:
    raw: dict[str, Any] = {"redis_host": "h", "redis": {"port": 1}, "name": "a"}
    check(raw)
    assert raw == {"redis_host": "h", "redis": {"port": 1}, "name": "a"}


def test_deprecated_names_are_echoed_when_read() -> None:
    schema = schema_of(Config)
    shown = schema.echoed(schema.check({"redis_host": "h"})[0])
    assert shown["redis_host"] == "h"
    assert shown["redis_port"] == 6379
    assert "name" not in shown


def test_deprecated_names_are_told_where_they_say_something() -> None:
    raw = {"redis_host": "h", "redis_port": None, "redis": {"host": "h"}}
    assert list(schema_of(Config).outdated(raw)) == [("redis_host", "redis.host")]
