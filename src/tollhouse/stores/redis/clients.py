"""The servers that a worker's plugins use: one client for each configuration block, however many share it."""

from collections.abc import Callable
from typing import Any, Final

from tollhouse.pdk.meter import Meter
from tollhouse.pdk.redis import Settings
from tollhouse.pdk.services import SharedCounts
from tollhouse.pdk.tasks import Tasks
from tollhouse.stores.authorities import SYSTEM
from tollhouse.stores.redis.client import Client
from tollhouse.stores.redis.cluster import Cluster
from tollhouse.stores.redis.connection import packed
from tollhouse.stores.redis.counts import ExactCounts
from tollhouse.stores.redis.place import Address, Place, place_of
from tollhouse.stores.redis.responses import RedisResponses
from tollhouse.stores.redis.scripts import TAKE
from tollhouse.stores.redis.sentinel import finder
from tollhouse.stores.redis.server import Channel, Server
from tollhouse.stores.redis.values import RedisValues
from tollhouse.stores.synced_counts import SyncedCounts
from tollhouse.stores.watch import Watch

_HELLO: Final = (packed(("SCRIPT", "LOAD", TAKE.text)),)


class Clients:
    """`default` is the server of blocks that name none; `trusted` who vouches for servers."""

    def __init__(
        self,
        default: Address,
        meter: Meter,
        tasks: Tasks,
        clock: Callable[[], float],
        trusted: tuple[str, ...] = SYSTEM,
    ) -> None:
        self._trusted = trusted
        self._default = default
        self._meter = meter
        self._tasks = tasks
        self._clock = clock
        self._clients: dict[Place, Client] = {}

    def client(self, settings: Settings) -> Client:
        """The client of a block; to be released when its user goes."""
        place = place_of(settings, self._default, self._trusted)
        client = self._clients.get(place)
        if client is None:
            watch = Watch(self._meter, "redis", "Redis", place.shown)
            client = self._clients[place] = Client(place, watch, self._channel(place, watch))
        client.users += 1
        return client

    def release(self, client: Any) -> None:
        """One user less; the last one's leaving ends the connection."""
        client.users -= 1
        if not client.users:
            client.close()
            self._clients.pop(client.place, None)

    def counts(self, settings: Settings, sync_seconds: float | None = None) -> SharedCounts:
        """Counts on a server: asked for each request, or told every so many seconds."""
        client = self.client(settings)
        exact = ExactCounts(client, self.release)
        if sync_seconds is None:
            return exact
        return SyncedCounts(exact, sync_seconds, self._tasks, self._clock)

    def values(self, settings: Settings, namespace: str, scanned: int) -> RedisValues:
        """Values on a server."""
        return RedisValues(lambda: self.client(settings), self.release, namespace, scanned)

    def responses(self, settings: Settings) -> RedisResponses:
        """Answers kept on a server."""
        return RedisResponses(self.client(settings), self.release)

    def _channel(self, place: Place, watch: Watch) -> Channel:
        if place.is_cluster:
            return Cluster(place, watch, self._tasks, _HELLO)
        if place.master is not None:
            return Server(place, finder(place), watch, self._tasks, _HELLO)

        async def find() -> Address:
            return place.addresses[0]

        return Server(place, find, watch, self._tasks, _HELLO)
