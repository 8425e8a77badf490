from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from tollhouse.model.checks import AtLeastOneOf, Custom
from tollhouse.model.schema import Ref, build, item, schema_of, setting, shape_of

UUID = "00000001-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Redis:
    host: str | None = setting(None, doc="Where.")
    port: int = setting(6379, between=(0, 65535), doc="Its port.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    name: str = setting(required=True, doc="A name.")
    words: tuple[str, ...] = setting(("a",), as_set=True, items=item(one_of=("a", "b")), doc="Words.")
    minute: float | None = setting(None, gt=0, doc="A limit.")
    count: int = setting(1, doc="A number.")
    flag: bool = setting(False, required=True, doc="A switch.")
    policy: Literal["local", "redis"] = setting("local", doc="Where to count.")
    status: Literal[301, 302] | None = setting(None, doc="A status.")
    headers: Mapping[str, tuple[str, ...]] | None = setting(None, keys=item(match="^%a+$"), doc="Headers.")
    peers: tuple[Redis, ...] | None = setting(None, doc="Records in a list.")
    redis: Redis = setting(Redis, doc="A record.")
    maybe: Redis | None = setting(None, doc="Perhaps a record.")
    owner: Ref | None = setting(None, reference="consumers", doc="Whose.")
    extra: dict[str, Any] = setting(dict, doc="Anything.")


DEFAULTS = {
    "name": "n",
    "words": ["a"],
    "minute": None,
    "count": 1,
    "flag": False,
    "policy": "local",
    "status": None,
    "headers": None,
    "peers": None,
    "redis": {"host": None, "port": 6379},
    "maybe": None,
    "owner": None,
    "extra": {},
}


def check(raw: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    return schema_of(Config).check(raw)


def test_every_default_is_filled_in_in_order() -> None:
    values, errors = check({"name": "n"})
    assert errors == {}
    assert values == DEFAULTS
    assert list(values) == list(DEFAULTS)


def test_two_checks_never_share_a_default() -> None:
    first, second = check({"name": "n"})[0], check({"name": "n"})[0]
    first["words"].append("b")
    first["redis"]["port"] = 1
    assert second == DEFAULTS


def test_all_errors_come_at_once() -> None:
    raw = {
        "words": ["a", "c"],
        "minute": 0,
        "count": "1",
        "flag": None,
        "policy": "moon",
        "status": 303,
        "headers": {"a-b": ["x"]},
        "peers": [{"port": 1}, {"port": "x", "y": 1}],
        "redis": {"port": 70000, "bogus": 1},
        "owner": {"id": "x"},
        "bogus": 1,
    }
    assert check(raw)[1] == {
        "name": "required field missing",
        "words": [None, "expected one of: a, b"],
        "minute": "value must be greater than 0",
        "count": "expected an integer",
        "flag": "required field missing",
        "policy": "expected one of: local, redis",
        "status": "expected one of: 301, 302",
        "headers": "invalid value: a-b",
        "peers": [None, {"port": "expected an integer", "y": "unknown field"}],
        "redis": {"port": "value should be between 0 and 65535", "bogus": "unknown field"},
        "owner": {"id": "expected a valid UUID"},
        "bogus": "unknown field",
    }


def test_a_record_cannot_be_null_unless_it_may() -> None:
    assert check({"name": "n", "redis": None})[1] == {"redis": "required field missing"}
    assert check({"name": "n", "maybe": None})[1] == {}


def test_null_means_the_default_where_the_type_has_no_null() -> None:
    values, errors = check({"name": "n", "policy": None, "count": None, "words": None})
    assert errors == {}
    assert values == DEFAULTS


def test_a_nested_record_is_filled_with_its_own_defaults() -> None:
    values, errors = check({"name": "n", "maybe": {"host": "h"}, "peers": [{}]})
    assert errors == {}
    assert values["maybe"] == {"host": "h", "port": 6379}
    assert values["peers"] == [{"host": None, "port": 6379}]


def test_keys_to_skip_are_left_out() -> None:
    values, errors = schema_of(Config).check({"name": "n", "_comment": "x"}, skip={"_comment"})
    assert errors == {}
    assert "_comment" not in values


def test_checked_values_build_an_instance() -> None:
    raw = {"name": "n", "minute": 5, "headers": {"A": ["x"]}, "owner": {"id": UUID}, "extra": {"x": [1]}}
    config = build(Config, check(raw)[0])
    assert config == Config(
        name="n", minute=5.0, headers={"A": ("x",)}, owner=Ref(UUID), extra={"x": [1]}, redis=Redis()
    )
    assert type(config.minute) is float


def test_a_class_is_read_once() -> None:
    assert schema_of(Config) is schema_of(Config)


def test_a_variant_changes_only_what_it_names() -> None:
    changes: dict[str, dict[str, Any]] = {"policy": {"one_of": ("local",)}, "flag": {"default": True}}
    varied = schema_of(Config).varied(changes, checks=(AtLeastOneOf("minute"),), without=("extra",))
    values, errors = varied.check({"name": "n", "policy": "redis", "extra": {}})
    assert values["flag"] is True
    assert errors == {
        "policy": "expected one of: local",
        "extra": "unknown field",
        "@entity": ["at least one of these fields must be non-empty: 'minute'"],
    }


def test_fields_are_found_by_dotted_path() -> None:
    schema = schema_of(Config)
    found = schema.field("redis.port")
    assert found is not None
    assert found.rules.get("between") == (0, 65535)
    assert schema.field("redis.nope") is None
    assert schema.field("name.x") is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    name: str = field(default="x")


def test_a_field_that_is_no_setting_is_a_mistake_in_the_code() -> None:
    with pytest.raises(TypeError, match=r"Bare\.name is not a setting"):
        schema_of(Bare)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demanding:
    path: str = setting(required=True, doc="-")
    CHECKS = (Custom(lambda values: "no x" if values["path"] == "x" else None),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    inner: Demanding = setting(doc="-")
    either: str | None = setting(None, doc="-")
    CHECKS = (AtLeastOneOf("either", "inner.path"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outermost:
    outer: Outer = setting(doc="-")


def test_a_record_left_out_still_needs_what_it_requires() -> None:
    text = "at least one of these fields must be non-empty: 'either', 'inner.path'"
    missing = {"outer": {"inner": {"path": "required field missing"}, "@entity": [text]}}
    values, errors = schema_of(Outermost).check({})
    assert errors == missing
    errors["outer"]["inner"]["path"] = "changed"
    assert schema_of(Outermost).check({})[1] == missing
    assert values == {"outer": {"inner": {"path": None}, "either": None}}


def test_checks_see_the_defaults_of_a_record_that_was_refused_whole() -> None:
    values, errors = schema_of(Outer).check({"inner": {"path": "x"}})
    assert errors == {"inner": "no x"}
    assert values["inner"] == {"path": "x"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NullWithoutSayingSo:
    name: str = setting(None, doc="-")


def test_a_default_of_null_needs_a_type_with_null() -> None:
    with pytest.raises(TypeError, match=r"NullWithoutSayingSo\.name is null by default"):
        schema_of(NullWithoutSayingSo)


def test_defaults_alone_build_an_instance() -> None:
    assert build(Config, check({"name": "n"})[0]) == Config(name="n")


@pytest.mark.parametrize("annotation", [int | str, set[str], bytes, tuple[str, int], dict[int, str]])
def test_types_without_a_kind_in_kong_are_refused(annotation: Any) -> None:
    with pytest.raises(TypeError, match="a setting"):
        shape_of(annotation)
