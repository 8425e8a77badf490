"""Fixtures of tests that start the gateway: one upstream and one gateway for each module."""

from collections.abc import AsyncIterator

import pytest
from tests.support.collectors import Datagrams
from tests.support.upstream import Upstream


@pytest.fixture(scope="module")
async def upstream() -> AsyncIterator[Upstream]:
    server = await Upstream().start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def udp() -> AsyncIterator[Datagrams]:
    collector = await Datagrams.listen()
    yield collector
    collector.stop()
