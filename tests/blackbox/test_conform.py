"""`tollhouse conform` against providers that answer as they should, and against one that does not."""

import asyncio
import json
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.support.cli import tollhouse
from tests.support.models import ModelServer, plain, stream
from tests.support.recordings import FOLDER
from tests.support.upstream import Answer, Received

from tollhouse.llm.chat import (
    Chat,
    Delta,
    Finish,
    Start,
    Text,
    Thinking,
    ToolArguments,
    ToolCall,
    ToolStart,
)
from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.providers import PROVIDERS
from tollhouse.pdk.usage import Usage

WORDS = {"Think": (True, False, 1), "First": (False, True, 1), "Rome": (False, False, 2)}


@pytest.fixture(scope="module")
async def models() -> AsyncIterator[ModelServer]:
    server = ModelServer()
    await server.start()
    yield server
    await server.stop()


def answering(provider: str, *, forgets_calls: bool = False) -> Answer:
    """As a model that does what it is asked; one that forgets calls does so in streams."""
    form = FORMS[PROVIDERS[provider].form]

    async def answer(received: Received, writer: asyncio.StreamWriter) -> bool:
        asked = received.body.decode()
        usual = (False, False, 1) if "tool" in asked else (False, True, 0)
        thinks, speaks, calls = next((kind for word, kind in WORDS.items() if word in asked), usual)
        streams = "tream" in received.target or json.loads(asked).get("stream", False)
        thoughts = [Thinking("hm")] if thinks else []
        texts = [Text("hello")] if speaks else []
        reason, usage = "tool_calls" if calls else "stop", Usage(9, 4)
        if not streams:
            called = [ToolCall(f"c{i}", "get_weather", '{"city":"Paris"}') for i in range(calls)]
            parts = (*thoughts, *texts, *called)
            chat = Chat(model="m", parts=parts, reason=reason, usage=usage)  # type: ignore[arg-type]
            return await plain(msgspec.json.encode(form.encode_response(chat)))(received, writer)
        deltas: list[Delta] = [Start("m"), *thoughts, *texts]
        for index in range(0 if forgets_calls else calls):
            deltas += [ToolStart(index, f"c{index}", "get_weather"), ToolArguments(index, '{"city":"Paris"}')]
        deltas.append(Finish(reason, usage))  # type: ignore[arg-type]
        encoder = form.stream_encoder(include_usage=True)
        pieces = [piece for delta in deltas if (piece := encoder.encode(delta))]
        return await stream(pieces, kind=form.STREAM_TYPE)(received, writer)

    return answer


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "bedrock", "ollama", "groq"])
async def test_a_provider_that_answers_as_it_should(models: ModelServer, provider: str) -> None:
    models.play = answering(provider)
    models.received.clear()

    ended = await tollhouse("conform", "--provider", provider, "--base-url", models.url, "--model", "m")

    assert ended.code == 0, ended.output + ended.errors
    assert "WRONG" not in ended.output
    assert len(models.received) == 10
    (row,) = [line for line in ended.output.splitlines() if line.startswith("text and tool")]
    assert row.split()[3:] == ["ok"] * 9


async def test_streams_that_miss_calls_are_found(models: ModelServer) -> None:
    models.play = answering("openai", forgets_calls=True)

    ended = await tollhouse("conform", "--provider", "openai", "--base-url", models.url, OPENAI_API_KEY="k")

    assert models.last.headers["authorization"] == "Bearer k"
    (row,) = [line for line in ended.output.splitlines() if line.startswith("text and tool  ")]
    assert row.split()[3:] == ["ok", "WRONG", *["ok"] * 7]
    assert "one tool, streamed: calls: ['get_weather'] whole, [] streamed" in ended.output
    assert (ended.code, "4 of" in ended.errors) == (1, True)


async def test_an_error_of_the_provider_is_told(models: ModelServer) -> None:
    models.play = plain(b'{"error":{"message":"no such model","code":"model_not_found"}}', 404)

    ended = await tollhouse("conform", "--provider", "groq", "--base-url", models.url)

    assert ended.code == 1
    assert "404: no such model" in ended.output


async def test_recorded_streams() -> None:
    ended = await tollhouse("conform", "--provider", "anthropic", "--recordings", str(FOLDER))

    assert ended.code == 0, ended.output
    assert "recorded streams" in ended.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--provider", "openai"), "set OPENAI_API_KEY"),
        (("--provider", "azure"), "Tell --base-url"),
        (("--provider", "bedrock"), "Tell --model"),
        (("--provider", "xai", "--recordings", str(FOLDER / "cohere")), "no recorded stream"),
    ],
    ids=["no-key", "no-address", "no-model", "no-recording"],
)
async def test_what_is_missing_is_asked_for(arguments: tuple[str, ...], told: str) -> None:
    ended = await tollhouse("conform", *arguments)

    assert ended.code == 1
    assert told in ended.errors
