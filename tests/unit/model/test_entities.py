import dataclasses
import re
from typing import Any

import pytest

from tollhouse.model.constraints import UUID
from tollhouse.model.entities import (
    ENTITIES,
    Consumer,
    KeyAuthCredential,
    Kind,
    PluginInstance,
    Ref,
    Route,
    Service,
    Target,
    Upstream,
    as_json,
    random_key,
)
from tollhouse.model.snapshot import Snapshot

ID = "00000001-0000-4000-8000-000000000000"


@pytest.mark.parametrize("kind", ENTITIES.values(), ids=lambda kind: kind.name)
def test_a_kind_stands_after_the_kinds_it_refers_to(kind: Kind) -> None:
    names = list(ENTITIES)
    known = [reference for reference in kind.references.values() if reference in ENTITIES]
    assert all(names.index(reference) < names.index(kind.name) for reference in known)


def test_a_snapshot_has_a_place_for_every_kind() -> None:
    assert {field.name for field in dataclasses.fields(Snapshot)} == {*ENTITIES, "hash"}


def test_references_and_unique_fields_are_read_off_the_settings() -> None:
    assert ENTITIES["plugins"].references == {
        "route": "routes",
        "service": "services",
        "consumer": "consumers",
        "consumer_group": "consumer_groups",
    }
    assert ENTITIES["consumers"].unique == ("username", "custom_id")


def test_what_the_gateway_makes_up_is_filled_in() -> None:
    values: dict[str, Any] = {"id": None, "created_at": None, "key": None}
    ENTITIES["keyauth_credentials"].fill_auto(values, 7)
    assert UUID.fullmatch(values["id"])
    assert re.fullmatch("[A-Za-z0-9]{32}", values["key"])
    assert values["created_at"] == 7


def test_a_given_time_of_creation_stays_and_the_time_of_change_does_not() -> None:
    values: dict[str, Any] = {"id": ID, "created_at": 3, "updated_at": 3}
    ENTITIES["consumers"].fill_auto(values, 7)
    assert values == {"id": ID, "created_at": 3, "updated_at": 7}


def test_no_two_made_up_keys_are_alike() -> None:
    assert len({random_key() for _ in range(100)}) == 100


def test_entities_are_shown_as_by_kong() -> None:
    credential = KeyAuthCredential(id=ID, key="k", consumer=Ref(ID), created_at=5)
    assert as_json(credential) == {
        "id": ID,
        "created_at": 5,
        "consumer": {"id": ID},
        "key": "k",
        "tags": None,
    }
    assert as_json(dataclasses.replace(credential, ttl=9))["ttl"] == 9


def test_expressions_are_shown_by_their_own_router_only() -> None:
    route = Route(id=ID, paths=("/",))
    assert "expression" not in as_json(route)
    assert as_json(route, "expressions")["priority"] == 0
    assert as_json(route)["paths"] == ["/"]


def test_the_names_other_code_relies_on_are_there() -> None:
    Service(id=ID, name="s", host="h", protocol="http", port=80, path=None, retries=5, enabled=True)
    Route(
        id=ID, name="r", service=Ref(ID), protocols=("http",), regex_priority=0, expression=None, priority=0
    )
    Consumer(id=ID, username="u", custom_id=None, tags=("t",))
    PluginInstance(id=ID, name="cors", instance_name=None, config={}, protocols=("http",), enabled=True)
    Target(id=ID, target="a:80", weight=100, upstream=Ref(ID))
    Upstream(id=ID, name="u")
