"""What clients and providers do wrong, and gzip, which only the gateway sees."""

import asyncio
from typing import Any

import pytest
from tests.support.ai_proxy import STREAM, TEXT, ai_block, ask, message_of
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, gzipped, plain, record_of, replay, stream
from tests.support.recordings import recording

# Errors


@pytest.mark.parametrize(
    "name",
    [
        "synthetic/openai-429-rate-limit",
        "synthetic/openai-500",
        "mistral/chat-error401-mistral-small-latest",
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
async def test_a_provider_s_error_is_passed_on_as_it_is(
    node: Gateway, models: ModelServer, name: str, streamed: bool
) -> None:
    stored = recording(name)
    models.play = replay(stored)

    reply = await ask(node, stream=streamed)

    assert (reply.status, reply.body) == (stored.status, stored.content)
    record = await record_of(node, reply.headers["x-kong-request-id"])
    assert "ai" not in record


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"choices":', b"[]", b'{"error":{"message":"no"}}'])
async def test_an_answer_that_is_none_is_a_500_in_kong_s_words(
    node: Gateway, models: ModelServer, body: bytes
) -> None:
    models.play = plain(body)

    reply = await ask(node)

    words = "transformation failed from type openai://llm/v1/chat: 'choices' not in llm/v1/chat response"
    assert (reply.status, message_of(reply)) == (500, words)
    assert reply.headers["content-type"] == "application/json"


async def test_a_provider_that_is_down_is_a_502(node: Gateway) -> None:
    assert (await ask(node, "/dead")).status == 502
    assert (await ask(node, "/dead", stream=True)).status == 502


async def test_an_answer_that_is_cut_is_a_502(node: Gateway, models: ModelServer) -> None:
    async def cut(_: Any, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{")
        return False

    models.play = cut

    assert (await ask(node)).status == 502


NO_PROMPTS = "request body doesn't contain valid prompts"


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/openai", b"", NO_PROMPTS),
        ("/openai", b"{", NO_PROMPTS),
        ("/openai", b"[]", NO_PROMPTS),
        ("/openai", b"{}", NO_PROMPTS),
        ("/openai", b'{"messages":[]}', NO_PROMPTS),
        ("/openai", b'{"\xff":1}', NO_PROMPTS),
        ("/openai", b'{"messages":[1],"prompt":"x"}', "request matches multiple LLM request formats"),
        (
            "/openai",
            b'{"prompt":"x"}',
            "[llm/v1/completions] message format is not compatible with [llm/v1/chat] route type",
        ),
        ("/openai", b'{"messages":[1],"model":"other"}', "cannot use own model - must be: gpt-4o-mini"),
        ("/own", b'{"messages":[1]}', "model parameter not found in request, nor in gateway configuration"),
    ],
)
async def test_a_request_that_is_no_chat_is_refused(
    node: Gateway, models: ModelServer, path: str, body: bytes, message: str
) -> None:
    asked = len(models.received)

    reply = await node.request("POST", path, {"Content-Type": "application/json"}, body)

    assert (reply.status, message_of(reply)) == (400, message)
    assert len(models.received) == asked


async def test_another_content_type_is_refused(node: Gateway) -> None:
    reply = await node.request("POST", "/openai", {"Content-Type": "text/plain"}, b'{"messages":[1]}')

    assert (reply.status, message_of(reply)) == (400, NO_PROMPTS)


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/small", 19_000, 200),
        ("/small", 21_000, 400),
        ("/openai", 500_000, 200),
        ("/openai", 1_100_000, 400),
    ],
)
async def test_bodies_beyond_the_limit_are_refused(
    node: Gateway, models: ModelServer, path: str, size: int, status: int
) -> None:
    models.play = replay(TEXT)

    reply = await ask(node, path, messages=[{"role": "user", "content": "x" * size}])

    assert reply.status == status
    if status == 400:
        assert message_of(reply) == NO_PROMPTS


# Gzip


@pytest.mark.parametrize("accepts", [{}, {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "br"}])
@pytest.mark.parametrize("stored", [TEXT, STREAM], ids=["whole", "streamed"])
async def test_gzip_between_gateway_and_provider_is_invisible(
    node: Gateway, models: ModelServer, stored: Any, accepts: dict[str, str]
) -> None:
    models.play = gzipped(stored)

    reply = await ask(node, headers=accepts, stream=stored.streamed, stream_options={"include_usage": True})

    assert models.last.headers["accept-encoding"] == "gzip, identity"
    assert reply.body == stored.content
    assert "content-encoding" not in reply.headers
    assert (await ai_block(node, reply))["usage"]["completion_tokens"] > 0


async def test_an_error_in_gzip_is_readable_for_whoever_did_not_ask_for_it(
    node: Gateway, models: ModelServer
) -> None:
    stored = recording("synthetic/openai-429-rate-limit")
    models.play = gzipped(stored)

    for streamed in (True, False):
        reply = await ask(node, stream=streamed)
        assert (reply.status, reply.body) == (429, stored.content)
        assert "content-encoding" not in reply.headers


async def test_gzip_that_breaks_before_the_first_content_is_an_error(
    node: Gateway, models: ModelServer
) -> None:
    models.play = stream((b"\x1f\x8b\x08\x00", b"broken gzip"), fields="Content-Encoding: gzip\r\n")

    reply = await ask(node, stream=True)

    assert reply.status in (500, 502)  # by whether all of it came at once
    assert message_of(reply)
