"""One model server for each module, and a node whose catch-all leads to it, whoever the provider is."""

from collections.abc import AsyncIterator

import pytest
from tests.support.gateway import Gateway
from tests.support.models import ModelServer

NAMES = ("openai", "gemini", "cohere", "bedrock", "mistral", "anthropic", "groq")
CONFIG = """
_format_version: "3.0"
services:
- name: llm
  url: http://127.0.0.1:1
  routes: [{{name: llm, paths: [/v1, /v1beta, /v2, /api, /model], strip_path: false}}]
  plugins:
  - name: ai-gateway
    config: {{logging: {{log_statistics: true}}, providers: [{providers}]}}
plugins:
- {{name: prometheus, config: {{ai_metrics: true}}}}
"""


@pytest.fixture(scope="module")
async def models() -> AsyncIterator[ModelServer]:
    server = ModelServer()
    await server.start()
    yield server
    await server.stop()


def configuration(url: str) -> str:
    keyed = [f'{{name: {name}, key: "{name}-key", base_url: "{url}"}}' for name in NAMES]
    return CONFIG.format(providers=", ".join([*keyed, f'{{name: ollama, base_url: "{url}"}}']))


@pytest.fixture(scope="module")
async def node(models: ModelServer) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(configuration(models.url))
    yield gateway
    await gateway.stop()


@pytest.fixture
def url(node: Gateway) -> str:
    host, port = node.proxy
    return f"http://{host}:{port}"
