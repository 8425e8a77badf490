import asyncio
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import asyncpg
import pytest
from tests.support.postgres import Postgres
from tests.support.rows import IDS

from tollhouse.model import entities
from tollhouse.model.entities import ENTITIES, Kind
from tollhouse.model.schema import Ref, setting
from tollhouse.stores.postgres import faults, migrations, tables
from tollhouse.stores.postgres.faults import NotBootstrapped
from tollhouse.stores.postgres.server import Server
from tollhouse.stores.postgres.store import PostgresStore
from tollhouse.stores.store import UniqueViolation


async def test_two_nodes_may_bootstrap_at_once(empty: Server) -> None:
    made = await asyncio.gather(*(migrations.bootstrap(empty) for _ in range(4)))

    assert sorted(made) == [False, False, False, True]


async def test_doing_it_again_does_nothing(server: Server) -> None:
    assert not await migrations.bootstrap(server)
    assert await migrations.up(server) == ()
    assert await migrations.finish(server) == ()
    found = await migrations.examine(server)
    assert found.bootstrapped
    assert found.missing == found.obsolete == ()


async def test_up_and_finish_want_tables(empty: Server) -> None:
    for work in (migrations.up, migrations.finish):
        with pytest.raises(NotBootstrapped, match="run 'tollhouse migrations bootstrap'"):
            await work(empty)
    assert not await migrations.reset(empty)


async def test_reset_leaves_nothing_of_ours_and_all_of_others(postgres: Postgres, server: Server) -> None:
    connection = await asyncpg.connect(postgres.uri(server.database))
    await connection.execute("CREATE TABLE theirs (id int)")

    assert await migrations.reset(server)

    left = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert [record["tablename"] for record in left] == ["theirs"]
    await connection.close()
    assert await migrations.bootstrap(server)


async def test_another_schema_is_another_cluster(postgres: Postgres, server: Server) -> None:
    name = 'two "words"'
    other = Server(
        host="127.0.0.1",
        port=postgres.port,
        user="kong",
        password=None,
        database=server.database,
        schema=name,
    )
    assert await migrations.bootstrap(other)
    store, here = PostgresStore(other), PostgresStore(server)
    consumer = ENTITIES["consumers"]
    row = {**consumer.schema.blank(), "id": IDS[1], "username": "a", "created_at": 1, "updated_at": 1}
    async with store.changes() as changes:
        async with store.transaction() as transaction:
            await transaction.insert(consumer, row)
        await changes.wait(10)

    assert len((await store.snapshot()).consumers) == 1
    assert (await here.snapshot()).consumers == ()
    await store.close()
    await here.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """A kind as an older version knew it."""

    id: str = setting("", auto=True, uuid=True, doc="")
    name: str = setting(required=True, doc="")
    code: str | None = setting(None, unique=True, doc="")


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """The same, with another unique field and a foreign key."""

    id: str = setting("", auto=True, uuid=True, doc="")
    name: str = setting(required=True, unique=True, doc="")
    code: str | None = setting(None, doc="")
    service: Ref | None = setting(None, reference="services", doc="")


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the database's modules know one more kind."""

    def use(kind: Kind | None) -> None:
        kinds = {**ENTITIES, **({kind.name: kind} if kind else {})}
        for module in (migrations, tables, faults, entities):
            monkeypatch.setattr(module, "ENTITIES", MappingProxyType(kinds))
        tables.constraints.cache_clear()

    yield use
    monkeypatch.undo()
    tables.constraints.cache_clear()


async def test_a_new_version_adds_what_it_needs_and_fills_it_in(server: Server, model: Any) -> None:
    before, after = Kind("things", Before), Kind("things", After)
    model(before)
    assert await migrations.up(server) == (
        "table things",
        "column things.owner",
        "column things.code_digest",
        "unique things.code",
    )
    store = PostgresStore(server)
    async with store.transaction() as transaction:
        await transaction.insert(before, {"id": IDS[1], "name": "one", "code": "c"})

    model(after)
    assert (await migrations.examine(server)).missing[0] == "column things.name_digest"
    await migrations.up(server)

    async with store.reading() as reader:
        found = await reader.find(after, "name", "one")
        assert found is not None
        assert found["id"] == IDS[1]
    with pytest.raises(UniqueViolation) as again:
        async with store.transaction() as transaction:
            await transaction.insert(after, {"id": IDS[2], "name": "one", "service": None})
    assert again.value.fields == {"name": "one"}
    assert await migrations.finish(server) == ("column things.code_digest", "unique things.code")
    assert (await migrations.examine(server)).obsolete == ()
    await store.close()


async def test_an_older_version_does_not_finish_what_a_newer_one_began(
    postgres: Postgres, server: Server, model: Any
) -> None:
    model(Kind("things", Before))
    await migrations.up(server)
    connection = await asyncpg.connect(postgres.uri(server.database))
    await connection.execute("UPDATE tollhouse_state SET software = '99.0.0'")
    await connection.close()
    model(None)

    with pytest.raises(ValueError, match=r"Tollhouse 99\.0\.0"):
        await migrations.finish(server)


def test_names_of_constraints_fit_into_postgres() -> None:
    assert max(map(len, tables.constraints())) <= 63
