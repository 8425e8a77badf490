"""Models that Ollama serves, for clients that speak OpenAI's form."""

import msgspec
import pytest
from tests.support.ai_proxy import HELLO, ai_block, ask, events, growth, message_of
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, ai_metrics, replay
from tests.support.recordings import recording

# Ollama

OLLAMA = recording("ollama/api-chat-text-llama3")
OLLAMA_STREAM = recording("ollama/api-chat-stream-text-llama3")


@pytest.mark.parametrize("path", ["/ollama", "/selfhosted"])
async def test_ollama_answers_in_openai_s_form(node: Gateway, models: ModelServer, path: str) -> None:
    models.play = replay(OLLAMA)

    reply = await ask(node, path, max_tokens=7, user="ann")

    assert models.last.target == "/api/chat"
    assert models.last_body == {
        "model": "llama3",
        "messages": HELLO,
        "stream": False,
        "options": {"num_predict": 7},
    }
    body = reply.json()
    assert isinstance(body, dict)
    assert body["object"] == "chat.completion"
    told = msgspec.json.decode(OLLAMA.content)
    (choice,) = body["choices"]
    assert choice["message"]["content"] == told["message"]["content"]
    assert choice["finish_reason"] == "stop"
    assert body["usage"] == {"prompt_tokens": 17, "completion_tokens": 66, "total_tokens": 83}
    assert reply.headers["x-tollhouse-ignored-fields"] == "user"
    block = await ai_block(node, reply)
    assert block["usage"]["total_tokens"] == 83
    assert block["usage"]["cost"] == 0


async def test_ollama_s_stream_becomes_openai_s(node: Gateway, models: ModelServer) -> None:
    before = await ai_metrics(node)
    models.play = replay(OLLAMA_STREAM)

    reply = await ask(node, "/ollama", stream=True, stream_options={"include_usage": True})

    assert reply.headers["content-type"] == "text/event-stream"
    chunks = events(reply.body)
    lines = [msgspec.json.decode(line) for line in OLLAMA_STREAM.content.splitlines()]
    said = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    assert said == "".join(line["message"]["content"] for line in lines)
    assert chunks[-1]["usage"]["completion_tokens"] == lines[-1]["eval_count"]
    assert reply.body.endswith(b"data: [DONE]\n\n")
    assert (await ai_block(node, reply))["usage"]["completion_tokens"] == lines[-1]["eval_count"]
    assert growth(before, await ai_metrics(node))["completion_tokens"] == lines[-1]["eval_count"]


async def test_an_error_inside_ollama_s_stream_reaches_the_client(node: Gateway, models: ModelServer) -> None:
    models.play = replay(recording("synthetic/ollama-stream-error"))

    reply = await ask(node, "/ollama", stream=True)

    assert "error" in events(reply.body)[-1]
    assert b"[DONE]" not in reply.body


async def test_what_ollama_cannot_do_is_refused_before_it_is_asked(
    node: Gateway, models: ModelServer
) -> None:
    asked = len(models.received)

    reply = await ask(node, "/ollama", n=3)

    assert (reply.status, message_of(reply)) == (400, "n is not supported by models served through Ollama")
    assert len(models.received) == asked
