"""Completions of providers that only chat."""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import pytest
from openai import AsyncOpenAI, BadRequestError
from tests.support.agents import calling
from tests.support.ai_proxy import route
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, plain, replay
from tests.support.recordings import recording

from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.provider import FormName

#: models, the form of who serves them, and where they chat
CHATS: Final[tuple[tuple[str, FormName, str], ...]] = (
    ("claude-haiku-4-5", "anthropic_messages", "/v1/messages"),
    ("gemini-2.5-flash", "gemini", "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
    ("cohere/command-r7b-12-2024", "cohere_chat", "/v2/chat"),
    ("groq/llama-3.1-8b-instant", "openai_chat", "/v1/chat/completions"),
    ("mistral/mistral-small-latest", "openai_chat", "/v1/chat/completions"),
)


@pytest.fixture
async def client(url: str) -> Any:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="the-clients-own", max_retries=0) as client:
        yield client


async def test_the_prompt_is_what_the_user_says(client: AsyncOpenAI, models: ModelServer) -> None:
    models.play = replay(recording("anthropic/messages-text-claude-opus-4-6"))

    answer = await client.completions.create(
        model="claude-opus-4-6", prompt="Once upon a time", max_tokens=20, stop="END"
    )

    assert models.last.target == "/v1/messages"
    assert models.last_body["messages"] == [{"role": "user", "content": "Once upon a time"}]
    assert (models.last_body["max_tokens"], models.last_body["stop_sequences"]) == (20, ["END"])
    assert answer.object == "text_completion"
    assert answer.choices[0].text
    assert answer.choices[0].finish_reason == "stop"
    assert answer.created > 1_700_000_000
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0


@pytest.mark.parametrize(("model", "form", "target"), CHATS)
async def test_streams_grow_as_completions(
    client: AsyncOpenAI, models: ModelServer, model: str, form: FormName, target: str
) -> None:
    models.play = plain(calling(form), kind=FORMS[form].STREAM_TYPE)

    stream = await client.completions.create(
        model=model, prompt=["Say"], stream=True, max_tokens=9, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]

    assert models.last.target == target
    assert {chunk.object for chunk in chunks} == {"text_completion"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "Now."
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (100, 20)


async def test_a_stream_that_breaks_off_ends_with_an_error(node: Gateway, models: ModelServer) -> None:
    whole = calling("anthropic_messages")
    models.play = plain(whole[: whole.index(b"event: message_delta")], kind="text/event-stream")
    body = msgspec.json.encode({"model": "claude-opus-4-6", "prompt": "Say", "stream": True})

    reply = await node.request("POST", "/v1/completions", {"Content-Type": "application/json"}, body)

    assert reply.headers["content-type"] == "text/event-stream"
    assert b'"text":"Now."' in reply.body
    assert b'data: {"error"' in reply.body
    assert b"[DONE]" not in reply.body


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"n": 2}, "n is not"),
        ({"suffix": "the end"}, "suffix"),
        ({"echo": True}, "echo"),
        ({"logprobs": 3}, "logprobs"),
        ({"seed": 1}, "seed is not"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "not a request"),
    ],
)
async def test_what_a_chat_cannot_do_is_refused(
    client: AsyncOpenAI, more: dict[str, Any], named: str
) -> None:
    asked: dict[str, Any] = {"model": "claude-opus-4-6", "prompt": "a"}

    with pytest.raises(BadRequestError, match=named):
        await client.completions.create(**asked | more)


VERSION: Final = ", anthropic_version: '2023-06-01'"


def completions(name: str, url: str, **told: str) -> str:
    return route(name, url, route_type="llm/v1/completions", **told).replace(
        "log_statistics: true", "log_statistics: false"
    )


@pytest.fixture(scope="module")
async def routes(models: ModelServer) -> AsyncIterator[Gateway]:
    url = models.url
    limit = ", max_tokens: 5, temperature: 0.5"
    claude = {"provider": "anthropic", "model": "name: claude-opus-4-6,", "options": VERSION}
    cohere = {"provider": "cohere", "model": "name: command-r7b-12-2024,"}
    found = (
        completions("anthropic", f"{url}/v1/messages", **claude | {"options": VERSION + ", max_tokens: 5"}),
        completions("always", f"{url}/v1/messages", more="response_streaming: always", **claude),
        completions("cohere", f"{url}/v2/chat", more="drop_unsupported: true", **cohere),
        completions("compatible", f"{url}/openai/v1/chat/completions", provider="groq", options=limit),
        completions("ollama", f"{url}/api/chat", provider="ollama", auth=""),
        completions("openai", f"{url}/v1/completions", options=limit),
    )
    gateway = await Gateway.start('_format_version: "3.0"\nservices:' + "".join(found))
    yield gateway
    await gateway.stop()


@pytest.mark.parametrize(
    ("name", "form", "target"),
    [
        ("anthropic", "anthropic_messages", "/v1/messages"),
        ("always", "anthropic_messages", "/v1/messages"),
        ("cohere", "cohere_chat", "/v2/chat"),
        ("compatible", "openai_chat", "/openai/v1/chat/completions"),
        ("ollama", "ollama_chat", "/api/chat"),
    ],
)
async def test_a_route_of_completions_asks_its_model_to_chat(
    routes: Gateway, models: ModelServer, name: str, form: FormName, target: str
) -> None:
    models.play = plain(calling(form), kind=FORMS[form].STREAM_TYPE)
    body = msgspec.json.encode({"prompt": "Say", "stream": name != "always"})

    reply = await routes.request("POST", f"/{name}", {"Content-Type": "application/json"}, body)

    assert reply.status == 200, reply.body
    assert models.last.target == target
    assert models.last_body["messages"] == [{"role": "user", "content": "Say"}]
    assert b'"object":"text_completion"' in reply.body
    assert b'"text":"Now."' in reply.body


async def test_the_operator_s_options_hold_for_completions(routes: Gateway, models: ModelServer) -> None:
    body = msgspec.json.encode({"prompt": "Say", "max_tokens": 100, "temperature": 1})
    for name in ("compatible", "openai"):
        await routes.request("POST", f"/{name}", {"Content-Type": "application/json"}, body)

        assert (models.last_body["max_tokens"], models.last_body["temperature"]) == (5, 0.5)


async def test_what_a_chat_cannot_do_is_dropped_where_that_is_allowed(
    routes: Gateway, models: ModelServer
) -> None:
    models.play = replay(recording("cohere/chat-text-command-r7b-12-2024"))
    body = msgspec.json.encode({"prompt": "Say", "suffix": "the end", "logprobs": 2})

    reply = await routes.request("POST", "/cohere", {"Content-Type": "application/json"}, body)

    assert reply.headers["x-tollhouse-dropped"] == "suffix, logprobs"
