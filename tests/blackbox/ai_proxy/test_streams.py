"""Streamed answers."""

import asyncio

import pytest
from tests.support.ai_proxy import (
    STREAM,
    STREAM_TOKENS,
    ai_block,
    ask,
    events,
    growth,
    message_of,
    open_stream,
)
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, ai_metrics, plain, record_of, replay, stream
from tests.support.recordings import recording

# Streams


async def test_a_stream_comes_through_without_the_usage_nobody_asked_for(
    node: Gateway, models: ModelServer
) -> None:
    before = await ai_metrics(node)
    models.play = replay(STREAM)

    reply = await ask(node, "/priced", stream=True)

    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["x-kong-llm-model"] == "openai/gpt-4o-mini"
    assert models.last_body["stream_options"] == {"include_usage": True}
    kept = [event for event in STREAM.chunks if b'"choices":[]' not in event.replace(b" ", b"")]
    assert reply.body == b"".join(kept)
    assert len(kept) == len(STREAM.chunks) - 1
    block = await ai_block(node, reply)
    prompt, completion = STREAM_TOKENS
    assert block["meta"]["response_model"] == "gpt-4o-mini-2024-07-18"
    assert block["usage"]["prompt_tokens"] == prompt
    assert block["usage"]["completion_tokens"] == completion
    assert block["usage"]["cost"] == pytest.approx((prompt + 2 * completion) / 1000)
    assert growth(before, await ai_metrics(node))["total_tokens"] == prompt + completion


async def test_usage_that_the_client_asked_for_stays_in_its_stream(
    node: Gateway, models: ModelServer
) -> None:
    models.play = replay(STREAM)

    reply = await ask(node, stream=True, stream_options={"include_usage": True})

    assert reply.body == STREAM.content


async def test_the_first_event_does_not_wait_for_the_last(node: Gateway, models: ModelServer) -> None:
    held = asyncio.Event()
    models.play = stream(STREAM.chunks, after=held)
    reader, writer = await open_stream(node)

    first = await reader.readuntil(STREAM.chunks[0])
    held.set()

    assert first.endswith(STREAM.chunks[0])
    assert (await reader.readuntil(b"0\r\n\r\n")).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    writer.close()


async def test_a_call_is_metered_though_the_client_hung_up(node: Gateway, models: ModelServer) -> None:
    held = asyncio.Event()
    models.play = stream(STREAM.chunks[:6], after=held)
    reader, writer = await open_stream(node)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readuntil(STREAM.chunks[3])
    request_id = next(
        line for line in head.decode().split("\r\n") if line.lower().startswith("x-kong-request-id")
    )

    writer.close()

    record = await record_of(node, request_id.partition(": ")[2])
    held.set()
    usage = record["ai"]["proxy"]["usage"]
    assert usage["prompt_tokens"] == 9
    assert usage["completion_tokens"] > 0


async def test_a_stream_that_ends_early_does_not_look_complete(node: Gateway, models: ModelServer) -> None:
    models.play = stream(STREAM.chunks[:4])

    reply = await ask(node, stream=True)

    assert b"[DONE]" not in reply.body
    assert events(reply.body)[-1]["error"]["message"] == "the provider's stream ended early"
    assert (await ai_block(node, reply))["usage"]["completion_tokens"] > 0


async def test_an_error_inside_a_stream_is_passed_on(node: Gateway, models: ModelServer) -> None:
    stored = recording("synthetic/openai-stream-error")
    models.play = replay(stored)

    assert (await ask(node, stream=True)).body == stored.content


async def test_streams_may_be_forbidden(node: Gateway) -> None:
    reply = await ask(node, "/deny", stream=True)

    assert (reply.status, message_of(reply)) == (400, "response streaming is not enabled for this LLM")


async def test_streams_may_be_forced(node: Gateway, models: ModelServer) -> None:
    models.play = replay(STREAM)

    reply = await ask(node, "/always")

    assert models.last_body["stream"] is True
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert (await ai_block(node, reply))["usage"]["total_tokens"] == sum(STREAM_TOKENS)


async def test_servers_that_refuse_to_be_asked_for_usage_are_not_asked_again(
    node: Gateway, models: ModelServer
) -> None:
    models.play = plain(b'{"error":{"message":"unknown field: stream_options"}}', 400)
    refused = await ask(node, "/unnamed", stream=True, stream_options={"mine": 1})
    assert refused.status == 400
    await ask(node, "/unnamed", stream=True)
    assert "stream_options" in models.last_body, "a client's own options must not switch this off"

    models.play = replay(STREAM)
    await ask(node, "/unnamed", stream=True)

    assert "stream_options" not in models.last_body
