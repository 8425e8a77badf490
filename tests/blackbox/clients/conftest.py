"""One gateway for each module, with SDKs of all kinds before it."""

from collections.abc import AsyncIterator

import pytest
from tests.support.gateway import Gateway
from tests.support.models import ModelServer
from tests.support.sdks.site import Site, config


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    models = ModelServer()
    await models.start()
    credentials = {"AWS_ACCESS_KEY_ID": "AKIDGATEWAY", "AWS_SECRET_ACCESS_KEY": "s3cr3t"}
    environment = {**credentials, "AWS_REGION": "eu-west-1"}
    node = await Gateway.start(config(models.url), environment=environment)
    site = Site(node, models, {})
    yield site
    site.close()
    await node.stop()
    await models.stop()
