"""Answers of upstreams kept on a server, for all nodes that use it."""

import asyncio
from collections.abc import Callable
from typing import Final

from tollhouse.pdk.redis import RedisError
from tollhouse.stores.redis.client import Client
from tollhouse.stores.redis.connection import packed

_PREFIX: Final = "tollhouse:proxy-cache:"
#: keys that are looked through at once when all answers are forgotten
_SCANNED: Final = 1000
_LARGEST_BYTES: Final = 8 * 1024 * 1024


class RedisResponses:
    """`pdk.services.Responses`; while the server is away nothing is found and nothing kept."""

    largest_bytes = _LARGEST_BYTES

    def __init__(self, client: Client, release: Callable[[Client], None]) -> None:
        self._client = client
        self._release = release

    async def find(self, key: str) -> bytes | None:
        """The value of a key, `None` if there is none or its time is over."""
        try:
            return await self.read(key)
        except RedisError:
            return None  # counted and logged where it happened

    async def read(self, key: str) -> bytes | None:
        """The same for who has to know. Raises `RedisError`."""
        found = await self._client.call("GET", _PREFIX + key)
        return found if isinstance(found, bytes) else None

    def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keeps a value for so long, without making the caller wait."""
        key = _PREFIX + key
        command = packed(("SET", key, value, "PX", max(1, int(seconds * 1000))))
        self._client.ask(key, [command], lambda _: None)

    async def forget(self, key: str) -> bool:
        """Whether there was such a key. Raises `RedisError`."""
        return bool(await self._client.call("UNLINK", _PREFIX + key))

    async def forget_all(self) -> None:
        """Forgets the answers of all nodes that use the server, and nothing else there. Raises
        `RedisError`."""
        for server in await self._client.servers():
            cursor = b"0"
            while True:
                words = ("SCAN", cursor, "MATCH", f"{_PREFIX}*", "COUNT", _SCANNED)
                cursor, keys = await server.call(*words)
                await asyncio.gather(*(self._client.call("UNLINK", key.decode()) for key in keys))
                if cursor == b"0":
                    break

    def close(self) -> None:
        self._release(self._client)
