"""Values by key on a server, for all nodes that use it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tollhouse.pdk.redis import RedisClient, RedisError
from tollhouse.stores.redis.client import Client
from tollhouse.stores.values import ValuesError


class RedisValues:
    """`stores.values.Values`. All keys begin with `namespace`; `scanned` are looked through at once."""

    def __init__(
        self,
        take: Callable[[], Client],
        release: Callable[[RedisClient], None],
        namespace: str = "",
        scanned: int = 10,
    ) -> None:
        self._take = take
        self._release = release
        self._namespace = namespace
        self._scanned = max(1, scanned)
        self._taken: Client | None = None

    async def get(self, key: str) -> bytes | None:
        async with self._client() as client:
            found = await client.call("GET", self._namespace + key)
        return found if isinstance(found, bytes) else None

    async def put(self, key: str, value: bytes, seconds: float | None = None) -> None:
        words = ("PX", max(1, int(seconds * 1000))) if seconds is not None else ()
        async with self._client() as client:
            await client.call("SET", self._namespace + key, value, *words)

    async def add(self, key: str, value: bytes, seconds: float) -> bool:
        async with self._client() as client:
            words = ("NX", "PX", max(1, int(seconds * 1000)))
            return await client.call("SET", self._namespace + key, value, *words) is not None

    async def delete(self, key: str) -> None:
        async with self._client() as client:
            await client.call("DEL", self._namespace + key)

    async def keys(self, prefix: str) -> list[str]:
        begin = self._namespace + prefix
        found: set[str] = set()
        async with self._client() as client:
            for server in await client.servers():
                cursor = b"0"
                while True:
                    words = ("SCAN", cursor, "MATCH", f"{_escaped(begin)}*", "COUNT", self._scanned)
                    cursor, keys = await server.call(*words)
                    found.update(key.decode()[len(self._namespace) :] for key in keys)
                    if cursor == b"0":
                        break
        return sorted(found)

    def close(self) -> None:
        if self._taken is not None:
            self._release(self._taken)
            self._taken = None

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Client]:
        if self._taken is None:
            self._taken = self._take()
        try:
            yield self._taken
        except RedisError as error:
            raise ValuesError(str(error)) from error


def _escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "*?[]\\^-" else letter for letter in text)
