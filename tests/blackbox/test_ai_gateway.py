"""`tollhouse start` without a file: a gateway to whatever the environment has keys for."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError
from tests.support.gateway import Gateway, Reply
from tests.support.upstream import Received, Upstream

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "some-model",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi!"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
}


MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "Hi!"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1000, "output_tokens": 100},
}


async def answer_chat(received: Received, writer: asyncio.StreamWriter) -> bool:
    answer = MESSAGE if received.target == "/v1/messages" else ANSWER
    content = json.dumps(answer | {"model": json.loads(received.body)["model"]}).encode()
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)
        + content
    )
    return True


@pytest.fixture(scope="module")
async def gateway(upstream: Upstream) -> AsyncIterator[Gateway]:
    upstream.answer = answer_chat
    environment = {
        "OPENAI_API_KEY": "sk-openai",
        "OPENAI_BASE_URL": f"{upstream.url}/v1",
        "ANTHROPIC_API_KEY": "sk-ant",
        "ANTHROPIC_BASE_URL": upstream.url,
        "GROQ_API_KEY": "",
    }
    node = await Gateway.start(None, environment=environment)
    yield node
    await node.stop()


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    host, port = gateway.proxy
    base_url = f"http://{host}:{port}/v1"
    async with AsyncOpenAI(base_url=base_url, api_key="the-clients-own", max_retries=0) as client:
        yield client


async def chat(gateway: Gateway, body: dict[str, Any]) -> Reply:
    headers = {"Content-Type": "application/json"}
    return await gateway.request("POST", "/v1/chat/completions", headers, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("asked", "key", "sent"),
    [
        ("gpt-4o-mini", "sk-openai", "gpt-4o-mini"),
        ("o3", "sk-openai", "o3"),
        ("claude-haiku-4-5", "sk-ant", "claude-haiku-4-5"),
        ("anthropic/claude-haiku-4-5", "sk-ant", "claude-haiku-4-5"),
        ("openai/gpt-4o-mini", "sk-openai", "gpt-4o-mini"),
        ("nobody-knows-this", "sk-openai", "nobody-knows-this"),
    ],
)
async def test_the_models_name_decides_who_is_asked_and_with_which_key(
    client: AsyncOpenAI, upstream: Upstream, asked: str, key: str, sent: str
) -> None:
    upstream.received.clear()

    completion = await client.chat.completions.create(
        model=asked, messages=[{"role": "user", "content": "Hello!"}]
    )

    assert completion.choices[0].message.content == "Hi!"
    (received,) = upstream.received
    if key == "sk-ant":
        assert received.target == "/v1/messages"
        assert received.headers["x-api-key"] == key
        assert received.headers["anthropic-version"] == "2023-06-01"
    else:
        assert received.target == "/v1/chat/completions"
        assert received.headers["authorization"] == f"Bearer {key}"
    assert json.loads(received.body)["model"] == sent
    assert "the-clients-own" not in str(received.fields)


async def test_tokens_and_cost_are_metered(gateway: Gateway, client: AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello!"}]
    )

    assert raw.headers["x-kong-llm-model"] == "openai/gpt-4o-mini"
    assert raw.headers["x-tollhouse-prompt-tokens"] == "1000"
    assert raw.headers["x-tollhouse-cost-usd"] == "0.00021"  # 0.15 and 0.60 USD per million
    metrics = (await gateway.admin_request("GET", "/metrics")).body.decode()
    assert re.search(r'^kong_ai_llm_tokens_total\{.*ai_provider="openai".*\} \d{4}', metrics, re.MULTILINE)


async def test_models_are_listed_under_names_that_lead_to_them(client: AsyncOpenAI) -> None:
    models = [model async for model in client.models.list()]

    assert {"openai", "anthropic"} == {model.owned_by for model in models}
    assert "gpt-4o-mini" in [model.id for model in models]
    assert len({model.id for model in models}) == len(models)
    assert (await client.models.retrieve("gpt-4o-mini")).owned_by == "openai"


async def test_errors_are_those_of_openai(gateway: Gateway, client: AsyncOpenAI) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        await client.models.retrieve("no-such-model")
    with pytest.raises(NotFoundError, match="nothing is at /v1/videos"):
        await client.post("/videos", cast_to=object)
    with pytest.raises(BadRequestError, match="you must provide a model parameter"):
        await client.chat.completions.create(model="", messages=[])
    assert (await gateway.request("GET", "/v1/chat/completions")).status == 405
    assert (await chat(gateway, {"model": 7, "messages": []})).status == 400


async def test_keys_show_neither_in_the_configuration_nor_in_what_is_printed(gateway: Gateway) -> None:
    configuration = (await gateway.admin_request("GET", "/config")).body.decode()

    assert "{vault://env/OPENAI_API_KEY}" in configuration
    for text in (configuration, "".join(gateway.output), "".join(gateway.errors)):
        assert "sk-openai" not in text


async def test_the_printed_lines_can_be_pasted(gateway: Gateway) -> None:
    output = "".join(gateway.output)
    assert "a gateway to openai, anthropic" in output
    curl = output[output.index("curl ") : output.index("from openai")]
    python = "\n".join(line.strip() for line in output[output.index("from openai") :].splitlines())

    assert '"Hi!"' in await run("sh", "-c", f"{curl.strip()} --silent")
    assert await run(sys.executable, "-c", python) == "Hi!\n"


async def run(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(60):
        output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    return output
