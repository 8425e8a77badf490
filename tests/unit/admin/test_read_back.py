"""Whatever field is accepted is kept by PostgreSQL and read back, and a PATCH changes what it names alone."""

from collections.abc import AsyncIterator, Awaitable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, assume, given, settings
from tests.support.entities import FIELDS, ID, PARENTS, entities
from tests.support.plugin_settings import NEEDED, REGISTRY, at, nested, settings_of, values_for
from tests.support.postgres import Postgres

from tollhouse.admin.access import Actor
from tollhouse.admin.audit import AuditTrail
from tollhouse.admin.bodies import Given
from tollhouse.admin.changes import Checker
from tollhouse.admin.entities import Entities
from tollhouse.admin.http import Failure
from tollhouse.model.entities import ENTITIES
from tollhouse.model.schema import Record
from tollhouse.plugins import BUNDLED
from tollhouse.stores.postgres import migrations
from tollhouse.stores.postgres.store import PostgresStore

ME = Actor("me")
FLAVOR: Final = "traditional_compatible"


@pytest.fixture(scope="module")
async def api(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Entities]:
    server = postgres.server(await postgres.new_database())
    await migrations.bootstrap(server)
    store = PostgresStore(server)
    path: Path = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    made = Entities(
        store, Checker(REGISTRY, FLAVOR), AuditTrail(path, REGISTRY, FLAVOR), lambda: 1_700_000_000
    )
    for name, rows in PARENTS.items():
        for row in rows:
            await made.create(ME, ENTITIES[name], Given(row), ())
    yield made
    await store.close()


async def accepted(work: Awaitable[dict[str, Any]]) -> dict[str, Any] | None:
    """The entity, `None` if the input is refused."""
    try:
        return await work
    except Failure as refused:
        if refused.answer.status not in (400, 409):
            raise
        return None


def without_instants(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name != "updated_at"}


@settings(
    max_examples=60,
    suppress_health_check=list(HealthCheck),
)
@given(entities())
async def test_every_kind_is_read_back_and_a_patch_changes_what_it_names(
    api: Entities, chosen: tuple[str, dict[str, Any]]
) -> None:
    name, raw = chosen
    kind = ENTITIES[name]
    assume("expression" not in raw and "priority" not in raw)
    made = await accepted(api.create(ME, kind, Given({**raw, "id": ID}), ()))
    assume(made is not None)
    assert made is not None
    try:
        assert await api.get(kind, ID, ()) == made
        for field in raw:
            expected = raw[field]
            if field not in ("config", "password", "algorithm", "hash_on"):
                assert made[field] == expected
        if "tags" in FIELDS[name]:
            patched = await api.update(ME, kind, ID, Given({"tags": ["patched"]}), ())
            assert without_instants(patched) == {**without_instants(made), "tags": ["patched"]}
            assert await api.get(kind, ID, ()) == patched
    finally:
        await api.delete(ME, kind, ID, ())


@pytest.mark.parametrize("name", sorted(BUNDLED))
async def test_every_setting_of_every_plugin_is_read_back(api: Entities, name: str) -> None:
    record, kind = REGISTRY.config(name), ENTITIES["plugins"]
    assert record is not None
    given_first = {"name": name, "id": ID, "config": NEEDED.get(name, {})}
    if await accepted(api.create(ME, kind, Given(given_first), ())) is None:
        return  # it needs settings that only its own tests know
    try:
        before = await api.get(kind, ID, ())
        for path, field in settings_of(record):
            for value in values_for(field):
                change = Given({"config": nested(path, value)})
                patched = await accepted(api.update(ME, kind, ID, change, ()))
                if patched is None:
                    continue
                shown = await api.get(kind, ID, ())
                assert shown == patched
                assert at(shown["config"], path) == value
                assert_only(record, before["config"], shown["config"], path)
                before = shown
                break
    finally:
        await api.delete(ME, kind, ID, ())


def assert_only(
    record: Record, before: Mapping[str, Any], after: Mapping[str, Any], path: tuple[str, ...]
) -> None:
    """Whatever was set is set, but for the one place; deprecated names follow the new ones."""
    for name, field in record.fields.items():
        if name == path[0] and path[1:] and field.shape.record is not None:
            if before.get(name) is not None:
                assert_only(field.shape.record, before[name], after[name], path[1:])
        elif name != path[0]:
            assert after.get(name) == before.get(name), name
