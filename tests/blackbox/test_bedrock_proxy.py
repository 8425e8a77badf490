"""bedrock-proxy: the caller's role decides which models there are, and how many tokens a minute."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.support.gateway import Gateway, Reply
from tests.support.models import ModelServer, ai_metrics, record_of, replay
from tests.support.recordings import recording

TEXT = recording("bedrock/converse-multiturn-us.amazon.nova-2-lite-v1")
CONFIG = """
_format_version: "3.0"
consumer_groups:
- {{name: admin, consumers: [ada]}}
- {{name: developer, consumers: [dan, dora]}}
consumers:
- {{username: ada, keyauth_credentials: [{{key: ada-key}}]}}
- {{username: dan, keyauth_credentials: [{{key: dan-key}}]}}
- {{username: dora, keyauth_credentials: [{{key: dora-key}}]}}
- {{username: eve, keyauth_credentials: [{{key: eve-key}}]}}
services:
- name: bedrock
  url: https://bedrock-runtime.us-east-1.amazonaws.com
  routes: [{{name: chat, paths: [/v1/chat]}}]
  plugins:
  - {{name: key-auth, config: {{key_names: [X-API-Key]}}}}
  - name: bedrock-proxy
    config:
      region: eu-west-1
      base_url: {url}
      auth: {{aws_access_key_id: AKID, aws_secret_access_key: secret}}
      logging: {{log_statistics: true}}
      roles:
        admin: {{models: ["*"]}}
        developer: {{models: ["us.amazon.nova-2-lite-v1:0", "amazon.nova-*"], tokens_per_minute: 1}}
- name: open
  url: http://127.0.0.1:1
  routes: [{{name: open, paths: [/open]}}]
  plugins:
  - name: bedrock-proxy
    config:
      base_url: {url}
      auth: {{aws_access_key_id: AKID, aws_secret_access_key: secret}}
      roles: {{other: {{models: [amazon.nova-micro-v1]}}}}
plugins:
- {{name: prometheus, config: {{ai_metrics: true}}}}
"""


@pytest.fixture(scope="module")
async def models() -> AsyncIterator[ModelServer]:
    server = ModelServer()
    await server.start()
    server.play = replay(TEXT)
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def node(models: ModelServer) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start('_format_version: "3.0"\n')
    text = CONFIG.format(url=models.url)
    text += f'- {{name: file-log, config: {{path: "{gateway.folder / "log.json"}"}}}}\n'
    loaded = await gateway.configure(text)
    assert loaded.status == 201, loaded.body
    yield gateway
    await gateway.stop()


async def ask(node: Gateway, key: str, path: str = "/v1/chat", **members: Any) -> Reply:
    fields = {"Content-Type": "application/json", "X-API-Key": key}
    body = {"messages": [{"role": "user", "content": "hello"}], **members}
    return await node.request("POST", path, fields, msgspec.json.encode(body))


async def test_who_may_use_all_models_names_one(node: Gateway, models: ModelServer) -> None:
    reply = await ask(node, "ada-key", model="meta.llama3-1-8b-instruct-v1:0")

    body: Any = reply.json()
    assert (reply.status, body["object"]) == (200, "chat.completion")
    sent = models.last
    assert sent.target == "/model/meta.llama3-1-8b-instruct-v1%3A0/converse"
    assert "/eu-west-1/bedrock/aws4_request" in sent.headers["authorization"]
    assert "x-api-key" not in sent.headers
    record = await record_of(node, reply.headers["x-kong-request-id"])
    assert record["ai"]["call"]["role"] == "admin"
    found = [name for name in await metrics(node) if 'role="admin"' in name]
    assert found


async def metrics(node: Gateway) -> list[str]:
    assert await ai_metrics(node)
    text = (await node.admin_request("GET", "/metrics")).body.decode()
    return [line for line in text.splitlines() if line.startswith("kong_bedrock_requests_total")]


async def test_a_role_has_a_model_and_a_budget(node: Gateway, models: ModelServer) -> None:
    first = await ask(node, "dan-key")
    assert first.status == 200
    assert models.last.target == "/model/us.amazon.nova-2-lite-v1%3A0/converse"
    asked = len(models.received)

    reply = await ask(node, "dan-key")

    if reply.status == 200:  # another minute has begun in between
        reply = await ask(node, "dan-key")
    else:
        assert len(models.received) == asked
    assert reply.status == 429
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    body: Any = reply.json()
    assert "has used its 1 tokens of this minute" in body["error"]["message"]
    assert (await ask(node, "dora-key", model="amazon.nova-micro-v1:0")).status == 200


async def test_another_roles_model_is_refused(node: Gateway, models: ModelServer) -> None:
    asked = len(models.received)

    reply = await ask(node, "dora-key", model="anthropic.claude-3-haiku-20240307-v1:0")

    assert reply.status == 403
    body: Any = reply.json()
    assert "the role 'developer' may not use" in body["error"]["message"]
    assert (await ask(node, "eve-key")).status == 403
    assert len(models.received) == asked


async def test_everybody_else_is_other(node: Gateway, models: ModelServer) -> None:
    assert (await ask(node, "none", "/open")).status == 200
    assert models.last.target == "/model/amazon.nova-micro-v1/converse"
    assert (await ask(node, "none", "/open", model="meta.llama3")).status == 403
