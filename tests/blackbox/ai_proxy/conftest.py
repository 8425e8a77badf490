"""One model server and one node for each module."""

from collections.abc import AsyncIterator

import pytest
from tests.support.ai_proxy import config
from tests.support.gateway import Gateway
from tests.support.models import ModelServer


@pytest.fixture(scope="module")
async def models() -> AsyncIterator[ModelServer]:
    server = ModelServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def node(models: ModelServer) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start('_format_version: "3.0"\n')
    loaded = await gateway.configure(config(models.url, str(gateway.folder / "log.json")))
    assert loaded.status == 201, loaded.body
    yield gateway
    await gateway.stop()
