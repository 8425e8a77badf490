"""One target fails and another answers; the client sees nothing of it, and every bill is kept."""

import asyncio
from typing import Any

import pytest
from tests.support.ai_proxy import STREAM, TEXT, ask, events, message_of
from tests.support.gateway import Gateway
from tests.support.models import ai_metrics, hanging, plain, record_of, replay, silent, stream
from tests.support.recordings import recording
from tests.support.targets import Servers
from tests.support.upstream import Received

CLAUDE_TEXT = recording("anthropic/messages-text-claude-opus-4-6")
CLAUDE = recording("anthropic/messages-stream-text-claude-3-5-haiku-20241022")
#: lifecycle events, which say what the prompt costs
BEFORE = b"".join(CLAUDE.chunks).partition(b"event: content_block_delta")[0]
BUSY = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n'


@pytest.mark.parametrize("status", [403, 404, 429, 500, 502, 503, 504])
async def test_a_listed_status_leads_to_the_next_target(node: Gateway, servers: Servers, status: int) -> None:
    servers.openai.play = plain(b'{"error":{"message":"no"}}', status)
    servers.claude.play = replay(CLAUDE_TEXT)

    reply = await ask(node, "/first")

    assert reply.status == 200
    assert reply.headers["x-kong-llm-model"] == "anthropic/claude-haiku-4-5"
    body: Any = reply.json()
    assert body["choices"][0]["message"]["content"]
    sent = servers.claude.last
    assert sent.headers["x-api-key"] == "claude-key"
    assert "authorization" not in sent.headers
    assert servers.claude.last_body["model"] == "claude-haiku-4-5"


async def test_a_status_that_is_not_listed_is_the_clients(node: Gateway, servers: Servers) -> None:
    servers.openai.play = plain(b'{"error":{"message":"no such field"}}', 400)
    before = servers.asked

    assert (await ask(node, "/first")).status == 400
    servers.openai.play = plain(b'{"error":{"message":"slow down"}}', 429, "Retry-After: 7")
    reply = await ask(node, "/usual")

    assert (reply.status, reply.headers["retry-after"]) == (429, "7")
    assert servers.asked == (before[0] + 2, before[1])


async def test_who_cannot_be_reached_is_passed_over(node: Gateway, servers: Servers) -> None:
    servers.claude.play = replay(CLAUDE_TEXT)

    reply = await ask(node, "/dead")

    assert reply.status == 200
    record = await record_of(node, reply.headers["x-kong-request-id"])
    assert [(attempt["port"], attempt.get("state")) for attempt in record["tries"]] == [
        (1, "failed"),
        (servers.claude.port, None),
    ]
    tried = record["ai"]["proxy"]["tried_targets"]
    assert [(each["provider"], each["port"], each["upstream_uri"]) for each in tried] == [
        ("openai", 1, "/v1/chat/completions"),
        ("anthropic", servers.claude.port, "/v1/messages"),
    ]
    assert tried[0]["description"] == "the usual"


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_target_that_says_nothing_is_given_up(
    node: Gateway, servers: Servers, streamed: bool
) -> None:
    servers.openai.play = silent
    servers.claude.play = replay(CLAUDE if streamed else CLAUDE_TEXT)

    reply = await ask(node, "/first", stream=streamed)

    assert reply.status == 200
    assert b"error" not in reply.body


@pytest.mark.parametrize(
    "fault",
    [
        stream([STREAM.chunks[0]]),
        stream([STREAM.chunks[0]], end=b""),
        hanging(STREAM.chunks[0]),
        stream([STREAM.chunks[0], b'data: {"error":{"message":"x","code":"rate_limit_exceeded"}}\n\n']),
        plain(b"<html>"),
        stream([b"nonsense"], end=b"no chunk\r\n"),
    ],
    ids=["ended", "cut", "stalled", "error event", "no stream", "garbage"],
)
async def test_a_stream_that_fails_before_its_first_content_is_another_targets(
    node: Gateway, servers: Servers, fault: Any
) -> None:
    servers.openai.play = fault
    servers.claude.play = replay(CLAUDE)

    reply = await ask(node, "/first", stream=True)

    assert reply.status == 200
    assert reply.headers["x-tollhouse-provider"] == "anthropic"
    assert reply.body.endswith(b"data: [DONE]\n\n")
    said = events(reply.body)
    assert {event["model"] for event in said} == {said[0]["model"]}
    assert not any("error" in event for event in said)


async def test_an_answer_that_cannot_be_read_is_another_targets(node: Gateway, servers: Servers) -> None:
    servers.openai.play = plain(b"<html>not JSON</html>")
    servers.claude.play = replay(CLAUDE_TEXT)

    assert (await ask(node, "/first")).status == 200


async def test_every_attempt_that_was_billed_is_metered(node: Gateway, servers: Servers) -> None:
    servers.claude.play = stream([BEFORE, BUSY])
    servers.openai.play = replay(STREAM)
    before = await ai_metrics(node)

    reply = await ask(node, "/claude-first", stream=True)

    assert reply.status == 200
    record = await record_of(node, reply.headers["x-kong-request-id"])
    (earlier,) = record["ai"]["earlier_calls"]
    assert (earlier["provider"], earlier["model"]) == ("anthropic", "claude-haiku-4-5")
    assert earlier["error"] == "overloaded"
    assert earlier["tokens"]["prompt_tokens"] > 0
    assert earlier["cost_nano_usd"] > 0
    after = await ai_metrics(node)
    series = next(
        name
        for name in after
        if name.startswith("kong_ai_llm_tokens_total")
        and "claude-haiku" in name
        and 'token_type="prompt_tokens"' in name
    )
    assert after[series] - before.get(series, 0) == earlier["tokens"]["prompt_tokens"]


#: what an attempt was estimated to have read: five words
READ = 9
CUT_TEXT = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{"choices": ['


async def cut_off(_: Received, writer: asyncio.StreamWriter) -> bool:
    writer.write(CUT_TEXT)
    return False


@pytest.mark.parametrize(
    ("fault", "streamed", "word", "written"),
    [
        (stream([STREAM.chunks[0]]), True, "upstream_error", 0),
        (stream([STREAM.chunks[0]], end=b""), True, "error", 0),
        (hanging(STREAM.chunks[0]), True, "timeout", 0),
        (plain(b"<html>not JSON</html>"), False, "error", 6),
        (cut_off, False, "error", 0),
    ],
    ids=["ended", "cut", "stalled", "garbled", "cut within its body"],
)
async def test_an_attempt_whose_usage_was_not_told_is_estimated(
    node: Gateway, servers: Servers, fault: Any, streamed: bool, word: str, written: int
) -> None:
    servers.openai.play = fault
    servers.claude.play = replay(CLAUDE if streamed else CLAUDE_TEXT)
    before = await ai_metrics(node)

    reply = await ask(node, "/first", stream=streamed)

    record = await record_of(node, reply.headers["x-kong-request-id"])
    (earlier,) = record["ai"]["earlier_calls"]
    assert (earlier["provider"], earlier["model"], earlier["error"]) == ("openai", "gpt-4o-mini", word)
    tokens = earlier["tokens"]
    assert (tokens["prompt_tokens"], tokens.get("completion_tokens", 0)) == (READ, written)
    assert earlier["usage_source"] == "estimated"
    assert earlier["cost_nano_usd"] == READ * 150 + written * 600
    after = await ai_metrics(node)
    series = next(
        name
        for name in after
        if name.startswith("kong_ai_llm_tokens_total")
        and "gpt-4o-mini" in name
        and 'token_type="prompt_tokens"' in name
    )
    assert after[series] - before.get(series, 0) == READ


@pytest.mark.parametrize("fault", [plain(b"<html>not JSON</html>"), cut_off], ids=["garbled", "cut"])
async def test_so_is_the_last_attempt(node: Gateway, servers: Servers, fault: Any) -> None:
    servers.openai.play = fault

    reply = await ask(node, "/once")

    assert reply.status in (500, 502)
    record = await record_of(node, reply.headers["x-kong-request-id"])
    assert record["ai"]["proxy"]["usage"]["prompt_tokens"] == READ


@pytest.mark.parametrize(
    ("fault", "streamed"),
    [
        (plain(b'{"error":{"message":"no"}}', 503), False),
        (plain(b'{"error":{"message":"no"}}', 429), True),
        (stream([b'data: {"error":{"message":"x","code":"rate_limit_exceeded"}}\n\n']), True),
        (silent, False),
    ],
    ids=["503", "429", "error event", "no answer"],
)
async def test_an_attempt_that_was_refused_costs_nothing(
    node: Gateway, servers: Servers, fault: Any, streamed: bool
) -> None:
    servers.openai.play = fault
    servers.claude.play = replay(CLAUDE if streamed else CLAUDE_TEXT)

    reply = await ask(node, "/first", stream=streamed)

    record = await record_of(node, reply.headers["x-kong-request-id"])
    assert "earlier_calls" not in record["ai"]
    assert len(record["ai"]["proxy"]["tried_targets"]) == 2


async def test_what_fails_within_its_answer_ends_with_an_error_event(node: Gateway, servers: Servers) -> None:
    servers.openai.play = stream(STREAM.chunks[:4], end=b"")
    before = servers.asked

    reply = await ask(node, "/first", stream=True)

    assert events(reply.body)[-1]["error"]
    assert b"[DONE]" not in reply.body
    assert servers.asked == (before[0] + 1, before[1])


async def test_clients_of_another_form_see_only_their_own(node: Gateway, servers: Servers) -> None:
    servers.openai.play = stream([STREAM.chunks[0]], end=b"")
    servers.claude.play = replay(CLAUDE)

    reply = await ask(node, "/messages", stream=True, max_tokens=50)

    assert reply.body == b"".join(CLAUDE.chunks)


async def test_the_last_failure_is_the_clients(node: Gateway, servers: Servers) -> None:
    servers.openai.play = plain(b'{"error":{"message":"out"}}', 503)
    busy = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'
    servers.claude.play = plain(busy, 429, "Retry-After: 3")

    reply = await ask(node, "/first")

    assert (reply.status, message_of(reply), reply.headers["retry-after"]) == (429, "slow down", "3")
    assert reply.headers["x-should-retry"] == "false"  # all targets have been asked


async def test_no_more_targets_are_asked_than_allowed(node: Gateway, servers: Servers) -> None:
    servers.openai.play = plain(b'{"error":{"message":"out"}}', 503)
    before = servers.asked

    reply = await ask(node, "/once")

    assert reply.status == 503
    assert "x-should-retry" not in reply.headers
    assert servers.asked == (before[0] + 1, before[1])


async def test_what_a_target_cannot_express_is_asked_of_another(node: Gateway, servers: Servers) -> None:
    servers.openai.play = replay(TEXT)
    before = servers.asked

    reply = await ask(node, "/claude-first", logprobs=True)

    assert reply.status == 200
    assert servers.asked == (before[0] + 1, before[1])


async def test_a_call_that_may_do_something_is_made_once_unless_the_settings_allow_more(
    node: Gateway, servers: Servers
) -> None:
    servers.openai.play = plain(b'{"error":{"message":"out"}}', 503)
    servers.claude.play = replay(CLAUDE_TEXT)

    assert (await ask(node, "/preserve")).status == 503
    assert (await ask(node, "/preserve-twice")).status == 200


async def test_a_retry_gets_the_answer_that_came_in_the_end(node: Gateway, servers: Servers) -> None:
    servers.openai.play = plain(b'{"error":{"message":"out"}}', 503)
    servers.claude.play = replay(CLAUDE_TEXT)
    key = {"Idempotency-Key": "failed-over"}
    first = await ask(node, "/first", headers=key)
    before = servers.asked

    again = await ask(node, "/first", headers=key)

    assert (again.status, again.body) == (200, first.body)
    assert servers.asked == before
