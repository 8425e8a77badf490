"""The answers that proxy-cache keeps, wherever it is configured to: on the node, and on Redis servers."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tollhouse.config.settings import Settings
from tollhouse.model.entities import PluginInstance
from tollhouse.model.schema import build
from tollhouse.model.snapshot import Snapshot
from tollhouse.pdk.redis import AdvancedRedis
from tollhouse.pdk.services import SharedResponses
from tollhouse.pdk.tasks import Tasks
from tollhouse.stores.redis_servers import RedisServers
from tollhouse.stores.responses import SharedResponses as NodeResponses
from tollhouse.stores.vaults import Vaults
from tollhouse.telemetry.metrics import Metrics


class KeptAnswers:
    """`admin.proxy_cache.Answers`. `snapshot` gives what is being served."""

    def __init__(
        self, here: NodeResponses, snapshot: Callable[[], Snapshot], settings: Settings, tasks: Tasks
    ) -> None:
        self._here = here
        self._snapshot = snapshot
        default = (settings.redis_host, settings.redis_port)
        # Nobody reads metrics of this process; its log tells of servers that cannot be reached.
        self._redis = RedisServers(default, Metrics(), tasks, time.time, settings.lua_ssl_trusted_certificate)
        self._vaults = Vaults(
            os.environ, env_prefix=settings.vault_env_prefix, file_prefix=settings.vault_file_prefix
        )

    async def find(self, key: str, plugin: str | None = None) -> bytes | None:
        """A kept answer, of that plugin if one is named. Raises `RedisError`."""
        found = self._here.find(key) if self._is_here(plugin) else None
        for block in self._blocks(plugin) if found is None else ():
            with self._there(block) as responses:
                found = await responses.read(key)
            if found is not None:
                break
        return found

    async def forget(self, key: str, plugin: str | None = None) -> None:
        """Forgets an answer everywhere, or where that plugin keeps it. Raises `RedisError`."""
        if self._is_here(plugin):
            self._here.delete(key)
        for block in self._blocks(plugin):
            with self._there(block) as responses:
                await responses.forget(key)

    async def forget_all(self) -> None:
        """Forgets all answers of this node, and those of all nodes on the servers. Raises `RedisError`."""
        self._here.clear()
        for block in self._blocks(None):
            with self._there(block) as responses:
                await responses.forget_all()

    def _plugins(self, id_: str | None) -> Iterator[PluginInstance]:
        for plugin in self._snapshot().plugins:
            if plugin.name == "proxy-cache" and id_ in (None, plugin.id):
                yield plugin

    def _is_here(self, id_: str | None) -> bool:
        return id_ is None or any(plugin.config["strategy"] == "memory" for plugin in self._plugins(id_))

    def _blocks(self, id_: str | None) -> list[AdvancedRedis]:
        """The servers that answers are kept on, each once."""
        vaults = self._vaults.knowing(self._snapshot().vaults)
        blocks: list[AdvancedRedis] = []
        for plugin in self._plugins(id_):
            if plugin.config["strategy"] != "redis":
                continue
            given = plugin.config.get("redis")
            block = build(AdvancedRedis, vaults.resolved(given)) if given else AdvancedRedis()
            if block not in blocks:
                blocks.append(block)
        return blocks

    @contextmanager
    def _there(self, block: AdvancedRedis) -> Iterator[SharedResponses]:
        responses = self._redis.responses(block)
        try:
            yield responses
        finally:
            responses.close()
