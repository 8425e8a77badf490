"""ai-response-transformer: a model rewrites what comes out."""

import json

import pytest
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, plain
from tests.support.transformers import said
from tests.support.upstream import Upstream


async def test_the_client_gets_the_model_s_words_for_the_service_s(
    node: Gateway, models: ModelServer, service: Upstream
) -> None:
    models.play = plain(said("better words"))
    reply = await node.request("GET", "/answer/y?z=1", {"Accept-Encoding": "gzip", "X-Asked": "1"})
    assert (reply.status, reply.body) == (201, b"better words")
    assert (reply.headers["content-type"], reply.headers["x-own"]) == ("text/x-own", "yes")
    assert "etag" not in reply.headers
    assert reply.headers["content-length"] == "12"
    assert "x-kong-response-latency" in reply.headers
    assert models.last_body["messages"][1]["content"] == "the service's own words"
    received = service.received[-1]
    assert (received.target, received.headers["x-asked"]) == ("/y?z=1", "1")
    assert "accept-encoding" not in received.headers


async def test_the_model_may_settle_status_and_headers(node: Gateway, models: ModelServer) -> None:
    told = {"status": 418, "headers": {"Content-Type": "text/tea", "X-Model": "1"}, "body": "tea"}
    models.play = plain(said(json.dumps(told)))
    reply = await node.request("GET", "/told")
    assert (reply.status, reply.body) == (418, b"tea")
    assert reply.headers["content-type"] == "text/tea"
    assert (reply.headers["x-model"], reply.headers["x-own"]) == ("1", "yes")


async def test_what_the_model_does_not_settle_is_as_in_kong(node: Gateway, models: ModelServer) -> None:
    told = '{"headers": {"X-Model": "a"}}'
    models.play = plain(said(told))
    reply = await node.request("GET", "/told")
    assert (reply.status, reply.body.decode(), reply.headers["x-model"]) == (200, told, "a")


async def test_line_breaks_within_a_body_are_taken(node: Gateway, models: ModelServer) -> None:
    models.play = plain(said('{"body": "<a>\n</a>"}'))
    assert (await node.request("GET", "/told")).body == b"<a>\n</a>"


async def test_no_instructions_at_all_are_told_in_kong_s_words(node: Gateway, models: ModelServer) -> None:
    models.play = plain(said("sorry"))
    reply = await node.request("GET", "/told")
    words = "failed to parse JSON response instructions from AI backend: "
    found = "Expected value but found invalid token at character 1"
    assert reply.json() == {"error": {"message": words + found}}


@pytest.mark.parametrize(
    "instructions",
    [
        "no JSON",
        "[]",
        '{"status": 42}',
        '{"headers": {"X-A": "a\\r\\nX-B: b"}}',
        '{"headers": {"Content-Length": "5"}}',
        '{"headers": {"X A": "a"}}',
        '{"status": "200"}',
    ],
)
async def test_instructions_that_make_no_answer_are_a_failure(
    node: Gateway, models: ModelServer, instructions: str
) -> None:
    models.play = plain(said(instructions))
    reply = await node.request("GET", "/told")
    assert reply.status == 500
    message = reply.json()["error"]["message"]  # type: ignore[index]
    assert message.startswith("failed to parse JSON response instructions from AI backend: ")
