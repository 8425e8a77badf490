import asyncio
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.postgres import Postgres
from tests.support.rows import IDS, rows

from tollhouse.model.entities import ENTITIES, Kind
from tollhouse.stores.postgres import migrations
from tollhouse.stores.postgres.store import PostgresStore
from tollhouse.stores.store import (
    ForeignViolation,
    Referenced,
    Row,
    Stale,
    StoreError,
    Tagged,
    Unavailable,
    UniqueViolation,
)

CONSUMERS, KEYS = ENTITIES["consumers"], ENTITIES["keyauth_credentials"]
SERVICES, ROUTES, PLUGINS = ENTITIES["services"], ENTITIES["routes"], ENTITIES["plugins"]


def row(kind: Kind, number: int, **fields: Any) -> dict[str, Any]:
    values = {**kind.schema.blank(), **fields, "id": IDS[number]}
    kind.fill_auto(values, 1_700_000_000)
    return values


def consumer(number: int, **fields: Any) -> dict[str, Any]:
    return row(CONSUMERS, number, **{"username": f"consumer-{number}", **fields})


async def insert(store: PostgresStore, *entries: tuple[Kind, Row]) -> None:
    async with store.transaction() as transaction:
        for kind, values in entries:
            await transaction.insert(kind, values)


async def find(store: PostgresStore, kind: Kind, field: str, value: str) -> Row | None:
    async with store.reading() as reader:
        return await reader.find(kind, field, value)


def test_every_row_of_every_kind_is_read_back_as_it_was_written() -> None:
    server = Postgres()
    with asyncio.Runner() as runner:
        try:
            runner.run(server.start())
            where = server.server(runner.run(server.new_database()))
            runner.run(migrations.bootstrap(where))
            store = PostgresStore(where)

            @settings(max_examples=60)
            @given(st.data())
            def written_and_read(data: st.DataObject) -> None:
                entries = [(kind, data.draw(rows(kind), kind.name)) for kind in ENTITIES.values()]
                runner.run(_read_back(store, entries))

            written_and_read()
            runner.run(store.close())
        finally:
            server.stop()


async def _read_back(store: PostgresStore, entries: list[tuple[Kind, Row]]) -> None:
    async with store.transaction() as transaction:
        for kind, values in entries:
            await transaction.insert(kind, values)
            assert await transaction.find(kind, "id", values["id"]) == values
            assert (await transaction.page(kind, size=10)).rows == [values]
            for field in kind.unique:
                if values[field] is not None:
                    assert await transaction.find(kind, field, values[field]) == values
        for kind, values in reversed(entries):
            await transaction.delete(kind, values["id"])


async def test_a_block_that_fails_leaves_nothing(store: PostgresStore) -> None:
    with pytest.raises(UniqueViolation):
        await insert(store, (CONSUMERS, consumer(1)), (CONSUMERS, consumer(2, username="consumer-1")))

    assert await find(store, CONSUMERS, "id", IDS[1]) is None


async def test_an_error_that_is_swallowed_does_not_look_like_a_commit(store: PostgresStore) -> None:
    await insert(store, (CONSUMERS, consumer(1)))

    async def swallow() -> None:
        async with store.transaction() as transaction:
            with pytest.raises(UniqueViolation):
                await transaction.insert(CONSUMERS, consumer(2, username="consumer-1"))

    with pytest.raises(StoreError, match="nothing was changed"):
        await swallow()


async def test_unique_values_are_told_by_kong_s_fields(store: PostgresStore) -> None:
    plugin = row(PLUGINS, 1, name="cors")
    await insert(store, (CONSUMERS, consumer(1)), (PLUGINS, plugin))

    with pytest.raises(UniqueViolation) as again:
        await insert(store, (CONSUMERS, consumer(2, username="consumer-1")))
    assert again.value.fields == {"username": "consumer-1"}
    with pytest.raises(UniqueViolation) as again:
        await insert(store, (CONSUMERS, consumer(1, username="other")))
    assert again.value.fields == {"id": IDS[1]}
    with pytest.raises(UniqueViolation) as again:
        await insert(store, (PLUGINS, {**plugin, "id": IDS[2]}))
    assert again.value.fields == {field: plugin[field] for field in PLUGINS.composite}


async def test_many_rows_at_once_say_which_of_them_is_wrong(store: PostgresStore) -> None:
    many = [consumer(number) for number in range(1, 50)]
    async with store.transaction() as transaction:
        await transaction.insert_all(CONSUMERS, many)
    keys = [row(KEYS, number, key=f"key-{number}", consumer={"id": IDS[number]}) for number in range(1, 51)]

    with pytest.raises(ForeignViolation) as refused:
        async with store.transaction() as transaction:
            await transaction.insert_all(KEYS, keys)
    assert refused.value.id == IDS[50]
    with pytest.raises(UniqueViolation) as again:
        async with store.transaction() as transaction:
            await transaction.insert_all(CONSUMERS, [consumer(60), consumer(61, username="consumer-7")])
    assert again.value.fields == {"username": "consumer-7"}


async def test_foreign_keys_are_kept(store: PostgresStore) -> None:
    key = row(KEYS, 2, key="k", consumer={"id": IDS[1]})
    with pytest.raises(ForeignViolation) as missing:
        await insert(store, (KEYS, key))
    assert (missing.value.field, missing.value.reference, missing.value.id) == (
        "consumer",
        "consumers",
        IDS[1],
    )

    route = row(ROUTES, 4, service={"id": IDS[3]})
    await insert(
        store, (CONSUMERS, consumer(1)), (KEYS, key), (SERVICES, row(SERVICES, 3, host="a")), (ROUTES, route)
    )
    async with store.transaction() as transaction:
        assert await transaction.delete(CONSUMERS, IDS[1])
        assert await transaction.find(KEYS, "id", IDS[2]) is None
        assert not await transaction.delete(CONSUMERS, IDS[1])
    with pytest.raises(Referenced) as refused:
        async with store.transaction() as transaction:
            await transaction.delete(SERVICES, IDS[3])
    assert (refused.value.kind, refused.value.referrer) == ("services", "routes")


async def test_a_row_that_somebody_else_changed_is_not_overwritten(store: PostgresStore) -> None:
    first = consumer(1)
    await insert(store, (CONSUMERS, first))

    async def tag(word: str) -> None:
        async with store.transaction() as transaction:
            await transaction.replace(CONSUMERS, {**first, "tags": [word]}, before=first)

    ended = await asyncio.gather(*(tag(f"t{number}") for number in range(5)), return_exceptions=True)

    assert sum(isinstance(each, Stale) for each in ended) == 4
    assert ended.count(None) == 1


async def test_pages_follow_one_another_and_heed_tags_and_owners(store: PostgresStore) -> None:
    await insert(
        store,
        *((CONSUMERS, consumer(number, tags=[f"n{number}", "all"])) for number in range(1, 8)),
        *((KEYS, row(KEYS, n, key=f"k{n}", consumer={"id": IDS[n % 2 + 1]})) for n in range(11, 16)),
    )
    async with store.reading() as reader:
        seen: list[str] = []
        offset = None
        while True:
            page = await reader.page(CONSUMERS, size=3, offset=offset)
            seen += [each["id"] for each in page.rows]
            if (offset := page.offset) is None:
                break
        assert seen == sorted(IDS[number] for number in range(1, 8))
        every = await reader.page(CONSUMERS, size=9, tagged=Tagged(("n3", "all")))
        some = await reader.page(CONSUMERS, size=9, tagged=Tagged(("n3", "n4"), every=False))
        assert [each["id"] for each in every.rows] == [IDS[3]]
        assert len(some.rows) == 2
        owned = await reader.page(KEYS, size=9, where={"consumer": IDS[2]})
        assert {each["key"] for each in owned.rows} == {"k11", "k13", "k15"}
        with pytest.raises(ValueError, match="no page ended with"):
            await reader.page(CONSUMERS, size=9, offset="nonsense")
        assert await reader.find(CONSUMERS, "id", "nobody") is None


async def test_every_change_is_heard_and_read_without_reading_the_rest(store: PostgresStore) -> None:
    empty = await store.snapshot()
    async with store.changes() as changes:
        await insert(store, (CONSUMERS, consumer(1)), (CONSUMERS, consumer(2)))
        await changes.wait(10)
    both = await store.snapshot()
    async with store.transaction() as transaction:
        await transaction.delete(CONSUMERS, IDS[1])
    one = await store.snapshot()
    fresh = PostgresStore(store.server)

    assert [each.username for each in both.consumers] == ["consumer-1", "consumer-2"]
    assert [each.username for each in one.consumers] == ["consumer-2"]
    assert len({empty.hash, both.hash, one.hash}) == 3
    assert await store.snapshot() is one
    assert await fresh.snapshot() == one
    await fresh.close()


async def test_a_change_by_plain_sql_is_a_change_too(postgres: Postgres, store: PostgresStore) -> None:
    await insert(store, (CONSUMERS, consumer(1)))
    before = await store.snapshot()
    connection = await asyncpg.connect(postgres.uri(store.server.database))
    await connection.execute("DELETE FROM tollhouse_consumers")
    await connection.close()

    after = await store.snapshot()

    assert after.consumers == ()
    assert after.hash != before.hash


async def test_without_tables_it_is_told_what_to_run(empty: Any) -> None:
    store = PostgresStore(empty)
    with pytest.raises(StoreError, match="run 'tollhouse migrations bootstrap'"):
        await store.snapshot()
    await store.close()


async def test_a_server_that_is_away_is_unavailable(postgres: Postgres, server: Any) -> None:
    store = PostgresStore(server)
    await store.snapshot()
    postgres.kill()

    with pytest.raises(Unavailable):
        await store.snapshot()
    await postgres.start()
    assert (await store.snapshot()).consumers == ()
    await store.close()
