"""Whatever is accepted over HTTP is read back over HTTP, on a node without a database and on one with it."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from tests.support.entities import FIELDS, ID, PARENT, PARENTS, entities
from tests.support.gateway import Gateway, Reply
from tests.support.plugin_settings import at, plugins
from tests.support.postgres import Postgres

from tollhouse.admin.collections import collection_path
from tollhouse.model.entities import ENTITIES
from tollhouse.stores.postgres import migrations

JSON = {"Content-Type": "application/json"}
#: what is shown otherwise than it is given: hashed, counted down, or changed by other fields as in Kong
OTHERWISE = {
    "basicauth_credentials": {"password"},
    "keyauth_credentials": {"ttl"},
    "upstreams": {"algorithm", "hash_on"},
}
#: every example is several requests to a node
moderately = settings(max_examples=15, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
async def without_database() -> AsyncIterator[Gateway]:
    node = await Gateway.start('_format_version: "3.0"\n')
    yield node
    await node.stop()


@pytest.fixture(scope="module")
async def with_database() -> AsyncIterator[Gateway]:
    postgres = Postgres()
    node: Gateway | None = None
    try:
        await postgres.start()
        server = postgres.server(await postgres.new_database())
        await migrations.bootstrap(server)
        node = await Gateway.start(None, environment=postgres.environment(server.database))
        for name, rows in PARENTS.items():
            for row in rows:
                assert (await call(node, "POST", collection_path(ENTITIES[name]), row)).status == 201
        yield node
    finally:
        if node is not None:
            await node.stop()
        postgres.stop()


async def call(node: Gateway, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
    if body is None:
        return await node.admin_request(method, path)
    return await node.admin_request(method, path, JSON, json.dumps(body).encode())


def collection(name: str) -> str:
    return f"/upstreams/{PARENT}/targets" if name == "targets" else collection_path(ENTITIES[name])


async def shown(node: Gateway, name: str) -> dict[str, Any]:
    """The entity under test as the Admin API shows it."""
    if name == "consumer_group_consumers":
        reply = await call(node, "GET", f"/consumer_groups/{PARENT}/consumers/{PARENT}")
        assert reply.status == 200
        return {field: {"id": found["id"]} for field, found in json.loads(reply.body).items()}
    reply = await call(node, "GET", f"{collection(name)}/{ID}")
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json()  # type: ignore[assignment]
    return found


def assert_kept(name: str, raw: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    for field in raw.keys() - OTHERWISE.get(name, set()) - {"id"}:
        if name == "plugins" and field == "config":
            assert found[field].items() >= raw[field].items()
        else:
            assert found[field] == raw[field], field


async def configured(node: Gateway, text: str) -> bool:
    """Whether a configuration is taken; one that is refused says why."""
    reply = await node.configure(text)
    assert reply.status in (201, 400), reply.body
    return reply.status == 201


def document(name: str, raw: Mapping[str, Any]) -> str:
    whole: dict[str, Any] = {"_format_version": "3.0", **PARENTS}
    whole[name] = [*whole.get(name, ()), {"id": ID, **raw}]
    return json.dumps(whole)


async def taken_back(node: Gateway) -> None:
    """Gives the node what it says that it has."""
    reply = await call(node, "GET", "/config")
    told: Any = reply.json()
    assert await configured(node, told["config"])


@moderately
@given(chosen=entities())
async def test_fields_of_a_configuration_are_read_back(
    without_database: Gateway, chosen: tuple[str, dict[str, Any]]
) -> None:
    name, raw = chosen
    assume(not {"expression", "priority"} & raw.keys())
    assume(await configured(without_database, document(name, raw)))
    found = await shown(without_database, name)
    assert_kept(name, raw, found)
    await taken_back(without_database)
    again = await shown(without_database, name)
    assert {**again, "ttl": None} == {**found, "ttl": None}


@moderately
@given(chosen=entities())
async def test_fields_of_single_entities_are_read_back_and_a_patch_keeps_the_others(
    with_database: Gateway, chosen: tuple[str, dict[str, Any]]
) -> None:
    name, raw = chosen
    assume(not {"expression", "priority"} & raw.keys() and name != "consumer_group_consumers")
    made = await call(with_database, "POST", collection(name), {**raw, "id": ID})
    assert made.status in (201, 400, 409), made.body
    assume(made.status == 201)
    try:
        before = await shown(with_database, name)
        assert_kept(name, raw, before)
        if "tags" in FIELDS[name]:
            change = await call(with_database, "PATCH", f"{collection(name)}/{ID}", {"tags": ["patched"]})
            assert change.status == 200, change.body
            after = await shown(with_database, name)
            moving = {"updated_at": None, "ttl": None}
            assert {**after, **moving} == {**before, **moving, "tags": ["patched"]}
    finally:
        assert (await call(with_database, "DELETE", f"{collection(name)}/{ID}")).status == 204


@moderately
@given(chosen=plugins())
async def test_settings_of_plugins_are_read_back_from_a_configuration(
    without_database: Gateway, chosen: tuple[dict[str, Any], list[tuple[str, ...]]]
) -> None:
    raw, paths = chosen
    assume(await configured(without_database, document("plugins", raw)))
    found = (await shown(without_database, "plugins"))["config"]
    assert {path: at(found, path) for path in paths} == {path: at(raw["config"], path) for path in paths}
    await taken_back(without_database)
    assert (await shown(without_database, "plugins"))["config"] == found


@moderately
@given(chosen=plugins())
async def test_settings_of_plugins_are_read_back_from_a_database_and_changed_one_by_one(
    with_database: Gateway, chosen: tuple[dict[str, Any], list[tuple[str, ...]]]
) -> None:
    raw, paths = chosen
    made = await call(with_database, "POST", "/plugins", {**raw, "id": ID})
    assert made.status in (201, 400), made.body
    assume(made.status == 201)
    try:
        found = (await shown(with_database, "plugins"))["config"]
        assert {path: at(found, path) for path in paths} == {path: at(raw["config"], path) for path in paths}
        change = await call(with_database, "PATCH", f"/plugins/{ID}", {"enabled": False})
        assert change.status == 200, change.body
        assert (await shown(with_database, "plugins"))["config"] == found
    finally:
        assert (await call(with_database, "DELETE", f"/plugins/{ID}")).status == 204
