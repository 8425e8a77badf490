"""What holds for every test."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings
from tests.support.postgres import Postgres


def pytest_configure() -> None:
    # How long an example takes says more of the machine than of the code.
    settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any machine")


@pytest.fixture(scope="module")
async def postgres() -> AsyncIterator[Postgres]:
    """A server of the module's own, which it may kill."""
    server = Postgres()
    try:
        await server.start()
        yield server
    finally:
        server.stop()
