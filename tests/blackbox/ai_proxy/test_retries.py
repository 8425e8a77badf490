"""Retries with an `Idempotency-Key`: answered once, asked once, paid once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.ai_proxy import STREAM, TEXT, TEXT_TOKENS, ask, config, growth, message_of, open_stream
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, ai_metrics, plain, replay, stream
from tests.support.upstream import Received


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_retry_gets_the_first_answer(node: Gateway, models: ModelServer, streamed: bool) -> None:
    key = {"Idempotency-Key": f"first-{streamed}"}
    models.play = replay(STREAM if streamed else TEXT)
    asked, before = len(models.received), await ai_metrics(node)

    first = await ask(node, headers=key, stream=streamed)
    again = await ask(node, headers=key, stream=streamed)

    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert len(models.received) == asked + 1
    grown = growth(before, await ai_metrics(node))
    assert grown["kong_ai_llm_requests_total"] == 1
    if not streamed:
        assert grown["total_tokens"] == sum(TEXT_TOKENS)


async def test_a_retry_joins_the_call_that_is_running(node: Gateway, models: ModelServer) -> None:
    key = {"Idempotency-Key": "joined"}
    held = asyncio.Event()

    async def later(received: Received, writer: asyncio.StreamWriter) -> bool:
        await held.wait()
        return await replay(TEXT)(received, writer)

    models.play = later
    asked = len(models.received)
    first = asyncio.ensure_future(ask(node, headers=key))
    await models.until(asked + 1)
    again = asyncio.ensure_future(ask(node, headers=key))
    await ask(node, "/deny", stream=True)  # the other one is at the gateway by now
    held.set()

    assert (await first).body == (await again).body == TEXT.content
    assert len(models.received) == asked + 1


async def test_a_call_whose_client_hung_up_is_there_for_its_retry(node: Gateway, models: ModelServer) -> None:
    held = asyncio.Event()
    models.play = stream(STREAM.chunks, after=held)
    asked = len(models.received)
    reader, writer = await open_stream(node, headers="Idempotency-Key: hung-up\r\n")
    await reader.readuntil(STREAM.chunks[3])

    writer.close()
    again = asyncio.ensure_future(ask(node, headers={"Idempotency-Key": "hung-up"}, stream=True))
    await ask(node, "/deny", stream=True)
    held.set()

    assert (await again).body.endswith(b"data: [DONE]\n\n")
    assert len(models.received) == asked + 1


async def test_another_request_with_the_same_key_is_refused(node: Gateway, models: ModelServer) -> None:
    key = {"Idempotency-Key": "reused"}
    models.play = replay(TEXT)
    await ask(node, headers=key)

    reply = await ask(node, headers=key, temperature=0.5)

    assert (reply.status, message_of(reply)) == (422, "this Idempotency-Key was used with another request")


async def test_a_failed_call_is_asked_anew(node: Gateway, models: ModelServer) -> None:
    key = {"Idempotency-Key": "failed"}
    models.play = plain(b'{"error":{"message":"busy"}}', 503)
    assert (await ask(node, headers=key)).status == 503
    models.play = stream(STREAM.chunks[:4])
    assert b"ended early" in (await ask(node, headers=key)).body

    models.play = replay(TEXT)

    assert (await ask(node, headers=key)).body == TEXT.content


async def test_callers_do_not_share_keys(node: Gateway, models: ModelServer) -> None:
    models.play = replay(TEXT)
    for caller in ("Bearer a", "Bearer b"):
        reply = await ask(node, headers={"Idempotency-Key": "shared", "Authorization": caller})
        assert "idempotency-replayed" not in reply.headers


@pytest.fixture
async def workers(models: ModelServer, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A node of two workers; the kernel spreads connections over them."""
    gateway = await Gateway.start(config(models.url, str(tmp_path / "log")), workers=2)
    yield gateway
    await gateway.stop()


async def test_retries_at_all_workers_are_asked_and_paid_once(workers: Gateway, models: ModelServer) -> None:
    held = asyncio.Event()

    async def later(received: Received, writer: asyncio.StreamWriter) -> bool:
        await held.wait()
        return await replay(TEXT)(received, writer)

    models.play = later
    asked = len(models.received)
    key = {"Idempotency-Key": "spread"}

    running = [asyncio.ensure_future(ask(workers, headers=key)) for _ in range(24)]
    await models.until(asked + 1)
    held.set()
    replies = await asyncio.gather(*running)
    replies += [await ask(workers, headers=key) for _ in range(8)]

    assert {(reply.status, reply.body) for reply in replies} == {(200, TEXT.content)}
    assert len(models.received) == asked + 1
    assert sum("idempotency-replayed" not in reply.headers for reply in replies) == 1
    metrics = await ai_metrics(workers)
    assert growth({}, metrics)["kong_ai_llm_requests_total"] == 1
