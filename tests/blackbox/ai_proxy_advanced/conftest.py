"""One node and two model servers for each module."""

from collections.abc import AsyncIterator

import pytest
from tests.support.gateway import Gateway
from tests.support.models import ModelServer
from tests.support.targets import Servers, config


@pytest.fixture(scope="module")
async def servers() -> AsyncIterator[Servers]:
    both = Servers(ModelServer(), ModelServer())
    await both.openai.start()
    await both.claude.start()
    yield both
    await both.openai.stop()
    await both.claude.stop()


@pytest.fixture(scope="module")
async def node(servers: Servers) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start('_format_version: "3.0"\n')
    loaded = await gateway.configure(config(servers, str(gateway.folder / "log.json")))
    assert loaded.status == 201, loaded.body
    yield gateway
    await gateway.stop()
