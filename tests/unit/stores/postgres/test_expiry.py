"""Credentials leave the database when their time is over."""

from tests.support.rows import IDS

from tollhouse.config.sync import sync
from tollhouse.model.entities import Consumer, KeyAuthCredential, Ref
from tollhouse.model.snapshot import Snapshot
from tollhouse.stores.expiry import Expiring, remove_expired
from tollhouse.stores.postgres.store import PostgresStore

OWNER = Consumer(id=IDS[1], created_at=1, updated_at=1, username="u")


def key(number: int, ttl: int | None) -> KeyAuthCredential:
    return KeyAuthCredential(id=IDS[number], created_at=100, key=f"k{number}", consumer=Ref(IDS[1]), ttl=ttl)


async def test_what_is_over_is_deleted_once(store: PostgresStore) -> None:
    await sync(
        store, Snapshot(consumers=(OWNER,), keyauth_credentials=(key(2, 10), key(3, 50), key(4, None)))
    )
    expiring, snapshot = Expiring(), await store.snapshot()

    assert expiring.over(snapshot, 109.9) == []
    ended = expiring.over(snapshot, 110.0)
    assert [id_ for _, id_ in ended] == [IDS[2]]

    assert await remove_expired(store, ended, 110.0) == 1
    assert await remove_expired(store, ended, 110.0) == 0
    assert [each.id for each in (await store.snapshot()).keyauth_credentials] == [IDS[3], IDS[4]]


async def test_what_was_renewed_meanwhile_stays(store: PostgresStore) -> None:
    await sync(store, Snapshot(consumers=(OWNER,), keyauth_credentials=(key(2, 10),)))
    ended = Expiring().over(await store.snapshot(), 110.0)
    await sync(store, Snapshot(consumers=(OWNER,), keyauth_credentials=(key(2, 60),)))

    assert await remove_expired(store, ended, 110.0) == 0
    assert len((await store.snapshot()).keyauth_credentials) == 1
