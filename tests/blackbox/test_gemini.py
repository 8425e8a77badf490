"""A client of OpenAI's form asks a Gemini model, which is called in Google's own form."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from openai import AsyncOpenAI
from tests.support.gateway import Gateway
from tests.support.recordings import recording
from tests.support.upstream import Received, Upstream

CONFIG = """
_format_version: "3.0"
services:
- name: llm
  url: http://localhost
  routes: [{{name: llm, paths: [/v1], strip_path: false}}]
  plugins:
  - name: ai-gateway
    config: {{providers: [{{name: gemini, key: g-key, base_url: "{url}"}}]}}
"""
WHOLE = recording("gemini/generate-tool-call-gemini-2.5-flash")
STREAM = recording("gemini/generate-stream-tool-result-gemini-2.5-flash")


async def answer(received: Received, writer: asyncio.StreamWriter) -> bool:
    found = STREAM if "alt=sse" in received.target else WHOLE
    writer.write(found.head + b"Content-Length: %d\r\n\r\n" % len(found.content) + found.content)
    return True


@pytest.fixture(scope="module")
async def client(upstream: Upstream) -> AsyncIterator[AsyncOpenAI]:
    upstream.answer = answer
    node = await Gateway.start(CONFIG.format(url=upstream.url))
    host, port = node.proxy
    async with AsyncOpenAI(base_url=f"http://{host}:{port}/v1", api_key="x", max_retries=0) as client:
        yield client
    await node.stop()


async def test_an_answer_with_a_signed_call(client: AsyncOpenAI, upstream: Upstream) -> None:
    upstream.received.clear()

    completion = await client.chat.completions.create(
        model="gemini-2.5-flash", messages=[{"role": "user", "content": "hi"}], reasoning_effort="none"
    )

    (received,) = upstream.received
    assert received.target == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert received.headers["x-goog-api-key"] == "g-key"
    assert "authorization" not in received.headers
    assert json.loads(received.body) == {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}},
    }
    (choice,) = completion.choices
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls or []
    signature = call.model_dump()["extra_content"]["google"]["thought_signature"]
    told = json.loads(WHOLE.content)["candidates"][0]["content"]["parts"][0]
    assert signature == told["thoughtSignature"]
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (45, 44)


async def test_a_stream_has_a_path_of_its_own(client: AsyncOpenAI, upstream: Upstream) -> None:
    upstream.received.clear()

    chunks = [
        chunk
        async for chunk in await client.chat.completions.create(
            model="gemini-2.5-flash",
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    ]

    (received,) = upstream.received
    assert received.target == "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    assert "stream" not in json.loads(received.body)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Ruby is the best language to learn."
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 166
