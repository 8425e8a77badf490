"""One PostgreSQL for a module, and a database with all tables in it."""

from collections.abc import AsyncIterator

import pytest
from tests.support.postgres import Postgres

from tollhouse.stores.postgres import migrations
from tollhouse.stores.postgres.server import Server
from tollhouse.stores.postgres.store import PostgresStore


@pytest.fixture
async def empty(postgres: Postgres) -> Server:
    """A database without tables."""
    return postgres.server(await postgres.new_database())


@pytest.fixture
async def server(empty: Server) -> Server:
    """A database with tables."""
    await migrations.bootstrap(empty)
    return empty


@pytest.fixture
async def store(server: Server) -> AsyncIterator[PostgresStore]:
    opened = PostgresStore(server)
    yield opened
    await opened.close()
