"""Completions of several models, of which some only chat."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.support.agents import calling
from tests.support.gateway import Gateway, Reply
from tests.support.models import hanging, plain, record_of, replay
from tests.support.recordings import recording
from tests.support.targets import CLAUDE, OPENAI, Servers, service

CLAUDE_TEXT = recording("anthropic/messages-text-claude-opus-4-6")
COMPLETED = (
    b'{"id":"c","object":"text_completion","model":"gpt-3.5-turbo-instruct","choices":'
    b'[{"text":"native","index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":1}}'
)


@pytest.fixture(scope="module")
async def node(servers: Servers) -> AsyncIterator[Gateway]:
    def openai(weight: int) -> str:
        made = OPENAI.format(weight=weight, url=servers.openai.url, route_type="llm/v1/completions")
        return made.replace("/v1/chat/completions", "/v1/completions")

    def claude(weight: int) -> str:
        return CLAUDE.format(weight=weight, url=servers.claude.url, route_type="llm/v1/completions")

    rules = "algorithm: priority, failover_criteria: [error, timeout, http_503]"
    quick = "limits: {first_byte_timeout: 600, chunk_timeout: 600}"
    services = (
        service("native-first", openai(200), claude(100), balancer=rules, more=quick),
        service("chat-first", openai(100), claude(200), balancer=rules, more=quick),
    )
    gateway = await Gateway.start('_format_version: "3.0"\n')
    log = f'plugins:\n- {{name: file-log, config: {{path: "{gateway.folder / "log.json"}"}}}}\n'
    loaded = await gateway.configure('_format_version: "3.0"\nservices:' + "".join(services) + log)
    assert loaded.status == 201, loaded.body
    yield gateway
    await gateway.stop()


async def complete(node: Gateway, path: str, **members: Any) -> Reply:
    body = msgspec.json.encode({"prompt": "one two three", "max_tokens": 9, **members})
    return await node.request("POST", path, {"Content-Type": "application/json"}, body)


async def test_a_model_that_only_chats_completes(node: Gateway, servers: Servers) -> None:
    servers.claude.play = replay(CLAUDE_TEXT)

    reply = await complete(node, "/chat-first")

    answer: Any = reply.json()
    assert (reply.status, answer["object"]) == (200, "text_completion")
    assert answer["choices"][0]["text"]
    assert servers.claude.last_body["messages"] == [{"role": "user", "content": "one two three"}]
    record = await record_of(node, reply.headers["x-kong-request-id"])
    assert record["ai"]["proxy"]["usage"]["prompt_tokens"] == answer["usage"]["prompt_tokens"] > 0


async def test_it_takes_over_from_one_that_completes(node: Gateway, servers: Servers) -> None:
    servers.openai.play = plain(b'{"error":{"message":"out"}}', 503)
    servers.claude.play = replay(CLAUDE_TEXT)

    reply = await complete(node, "/native-first")

    assert reply.headers["x-tollhouse-provider"] == "anthropic"
    answer: Any = reply.json()
    assert answer["object"] == "text_completion"


@pytest.mark.parametrize("refused", [{"logprobs": 3}, {"suffix": "end"}, {"n": 2}])
async def test_what_a_chat_cannot_do_is_asked_of_one_that_completes(
    node: Gateway, servers: Servers, refused: dict[str, Any]
) -> None:
    servers.openai.play = plain(COMPLETED)

    assert (await complete(node, "/chat-first", **refused)).body == COMPLETED


async def test_a_stream_that_stalls_before_its_text_is_another_models(
    node: Gateway, servers: Servers
) -> None:
    servers.openai.play = hanging(b": hello\n\n")
    servers.claude.play = plain(calling("anthropic_messages"), kind="text/event-stream")

    reply = await complete(node, "/native-first", stream=True)

    assert reply.status == 200
    assert b'"object":"text_completion"' in reply.body
    assert reply.body.endswith(b"data: [DONE]\n\n")
