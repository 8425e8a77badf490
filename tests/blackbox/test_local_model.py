"""Provider `local`: the model that the node runs itself, called through it with the official SDK."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI
from tests.support.gateway import Gateway
from tests.support.models import ai_metrics, record_of

from tollhouse.models.files import SMOLLM2_NAME

EMPTY = '_format_version: "3.0"\n'
CONFIG = """_format_version: "3.0"
services:
- name: chat
  url: http://127.0.0.1:1
  routes: [{{name: chat, paths: [/v1]}}]
  plugins:
  - name: ai-proxy
    config:
      route_type: llm/v1/chat
      model: {{provider: local, name: smollm2-135m-instruct}}
      logging: {{log_statistics: true}}
plugins:
- {{name: prometheus, config: {{ai_metrics: true}}}}
- {{name: file-log, config: {{path: "{folder}/log.json"}}}}
"""
QUESTION: Any = [{"role": "user", "content": "Say hello."}]


@pytest.fixture(scope="module")
async def node() -> AsyncIterator[Gateway]:
    """A node that is told of the model only after it has started: the supervisor must start it then."""
    gateway = await Gateway.start(EMPTY)
    loaded = await gateway.configure(CONFIG.format(folder=gateway.folder))
    assert loaded.status == 201, loaded.body
    yield gateway
    await gateway.stop()


@pytest.fixture(scope="module")
async def sdk(node: Gateway) -> AsyncIterator[AsyncOpenAI]:
    host, port = node.proxy
    async with AsyncOpenAI(base_url=f"http://{host}:{port}/v1", api_key="none", max_retries=0) as client:
        yield client


async def test_it_answers_at_once_and_costs_nothing(node: Gateway, sdk: AsyncOpenAI) -> None:
    raw = await sdk.chat.completions.with_raw_response.create(
        model=SMOLLM2_NAME, messages=QUESTION, max_tokens=8, seed=1
    )

    completion = raw.parse()
    assert completion.choices[0].message.content
    assert completion.usage is not None
    assert 0 < completion.usage.completion_tokens <= 8
    assert completion.usage.prompt_tokens > 0
    assert raw.headers["x-kong-llm-model"] == f"local/{SMOLLM2_NAME}"
    assert raw.headers["x-tollhouse-cost-usd"] == "0"
    assert raw.headers["x-tollhouse-completion-tokens"] == str(completion.usage.completion_tokens)
    record = await record_of(node, raw.headers["x-kong-request-id"])
    usage = record["ai"]["proxy"]["usage"]
    assert usage["total_tokens"] == completion.usage.total_tokens
    assert usage["cost"] == 0
    assert record["ai"]["proxy"]["meta"]["provider_name"] == "local"


async def test_its_streams_are_metered_though_the_client_did_not_ask_for_usage(
    node: Gateway, sdk: AsyncOpenAI
) -> None:
    before = await ai_metrics(node)
    raw = await sdk.chat.completions.with_raw_response.create(
        model=SMOLLM2_NAME, messages=QUESTION, max_tokens=8, seed=1, stream=True
    )

    said, reasons, usages = [], [], []
    async for chunk in raw.parse():
        said.append(chunk.choices[0].delta.content or "")
        reasons.append(chunk.choices[0].finish_reason)
        usages.append(chunk.usage)

    assert "".join(said)
    assert reasons[-1] in ("stop", "length")
    assert not any(usages)
    usage = (await record_of(node, raw.headers["x-kong-request-id"]))["ai"]["proxy"]["usage"]
    assert 0 < usage["completion_tokens"] <= 8
    assert usage["prompt_tokens"] > 0
    grown = {series: value - before.get(series, 0) for series, value in (await ai_metrics(node)).items()}
    totals = [v for s, v in grown.items() if 'token_type="total_tokens"' in s]
    assert totals == [usage["total_tokens"]]
    assert not any("cost" in series and value for series, value in grown.items())


async def test_the_same_seed_says_the_same_streamed_or_not(sdk: AsyncOpenAI) -> None:
    whole = await sdk.chat.completions.create(
        model=SMOLLM2_NAME, messages=QUESTION, max_tokens=6, seed=7, temperature=0
    )
    stream = await sdk.chat.completions.create(
        model=SMOLLM2_NAME, messages=QUESTION, max_tokens=6, seed=7, temperature=0, stream=True
    )

    pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert "".join(pieces) == whole.choices[0].message.content


async def test_calls_at_the_same_time_do_not_mix(sdk: AsyncOpenAI) -> None:
    async def call(limit: int) -> int:
        completion = await sdk.chat.completions.create(
            model=SMOLLM2_NAME, messages=QUESTION, max_tokens=limit, temperature=0
        )
        assert completion.usage is not None
        return completion.usage.completion_tokens - limit

    assert all(beyond <= 0 for beyond in await asyncio.gather(*map(call, (1, 2, 3, 4))))


async def test_a_node_that_starts_with_the_model_is_ready_with_it(node: Gateway) -> None:
    other = await Gateway.start(CONFIG.format(folder=node.folder))
    try:
        host, port = other.proxy
        async with AsyncOpenAI(base_url=f"http://{host}:{port}/v1", api_key="x", max_retries=0) as client:
            completion = await client.chat.completions.create(
                model=SMOLLM2_NAME, messages=QUESTION, max_tokens=2
            )
        assert completion.choices[0].message.content
    finally:
        await other.stop()
