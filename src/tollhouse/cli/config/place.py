"""Where a running configuration is kept, and how it is read and replaced there."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from tollhouse.cli.admin_client import AdminClient
from tollhouse.cli.nodes import the_node
from tollhouse.cli.output import fail
from tollhouse.config.database import database_server
from tollhouse.config.difference import applied
from tollhouse.config.export import rows_to_text
from tollhouse.config.ownership import Division, Owners
from tollhouse.config.settings import Settings
from tollhouse.config.sync import apply
from tollhouse.errors import ConfigError, ConfigErrors
from tollhouse.model.entities import ENTITIES
from tollhouse.model.snapshot import Snapshot
from tollhouse.plugins import Registry
from tollhouse.stores.store import Store, StoreError, Unavailable
from tollhouse.supervisor.configuration import checked

T = TypeVar("T")


class Place(Protocol):
    """A node or a database."""

    @property
    def name(self) -> str: ...

    def owner(self) -> str:
        """Who decides what is kept there. Raises `OSError`."""
        ...

    def owners(self) -> Owners:
        """Who declared each entity, where that is kept for each. Raises `OSError`, `ConfigErrors`."""
        ...

    def read(self) -> Snapshot:
        """What is kept there. Raises `OSError`, `ConfigErrors`."""
        ...

    def apply(self, running: Snapshot, division: Division, owner: str) -> None:
        """Makes the changes, all or none, in the name of the owner. Raises `OSError`, `ConfigErrors`."""
        ...


class NodePlace:
    """A DB-less node, through its Admin API: its configuration is replaced whole."""

    def __init__(self, client: AdminClient, settings: Settings, registry: Registry) -> None:
        self._client = client
        self._settings = settings
        self._registry = registry

    @property
    def name(self) -> str:
        return f"the node at {self._client.url}"

    def owner(self) -> str:
        _, about = self._client.call("GET", "/")
        own = about.get("tollhouse") if isinstance(about, dict) else None
        return str(own.get("source", "unknown")) if isinstance(own, dict) else "unknown"

    def owners(self) -> Owners:
        return {}

    def read(self) -> Snapshot:
        status, answer = self._client.call("GET", "/config")
        if status != 200:
            raise ConfigErrors([ConfigError("", _message(status, answer))])
        return checked(answer["config"], self._settings, self._registry, self.name)

    def apply(self, running: Snapshot, division: Division, owner: str) -> None:
        text = rows_to_text(applied(running, division.changes, self._settings.router_flavor))
        status, answer = self._client.call("POST", "/config", {"config": text})
        if status != 201:
            raise ConfigErrors([ConfigError("", _message(status, answer))])


class DatabasePlace:
    """The database of a cluster: changed in one transaction, which every node hears of."""

    def __init__(self, settings: Settings) -> None:
        self._server = database_server(settings)

    @property
    def name(self) -> str:
        return str(self._server)

    def owner(self) -> str:
        return "database"

    def read(self) -> Snapshot:
        async def work(store: Store) -> Snapshot:
            return await store.snapshot()

        return self._done(work)

    def owners(self) -> Owners:
        async def work(store: Store) -> Owners:
            async with store.reading() as reader:
                return {kind.name: await reader.owners(kind) for kind in ENTITIES.values()}

        return self._done(work)

    def apply(self, running: Snapshot, division: Division, owner: str) -> None:
        async def work(store: Store) -> None:
            await apply(store, running, division.changes, owner, division.adopted)

        self._done(work)

    def _done(self, work: Callable[[Store], Awaitable[T]]) -> T:
        from tollhouse.stores.postgres.store import PostgresStore

        async def opened() -> T:
            store = PostgresStore(self._server)
            try:
                return await work(store)
            finally:
                await store.close()

        try:
            return asyncio.run(opened())
        except Unavailable as error:
            raise ConnectionError(str(error)) from error
        except StoreError as error:
            raise ConfigErrors([ConfigError("", str(error))]) from error


def _message(status: int, answer: Any) -> str:
    said = answer.get("message") if isinstance(answer, dict) else None
    return f"the Admin API answered {status}: {said or answer}"


def place_of(settings: Settings, registry: Registry, url: str | None) -> Place:
    """The node at that address, else the database, else the node that runs here. Raises `ConfigErrors`."""
    if url is None and settings.database != "off":
        return DatabasePlace(settings)
    if url is None:
        node = the_node(None)
        if not node.admin:
            fail("the running node has no Admin API (KONG_ADMIN_LISTEN=off)")
        url = node.admin[0]
    return NodePlace(AdminClient.at(url), settings, registry)
