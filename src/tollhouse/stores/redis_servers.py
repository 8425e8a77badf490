"""Redis for plugins; hiredis is imported when a configuration first names a server."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tollhouse.pdk.meter import Meter
from tollhouse.pdk.redis import RedisClient, Settings
from tollhouse.pdk.services import SharedCounts, SharedResponses
from tollhouse.pdk.tasks import Tasks
from tollhouse.stores.values import Values

if TYPE_CHECKING:
    from tollhouse.stores.redis.clients import Clients


class RedisServers:
    """`pdk.services.Redis` of one worker. `default` is the server of blocks that name none; `trusted` are
    files of authorities that vouch for servers, and `system`."""

    def __init__(
        self,
        default: tuple[str, int],
        meter: Meter,
        tasks: Tasks,
        clock: Callable[[], float],
        trusted: tuple[str, ...],
    ) -> None:
        self._trusted = trusted
        self._default = default
        self._meter = meter
        self._tasks = tasks
        self._clock = clock
        self._known: Clients | None = None

    @property
    def _clients(self) -> "Clients":
        if self._known is None:
            # An extra, and nobody without Redis should pay for importing it.
            from tollhouse.stores.redis.clients import Clients

            self._known = Clients(self._default, self._meter, self._tasks, self._clock, self._trusted)
        return self._known

    def client(self, settings: Settings) -> RedisClient:
        return self._clients.client(settings)

    def release(self, client: Any) -> None:
        self._clients.release(client)

    def values(self, settings: Settings, namespace: str, scanned: int) -> Values:
        """Values on a server."""
        return self._clients.values(settings, namespace, scanned)

    def counts(self, settings: Settings, sync_seconds: float | None = None) -> SharedCounts:
        return self._clients.counts(settings, sync_seconds)

    def responses(self, settings: Settings) -> SharedResponses:
        return self._clients.responses(settings)
