import uuid
from typing import Any

import pytest

from tollhouse.config.identity import content_id, derived_id, uuid5
from tollhouse.model.entities import ENTITIES

SERVICE = "0855b320-0dd2-547d-891d-601e9b38647f"
ONE = "e9792964-6797-482c-bfdf-08220a4f6832"
TWO = "f9792964-6797-482c-bfdf-08220a4f6839"


@pytest.mark.parametrize(
    ("kind", "raw", "parent", "id"),
    [
        # These ids stand in Kong's own tests and answers for the same names.
        ("services", {"name": "my-service"}, None, SERVICE),
        ("routes", {"name": "my-route"}, None, "481a9539-f49c-51b6-b2e2-fe99ee68866c"),
        ("consumers", {"username": "my-user"}, None, "4b1b701d-de2b-5588-9aa2-3b97061d9f52"),
        ("keyauth_credentials", {"key": "my-key"}, None, "487ab43c-b2c9-51ec-8da5-367586ea2b61"),
        ("targets", {"target": "10.244.0.11:80"}, ONE, "715f9482-4236-5fe5-9ae5-e75c1a498940"),
        ("targets", {"target": "10.244.0.12:80"}, ONE, "89a2966d-773c-580a-b063-6ab4dfd24701"),
        ("targets", {"target": "10.244.0.12:80"}, TWO, "48322e4a-b3b0-591b-8ed6-fd95a6d75019"),
    ],
)
def test_an_id_is_derived_as_kong_derives_it(
    kind: str, raw: dict[str, Any], parent: str | None, id: str
) -> None:
    assert derived_id(ENTITIES[kind], raw, ("upstream", parent) if parent else None) == id


def test_a_plugin_is_identified_by_its_name_and_scopes() -> None:
    plugins = ENTITIES["plugins"]
    nested = derived_id(plugins, {"name": "cors"}, ("service", SERVICE))
    assert nested == derived_id(plugins, {"name": "cors", "service": {"id": SERVICE}}, None)
    assert nested == uuid5("plugins", f"plugins:*:cors::{SERVICE}:")
    assert nested != derived_id(plugins, {"name": "cors"}, None)


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("routes", {"paths": ["/"]}),
        ("consumers", {"custom_id": "c"}),
        ("consumers", {"username": 5}),
        ("targets", {"target": "a"}),
        ("plugins", {}),
        ("services", {"name": ""}),
    ],
)
def test_what_nothing_identifies_has_no_derived_id(kind: str, raw: dict[str, Any]) -> None:
    assert derived_id(ENTITIES[kind], raw, None) is None


def test_content_identifies_what_nothing_else_does() -> None:
    routes = ENTITIES["routes"]
    assert content_id(routes, {"a": 1, "b": 2}, None, 0) == content_id(routes, {"b": 2, "a": 1}, None, 0)
    assert content_id(routes, {"a": 1}, None, 0) != content_id(routes, {"a": 1}, None, 1)
    assert content_id(routes, {"a": 1}, None, 0) != content_id(routes, {"a": 1}, ("service", SERVICE), 0)


def test_ids_are_uuids_of_version_5() -> None:
    namespace = uuid.uuid5(uuid.UUID("fd02801f-0957-4a15-a55a-c8d9606f30b5"), "services")
    assert uuid5("services", "é") == str(uuid.uuid5(namespace, "é"))
