"""A node whose configuration is in a database: what it starts from, and what it keeps for bad times."""

import asyncio
import logging
from typing import TYPE_CHECKING

from tollhouse.config.database import database_server
from tollhouse.config.settings import Settings
from tollhouse.errors import ConfigError, ConfigErrors
from tollhouse.model.snapshot import Snapshot, encode
from tollhouse.plugins import Registry
from tollhouse.stores.store import StoreError, Unavailable
from tollhouse.supervisor.configuration import check_entities
from tollhouse.supervisor.last_good import KeptSnapshot

if TYPE_CHECKING:
    from tollhouse.stores.postgres.server import Server
    from tollhouse.stores.postgres.store import PostgresStore

log = logging.getLogger("tollhouse.database")


def database_store(settings: Settings) -> "PostgresStore | None":
    """The store that the settings name; None if the configuration is a file. Raises `ConfigErrors`."""
    if settings.database == "off":
        return None
    server = database_server(settings)
    from tollhouse.stores.postgres.store import PostgresStore

    return PostgresStore(server)


def first_snapshot(settings: Settings, registry: Registry) -> Snapshot:
    """What the database holds; while it is away, what it held when this machine last saw it. Raises
    `ConfigErrors`."""
    server = database_server(settings)
    last_good = KeptSnapshot(settings.prefix, str(server))
    try:
        snapshot = asyncio.run(_read(server))
        check_entities(snapshot, settings, registry)
    except Unavailable as problem:
        kept = last_good.read()
        if kept is None:
            text = f"cannot read {server}: {problem}; nothing that it held before is kept here to start from"
            raise ConfigErrors([ConfigError("KONG_PG_HOST", text)]) from problem
        log.error("%s is away (%s): starting with what it held when it was last seen", server, problem)
        check_entities(kept, settings, registry)
        return kept
    except StoreError as problem:
        raise ConfigErrors([ConfigError("KONG_PG_DATABASE", str(problem))]) from problem
    except ConfigErrors as errors:
        kept = last_good.read()
        if kept is None:
            raise
        check_entities(kept, settings, registry)
        log.error("starting with what could be served before, because of what %s holds:\n%s", server, errors)
        return kept
    last_good.keep(encode(snapshot))
    return snapshot


async def _read(server: "Server") -> Snapshot:
    from tollhouse.stores.postgres.store import PostgresStore

    store = PostgresStore(server)
    try:
        found = await store.migrations()
        if not found.bootstrapped:
            raise StoreError(f"{server} has no tables: run 'tollhouse migrations bootstrap'")
        if found.missing:
            raise StoreError(f"{server} is of an older version: run 'tollhouse migrations up'")
        if found.obsolete:
            log.warning("when no older node runs any longer: 'tollhouse migrations finish'")
        return await store.snapshot()
    finally:
        await store.close()
