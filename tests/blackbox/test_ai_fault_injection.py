"""Drills: answers that go wrong on purpose, in the form of every client, whole and streamed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.support.gateway import Gateway, Reply

from tollhouse.llm.conformity import Said, deltas_of, said_streamed
from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.provider import FormName

CONFIG = """
_format_version: "3.0"
services:
- name: drill
  url: http://127.0.0.1:1
  routes: [{name: drill, paths: [/drill]}]
  plugins:
  - {name: ai-fault-injection, config: {text: one two three four, slow_delay: 50, retry_after: 9}}
- name: fixed
  url: http://127.0.0.1:1
  routes: [{name: fixed, paths: [/fixed]}]
  plugins: [{name: ai-fault-injection, config: {fault: "429", header_name: null, llm_format: anthropic}}]
"""
_USER = [{"role": "user", "content": "hello"}]
_PARTS = [{"role": "user", "parts": [{"text": "hello"}]}]
_BLOCKS = [{"role": "user", "content": [{"text": "hello"}]}]
#: path and body of a chat, whole and streamed
ASKED: dict[FormName, tuple[str, str, dict[str, Any]]] = {
    "openai_chat": (
        "/v1/chat/completions",
        "",
        {"messages": _USER, "stream_options": {"include_usage": True}},
    ),
    "openai_responses": ("/v1/responses", "", {"input": "hello"}),
    "anthropic_messages": ("/v1/messages", "", {"messages": _USER, "max_tokens": 9}),
    "cohere_chat": ("/v2/chat", "", {"messages": _USER}),
    "ollama_chat": ("/api/chat", "", {"messages": _USER}),
    "gemini": (
        "/v1beta/models/gemini-x:generateContent",
        "/v1beta/models/gemini-x:streamGenerateContent?alt=sse",
        {"contents": _PARTS},
    ),
    "bedrock_converse": ("/model/m/converse", "/model/m/converse-stream", {"messages": _BLOCKS}),
}
FORM_NAMES = list(ASKED)


@pytest.fixture(scope="module")
async def node() -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG)
    yield gateway
    await gateway.stop()


async def ask(node: Gateway, form: FormName, fault: str = "none", *, stream: bool) -> Reply:
    whole, streamed, body = ASKED[form]
    members = {"model": "any", **body}
    if not streamed:
        members["stream"] = stream
    if not stream:
        members.pop("stream_options", None)
    path = streamed if stream and streamed else whole
    fields = {"Content-Type": "application/json", "X-Tollhouse-Fault": fault}
    return await node.request("POST", f"/drill{path}", fields, msgspec.json.encode(members))


def said(form: FormName, reply: Reply) -> Said:
    return said_streamed(deltas_of(FORMS[form], [reply.body]))


@pytest.mark.parametrize("form", FORM_NAMES)
async def test_a_stream_without_a_fault_is_whole(node: Gateway, form: FormName) -> None:
    reply = await ask(node, form, stream=True)

    assert reply.headers["content-type"].startswith(FORMS[form].STREAM_TYPE)
    found = said(form, reply)
    assert (found.failed, found.text, found.reason) == ("", "one two three four", "stop")
    assert found.tokens == (1, 4)


@pytest.mark.parametrize("form", FORM_NAMES)
async def test_so_is_an_answer_in_one(node: Gateway, form: FormName) -> None:
    chat = FORMS[form].decode_response((await ask(node, form, stream=False)).body)

    assert "".join(getattr(part, "text", "") for part in chat.parts) == "one two three four"


@pytest.mark.parametrize("form", FORM_NAMES)
async def test_an_error_event_comes_in_the_clients_form(node: Gateway, form: FormName) -> None:
    reply = await ask(node, form, "error", stream=True)

    assert reply.status == 200
    assert "drilled" in said(form, reply).failed
    assert (await ask(node, form, "error", stream=False)).status in (500, 502)


@pytest.mark.parametrize("form", FORM_NAMES)
async def test_a_429_is_the_clients_own(node: Gateway, form: FormName) -> None:
    reply = await ask(node, form, "429", stream=True)

    assert (reply.status, reply.headers["retry-after"]) == (429, "9")
    assert b"drilled" in reply.body


@pytest.mark.parametrize("form", FORM_NAMES)
async def test_usage_may_be_wrong_and_events_unreadable(node: Gateway, form: FormName) -> None:
    assert said(form, await ask(node, form, "wrong-usage", stream=True)).tokens == (10, 40)
    decoder = FORMS[form].stream_decoder()
    deltas = decoder.feed((await ask(node, form, "garble", stream=True)).body)
    failed = said_streamed([*deltas, *decoder.end()]).failed
    assert decoder.skipped or failed


@pytest.mark.parametrize("stream", [True, False])
async def test_a_cut_answer_has_no_end(node: Gateway, stream: bool) -> None:
    with pytest.raises((asyncio.IncompleteReadError, AssertionError, ConnectionError)):
        await ask(node, "openai_chat", "cut", stream=stream)


async def test_a_stalled_answer_says_nothing_more(node: Gateway) -> None:
    reader, writer = await asyncio.open_connection(*node.proxy)
    body = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}'
    head = f"POST /drill/v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}X-Tollhouse-Fault: stall\r\n\r\n".encode() + body)

    assert b"one" in await reader.readuntil(b"one")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await reader.readuntil(b"[DONE]")
    writer.close()


async def test_a_slow_answer_comes_in_the_end(node: Gateway) -> None:
    assert said("openai_chat", await ask(node, "openai_chat", "slow", stream=True)).text


async def test_a_fault_that_nobody_knows_is_refused(node: Gateway) -> None:
    reply = await ask(node, "openai_chat", "fire", stream=True)

    assert reply.status == 400
    assert b"X-Tollhouse-Fault: expected one of" in reply.body


async def test_a_route_can_have_one_fault_for_all(node: Gateway) -> None:
    fields = {"Content-Type": "application/json", "X-Tollhouse-Fault": "none"}
    body = msgspec.json.encode({"model": "m", "max_tokens": 9, "messages": _USER})

    reply = await node.request("POST", "/fixed", fields, body)

    assert reply.status == 429
    answer: Any = reply.json()
    assert answer["type"] == "error"
