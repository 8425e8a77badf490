from typing import Any

import pytest
from tests.support.rows import IDS

from tollhouse.config.difference import difference
from tollhouse.config.sync import apply, sync
from tollhouse.model.entities import ENTITIES, Consumer, KeyAuthCredential, Ref, Service
from tollhouse.model.snapshot import Snapshot
from tollhouse.stores.postgres.store import PostgresStore
from tollhouse.stores.store import ForeignViolation, Stale


def consumer(number: int, **fields: Any) -> Consumer:
    return Consumer(id=IDS[number], created_at=1, updated_at=1, **{"username": f"c{number}", **fields})


def key(number: int, owner: int) -> KeyAuthCredential:
    return KeyAuthCredential(id=IDS[number], created_at=1, key=f"k{number}", consumer=Ref(IDS[owner]))


async def test_a_store_holds_what_is_wanted_and_says_what_that_took(store: PostgresStore) -> None:
    first = Snapshot(consumers=(consumer(1), consumer(2)), keyauth_credentials=(key(3, 1), key(4, 2)))
    second = Snapshot(
        consumers=(consumer(2, tags=("t",)),),
        keyauth_credentials=(key(4, 2),),
        services=(Service(id=IDS[5], created_at=1, updated_at=1, host="a", name="s"),),
    )

    made = [(change.action, change.name) for change in await sync(store, first)]
    assert made == [
        ("create", "c1"),
        ("create", "c2"),
        ("create", "consumer c1"),
        ("create", "consumer c2"),
    ]
    assert await sync(store, first) == []
    assert [(each.action, each.kind.name) for each in await sync(store, second)] == [
        ("create", "services"),
        ("update", "consumers"),
        ("delete", "keyauth_credentials"),
        ("delete", "consumers"),
    ]
    found = await store.snapshot()
    assert (found.consumers, found.services) == (second.consumers, second.services)


async def test_only_what_has_the_tags_is_touched(store: PostgresStore) -> None:
    await sync(store, Snapshot(consumers=(consumer(1), consumer(2, tags=("mine",)))))

    made = await sync(store, Snapshot(consumers=(consumer(3, tags=("mine",)), consumer(4))), ("mine",))

    assert [(change.action, change.name) for change in made] == [("create", "c3"), ("delete", "c2")]
    assert [each.username for each in (await store.snapshot()).consumers] == ["c1", "c3"]
    assert await sync(store, Snapshot(), deletes=False) == []


async def test_what_cannot_be_made_whole_is_not_made_at_all(store: PostgresStore) -> None:
    with pytest.raises(ForeignViolation):
        await sync(store, Snapshot(consumers=(consumer(1),), keyauth_credentials=(key(3, 9),)))

    assert (await store.snapshot()).consumers == ()


async def test_changes_to_what_has_changed_meanwhile_are_not_made(store: PostgresStore) -> None:
    seen = await store.snapshot()
    planned = difference(seen, Snapshot(consumers=(consumer(1),)))
    await sync(store, Snapshot(consumers=(consumer(2),)))

    with pytest.raises(Stale):
        await apply(store, seen, planned)
    async with store.reading() as reader:
        assert await reader.find(ENTITIES["consumers"], "username", "c1") is None


async def test_a_value_that_occurs_once_moves_from_what_goes_to_what_comes(store: PostgresStore) -> None:
    await sync(store, Snapshot(consumers=(consumer(1, custom_id="x"), consumer(2))))
    wanted = Snapshot(consumers=(consumer(2), consumer(3, custom_id="x")))

    made = await sync(store, wanted)

    assert [(change.action, change.name) for change in made] == [("create", "c3"), ("delete", "c1")]
    assert (await store.snapshot()).consumers == wanted.consumers


async def test_values_that_occur_once_are_exchanged(store: PostgresStore) -> None:
    await sync(store, Snapshot(consumers=(consumer(1, custom_id="x"), consumer(2, custom_id="y"))))
    wanted = Snapshot(consumers=(consumer(1, custom_id="y"), consumer(2, custom_id="x")))

    await sync(store, wanted)

    assert (await store.snapshot()).consumers == wanted.consumers


async def test_a_new_name_under_the_same_id_keeps_what_belongs_to_it(store: PostgresStore) -> None:
    await sync(store, Snapshot(consumers=(consumer(1),), keyauth_credentials=(key(3, 1),)))
    wanted = Snapshot(consumers=(consumer(1, username="new"),), keyauth_credentials=(key(3, 1),))

    made = await sync(store, wanted)

    assert [(change.action, change.name) for change in made] == [("update", "new")]
    found = await store.snapshot()
    assert (found.consumers, found.keyauth_credentials) == (wanted.consumers, wanted.keyauth_credentials)
