"""The official SDK of OpenAI, pointed at the gateway."""

import asyncio
from typing import Any

import msgspec
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from tests.support.ai_proxy import HELLO, SECRET, STREAM, TEXT, TEXT_TOKENS, events
from tests.support.gateway import Gateway, read_reply
from tests.support.models import ModelServer, plain, replay, stream
from tests.support.recordings import recording

MESSAGES: Any = HELLO


def sdk(node: Gateway, path: str = "openai") -> OpenAI:
    host, port = node.proxy
    return OpenAI(base_url=f"http://{host}:{port}/{path}/v1", api_key="sk-client", max_retries=0)


async def test_the_sdk_reads_whole_answers(node: Gateway, models: ModelServer) -> None:
    models.play = replay(TEXT)
    told = msgspec.json.decode(TEXT.content)

    def chat() -> Any:
        with sdk(node) as client:
            return client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)

    completion = await asyncio.to_thread(chat)

    assert completion.choices[0].message.content == told["choices"][0]["message"]["content"]
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == TEXT_TOKENS
    assert models.last.headers["authorization"] == f"Bearer {SECRET}"


async def test_the_sdk_reads_streams(node: Gateway, models: ModelServer) -> None:
    models.play = replay(STREAM)

    def chat() -> list[str]:
        with sdk(node) as client:
            chunks: Any = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True)
            # as many applications do: every chunk has a choice
            return [chunk.choices[0].delta.content or "" for chunk in chunks]

    said = [c["choices"][0]["delta"].get("content", "") for c in events(STREAM.content) if c["choices"]]
    assert "".join(await asyncio.to_thread(chat)) == "".join(said)


@pytest.mark.parametrize("path", ["openai", "ollama"])
async def test_the_asynchronous_sdk_streams_and_calls_tools(
    node: Gateway, models: ModelServer, path: str
) -> None:
    name = (
        "openai/chat-stream-tool-call-gpt-4o-mini"
        if path == "openai"
        else "ollama/api-chat-stream-tool-call-llama3.2"
    )
    models.play = replay(recording(name))
    host, port = node.proxy
    calls: dict[int, list[str]] = {}

    async with AsyncOpenAI(base_url=f"http://{host}:{port}/{path}/v1", api_key="x", max_retries=0) as client:
        chunks: Any = await client.chat.completions.create(
            model="gpt-4o-mini" if path == "openai" else "llama3",
            messages=MESSAGES,
            stream=True,
            stream_options={"include_usage": True},
        )
        usage = None
        async for chunk in chunks:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                for call in choice.delta.tool_calls or ():
                    found = calls.setdefault(call.index, ["", ""])
                    found[0] += call.function.name or ""
                    found[1] += call.function.arguments or ""

    assert usage is not None
    assert usage.completion_tokens > 0
    ((name, arguments),) = calls.values()
    assert name
    assert isinstance(msgspec.json.decode(arguments), dict)


async def test_the_sdk_shows_headers_of_raw_responses(node: Gateway, models: ModelServer) -> None:
    models.play = replay(TEXT)

    def chat() -> Any:
        with sdk(node) as client:
            return client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=MESSAGES)

    raw = await asyncio.to_thread(chat)

    assert raw.headers["x-kong-llm-model"] == "openai/gpt-4o-mini"
    assert raw.headers["x-tollhouse-prompt-tokens"] == "12"
    assert raw.parse().usage.total_tokens == sum(TEXT_TOKENS)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (plain(b'{"error":{"message":"no","type":"t","code":"c"}}', 401), openai.AuthenticationError),
        (replay(recording("synthetic/openai-429-rate-limit")), openai.RateLimitError),
        (replay(recording("synthetic/openai-500")), openai.InternalServerError),
        (plain(b"oops"), openai.InternalServerError),
    ],
)
async def test_the_sdk_raises_its_own_errors(
    node: Gateway, models: ModelServer, answer: Any, error: type[openai.APIStatusError]
) -> None:
    models.play = answer

    def chat() -> Any:
        with sdk(node) as client:
            return client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)

    with pytest.raises(error) as raised:
        await asyncio.to_thread(chat)
    assert raised.value.response.headers["x-kong-request-id"]


async def test_the_sdk_sees_a_refusal_of_the_gateway(node: Gateway) -> None:
    def chat() -> Any:
        with sdk(node) as client:
            return client.chat.completions.create(model="other", messages=MESSAGES)

    with pytest.raises(openai.BadRequestError, match="cannot use own model - must be: gpt-4o-mini"):
        await asyncio.to_thread(chat)


async def test_the_sdk_raises_when_a_stream_ends_early(node: Gateway, models: ModelServer) -> None:
    models.play = stream(STREAM.chunks[:4])

    def chat() -> list[Any]:
        with sdk(node) as client:
            return list(client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True))

    with pytest.raises(openai.APIError, match="ended early"):
        await asyncio.to_thread(chat)


async def test_one_connection_serves_many_calls(node: Gateway, models: ModelServer) -> None:
    reader, writer = await asyncio.open_connection(*node.proxy)
    body = msgspec.json.encode({"messages": HELLO})
    fields = f"Host: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    head = f"POST /openai HTTP/1.1\r\n{fields}\r\n\r\n"

    for answer, status in (
        (replay(TEXT), 200),
        (plain(b"oops"), 500),
        (plain(b"{}", 429), 429),
        (replay(TEXT), 200),
    ):
        models.play = answer
        writer.write(head.encode() + body)
        assert (await read_reply(reader)).status == status
    writer.close()
