"""Retries with an `Idempotency-Key` of whatever a model does besides chats: asked once, paid once."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.blackbox.operations.conftest import configuration
from tests.support.gateway import Gateway, Reply
from tests.support.models import ModelServer, ai_metrics, plain, replay, stream
from tests.support.recordings import recording
from tests.support.upstream import Received

EMBEDDED = recording("openai/embeddings-embeddings-text-embedding-3-small")
COHERE = recording("cohere/rerank-rerank-rerank-english-v3.0")
COUNT = recording("anthropic/messages-count_tokens-count-tokens-claude-haiku-4-5")
PICTURE = plain(b'{"created":1,"data":[{"b64_json":"%b"}]}' % (b"aGk=" * 1_500_000))
SOUND = plain(b"ID3\0\xff" * 1000, kind="audio/mpeg")
EVENTS = stream(
    [
        b'data: {"type":"speech.audio.delta","audio":"aGk="}\n\n',
        b'data: {"type":"speech.audio.done","usage":{"input_tokens":3,"output_tokens":9}}\n\n',
    ]
)
COMPLETED = plain(b'{"id":"c","object":"text_completion","model":"m","choices":[{"text":"b","index":0}]}')
RESPONDED = plain(
    b'{"id":"resp_1","object":"response","status":"completed","model":"gpt-4o-mini","output":[],'
    b'"usage":{"input_tokens":3,"output_tokens":1,"total_tokens":4}}'
)
CALLS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "embeddings": ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "hi"}, replay(EMBEDDED)),
    "translated embeddings": (
        "/v1/embeddings",
        {"model": "gemini/gemini-embedding-001", "input": ["hi"]},
        plain(b'{"embeddings":[{"values":[1,2]}]}'),
    ),
    "rerank": (
        "/v2/rerank",
        {"model": "cohere/rerank-english-v3.0", "query": "q", "documents": ["a"]},
        replay(COHERE),
    ),
    "images": ("/v1/images/generations", {"model": "gpt-image-1", "prompt": "a cat"}, PICTURE),
    "speech": ("/v1/audio/speech", {"model": "tts-1", "input": "hi", "voice": "alloy"}, SOUND),
    "streamed speech": (
        "/v1/audio/speech",
        {"model": "gpt-4o-mini-tts", "input": "hi", "voice": "alloy", "stream_format": "sse"},
        EVENTS,
    ),
    "moderations": ("/v1/moderations", {"input": "hi"}, plain(b'{"id":"m","results":[]}')),
    "count_tokens": (
        "/v1/messages/count_tokens",
        {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "hi"}]},
        replay(COUNT),
    ),
    "responses": ("/v1/responses", {"model": "gpt-4o-mini", "input": "hi"}, RESPONDED),
    "completions": ("/v1/completions", {"model": "gpt-3.5-turbo-instruct", "prompt": "a"}, COMPLETED),
}


async def send(node: Gateway, path: str, body: dict[str, Any], key: str) -> Reply:
    fields = {"Content-Type": "application/json", "Idempotency-Key": key}
    return await node.request("POST", path, fields, json.dumps(body).encode())


async def requests_counted(node: Gateway) -> float:
    metrics = await ai_metrics(node)
    return sum(value for name, value in metrics.items() if "llm_requests_total" in name)


@pytest.mark.parametrize("name", CALLS)
async def test_a_retry_gets_the_first_answer(node: Gateway, models: ModelServer, name: str) -> None:
    path, body, models.play = CALLS[name]
    asked, counted = len(models.received), await requests_counted(node)

    first = await send(node, path, body, name)
    again = await send(node, path, body, name)

    assert (first.status, again.status) == (200, 200), first.body[:300]
    assert again.body == first.body
    assert again.headers["content-type"] == first.headers["content-type"]
    assert (again.headers["idempotency-replayed"], first.headers.get("idempotency-replayed")) == (
        "true",
        None,
    )
    assert len(models.received) == asked + 1
    assert await requests_counted(node) == counted + 1


@pytest.mark.parametrize("name", ["embeddings", "speech"])
async def test_a_failed_call_is_asked_anew(node: Gateway, models: ModelServer, name: str) -> None:
    path, body, answer = CALLS[name]
    models.play = plain(b'{"error":{"message":"busy"}}', 503)
    assert (await send(node, path, body, f"failed {name}")).status == 503
    models.play = answer

    reply = await send(node, path, body, f"failed {name}")

    assert (reply.status, reply.headers.get("idempotency-replayed")) == (200, None)


async def test_a_stream_that_was_cut_is_asked_anew(node: Gateway, models: ModelServer) -> None:
    path, body, _ = CALLS["streamed speech"]
    models.play = stream([b'data: {"type":"speech.audio.delta","audio":"aGk="}\n\n'])
    assert b'"error"' in (await send(node, path, body, "cut")).body
    models.play = EVENTS

    assert b"speech.audio.done" in (await send(node, path, body, "cut")).body


async def test_a_form_is_the_same_whatever_separates_its_parts(node: Gateway, models: ModelServer) -> None:
    models.play = plain(b'{"text":"hello"}')
    asked = len(models.received)

    def form(boundary: str, sound: bytes) -> bytes:
        field = f'--{boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        file = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        return field.encode() + file.encode() + sound + f"\r\n--{boundary}--\r\n".encode()

    async def upload(boundary: str, sound: bytes) -> Reply:
        kind = f"multipart/form-data; boundary={boundary}"
        fields = {"Content-Type": kind, "Idempotency-Key": "heard"}
        return await node.request("POST", "/v1/audio/transcriptions", fields, form(boundary, sound))

    first, again = await upload("4f21", b"RIFF\0"), await upload("9b7c", b"RIFF\0")
    other = await upload("9b7c", b"RIFF\1")

    assert (first.status, again.status, other.status) == (200, 200, 422)
    assert (again.body, again.headers["idempotency-replayed"]) == (first.body, "true")
    assert len(models.received) == asked + 1


@pytest.fixture
async def workers(models: ModelServer) -> AsyncIterator[Gateway]:
    """A node of two workers; the kernel spreads connections over them."""
    gateway = await Gateway.start(configuration(models.url), workers=2)
    yield gateway
    await gateway.stop()


async def test_retries_at_all_workers_join_the_call_that_is_running(
    workers: Gateway, models: ModelServer
) -> None:
    path, body, answer = CALLS["images"]
    held = asyncio.Event()

    async def later(received: Received, writer: asyncio.StreamWriter) -> bool:
        await held.wait()
        done: bool = await answer(received, writer)
        return done

    models.play = later
    asked = len(models.received)
    running = [asyncio.ensure_future(send(workers, path, body, "spread")) for _ in range(12)]
    await models.until(asked + 1)
    held.set()
    replies = await asyncio.gather(*running)

    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1
    assert sum("idempotency-replayed" not in reply.headers for reply in replies) == 1
    assert len(models.received) == asked + 1
    assert await requests_counted(workers) == 1
