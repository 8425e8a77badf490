"""Cohere's own chat: recorded answers, and its SDK as a client of what is written."""

from typing import Any

import msgspec
import pytest
from cohere import AsyncClientV2
from cohere.core.api_error import ApiError
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.recordings import Recording, recording, recordings
from tests.support.servers import answering
from tests.support.streams import cut_anywhere, decoded, encoded, events_in, gathered, said

from tollhouse.llm.chat import (
    Chat,
    Delta,
    Failed,
    Finish,
    OtherPart,
    Ping,
    Start,
    Text,
    Thinking,
    ToolArguments,
    ToolCall,
    ToolStart,
)
from tollhouse.llm.cost import Rates
from tollhouse.llm.form import Form, Problem, Unreadable
from tollhouse.llm.formats import cohere_chat
from tollhouse.llm.formats.cohere_chat import (
    decode_error,
    decode_response,
    encode_error,
    encode_response,
    stream_decoder,
)
from tollhouse.pdk.usage import Usage

FORM: Form = cohere_chat
ALL = recordings("cohere.chat")
WHOLE = [r for r in ALL if r.status == 200 and not r.streamed]
STREAMS = [r for r in ALL if r.status == 200 and r.streamed]
REASONS = {"COMPLETE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}


def named(found: list[Recording]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("stored", found, ids=[r.name for r in found])


def used(told: dict[str, Any]) -> Usage:
    tokens, billed = told["tokens"], told["billed_units"]
    return Usage(
        tokens["input_tokens"],
        tokens["output_tokens"],
        told.get("cached_tokens", 0),
        tokens.get("reasoning_tokens", 0),
        billed=(billed["input_tokens"], billed["output_tokens"]),
    )


@named(WHOLE)
def test_a_whole_answer_is_read_and_survives_its_own_form(stored: Recording) -> None:
    body = msgspec.json.decode(stored.content)
    message = body["message"]
    content = message.get("content") or []

    chat = decode_response(stored.content)

    text, thoughts, calls = said(chat.parts)
    assert text == "".join(piece.get("text", "") for piece in content)
    thinking = "".join(piece.get("thinking", "") for piece in content)
    assert thoughts == message.get("tool_plan", "") + thinking
    told = message.get("tool_calls") or []
    assert calls == [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in told]
    assert (chat.id, chat.reason, chat.usage) == (
        body["id"],
        REASONS[body["finish_reason"]],
        used(body["usage"]),
    )
    again = encode_response(chat)
    assert again["message"].get("citations") == message.get("citations")
    assert decode_response(msgspec.json.encode(again)) == chat


@named(STREAMS)
def test_a_stream_is_read_from_start_to_finish(stored: Recording) -> None:
    first, *others, last = events_in(stored.content)
    changes = [event["delta"]["message"] for event in others if "delta" in event]
    content = [change["content"] for change in changes if "content" in change]
    calls = [change["tool_calls"] for change in changes if "tool_calls" in change]

    start, *deltas, end = decoded(FORM, stored.content)

    assert start == Start("", first["id"])
    text, thoughts, found = gathered(deltas)
    assert text == "".join(piece.get("text", "") for piece in content)
    plans = "".join(change.get("tool_plan", "") for change in changes)
    assert thoughts == plans + "".join(piece.get("thinking", "") for piece in content)
    assert [(id_, name) for id_, name, _ in found] == [
        (call["id"], call["function"]["name"]) for call in calls if "id" in call
    ]
    arguments = "".join(call["function"]["arguments"] for call in calls)
    # A function that takes nothing is called without a word of that.
    assert "".join(text for *_, text in found) == (arguments or "{}" if calls else "")
    assert all(isinstance(msgspec.json.decode(text), dict) for *_, text in found)
    assert end == Finish(REASONS[last["delta"]["finish_reason"]], used(last["delta"]["usage"]))  # type: ignore[arg-type]


@named(STREAMS)
@settings(max_examples=30)
@given(data=st.data())
def test_where_the_network_cuts_a_stream_changes_no_delta(stored: Recording, data: st.DataObject) -> None:
    content = stored.content

    assert decoded(FORM, *cut_anywhere(data, content)) == decoded(FORM, content)


@named(STREAMS)
def test_a_stream_survives_its_own_form(stored: Recording) -> None:
    deltas = decoded(FORM, stored.content)

    again = decoded(FORM, encoded(FORM, *deltas))

    assert gathered(again) == gathered(deltas)
    assert again[-1] == deltas[-1]


def test_what_is_billed_costs_not_what_is_counted() -> None:
    usage = decode_response(recording("cohere/chat-text-command-r7b-12-2024").content).usage

    assert usage is not None
    assert (usage.prompt_tokens, usage.billed) == (496, (1, 9))
    assert Rates.flat(2_000_000, 10_000_000).nano_usd(usage) == 1 * 2 + 9 * 10


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"billed_units": {"input_tokens": 3.0, "output_tokens": 2.0}}, Usage(3, 2, billed=(3, 2))),
        ({"tokens": {"input_tokens": 3, "output_tokens": 2}, "cached_tokens": 9}, Usage(3, 2, 3)),
        ({"billed_units": {"search_units": 1}}, None),
        ({}, None),
    ],
)
def test_counts(told: dict[str, Any], usage: Usage | None) -> None:
    body = {"id": "x", "message": {"content": []}, "finish_reason": "COMPLETE", "usage": told}

    assert decode_response(msgspec.json.encode(body)).usage == usage


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        ("cohere/chat-error400-command-a-03-2025", "context_length"),
        ("cohere/chat-error401-command-a-03-2025", "upstream_auth"),
        ("cohere/embed-error404-nonexistent", "not_found"),
        ("synthetic/cohere-429", "rate_limit"),
    ],
)
def test_errors(name: str, trouble: str) -> None:
    stored = recording(name)

    problem = decode_error(stored.status, stored.content, stored.headers)

    assert (problem.trouble, problem.status) == (trouble, stored.status)
    assert problem.message
    assert decode_error(503, b"<html>", {}).message == "<html>"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "truncated"),
        (b'{"id":"x"}', "message"),
        (b'{"message":{},"finish_reason":"ERROR"}', "failed to answer"),
        (b'{"message":{},"finish_reason":"TIMEOUT"}', "too long"),
    ],
)
def test_what_is_no_answer_is_unreadable(body: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        decode_response(body)


def events(*told: dict[str, Any]) -> bytes:
    return b"".join([b"data: " + msgspec.json.encode(event) + b"\n\n" for event in told])


BEGUN = {"type": "message-start", "id": "x", "delta": {"message": {"role": "assistant", "content": []}}}
USAGE = {"tokens": {"input_tokens": 9, "output_tokens": 2}}


def ended(reason: str, **members: Any) -> dict[str, Any]:
    return {"type": "message-end", "delta": {"finish_reason": reason, "usage": USAGE, **members}}


CALL = {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": {"id": "c"}}}}


@pytest.mark.parametrize(
    ("told", "end"),
    [
        ([BEGUN, ended("COMPLETE")], Finish("stop", Usage(9, 2))),
        ([BEGUN, ended("STOP_SEQUENCE")], Finish("stop", Usage(9, 2), "")),
        ([BEGUN, ended("MAX_TOKENS")], Finish("length", Usage(9, 2))),
        ([BEGUN, CALL, ended("MAX_TOKENS")], Finish("length", Usage(9, 2))),
        ([BEGUN, CALL, ended("COMPLETE")], Finish("tool_calls", Usage(9, 2))),
        ([BEGUN, ended("ERROR_TOXIC")], Finish("content_filter", Usage(9, 2))),
        ([BEGUN, ended("ERROR", error="boom")], Failed("boom", "upstream_error", Usage(9, 2))),
        ([BEGUN, ended("TIMEOUT")], Failed("the provider took too long", "timeout", Usage(9, 2))),
        ([BEGUN], Failed("the provider's stream ended early")),
        ([BEGUN, {"message": "trial key"}], Failed("trial key")),
    ],
)
def test_how_streams_end(told: list[dict[str, Any]], end: Delta) -> None:
    deltas = decoded(FORM, events(*told))

    assert deltas[-1] == end
    assert sum(isinstance(delta, Finish | Failed) for delta in deltas) == 1


def test_one_event_that_cannot_be_read_is_skipped() -> None:
    decoder = stream_decoder()
    stream = events(BEGUN) + b"data: {oops\n\ndata: 7\n\n" + events(ended("COMPLETE")) + b"data: [DONE]\n\n"

    deltas = decoder.feed(stream) + decoder.end()

    assert deltas == [Start("", "x"), Finish("stop", Usage(9, 2))]
    assert decoder.skipped == 2


# For a client

DELTAS: list[Delta] = [
    Start("m", "x"),
    Thinking("hm"),
    Thinking("", "proof"),
    Text("h"),
    Text("i"),
    Ping(),
    ToolStart(0, "a", "f"),
    ToolStart(1, "b", "g"),
    ToolArguments(1, "{}"),
    ToolArguments(0, '{"x":1}'),
    Finish("tool_calls", Usage(9, 4, 3, 2, billed=(5, 4))),
]


def test_the_events_of_a_stream_come_in_the_order_of_cohere() -> None:
    stream = encoded(FORM, *DELTAS)

    assert [event["type"] for event in events_in(stream)] == [
        "message-start",
        "content-start",
        "content-delta",
        "content-end",
        "content-start",
        "content-delta",
        "content-delta",
        "content-end",
        "tool-call-start",
        "tool-call-start",
        "tool-call-delta",
        "tool-call-delta",
        "tool-call-end",
        "tool-call-end",
        "message-end",
    ]
    assert stream.endswith(b"data: [DONE]\n\n")
    assert stream.count(b"event: ") == 15
    assert gathered(decoded(FORM, stream)) == ("hi", "hm", [("a", "f", '{"x":1}'), ("b", "g", "{}")])


async def test_the_sdk_reads_a_stream() -> None:
    async with answering(encoded(FORM, *DELTAS), FORM.STREAM_TYPE) as address:
        client = AsyncClientV2(api_key="k", base_url=address)
        messages: Any = [{"role": "user", "content": "x"}]
        found = [event async for event in client.chat_stream(model="m", messages=messages)]

    text = ""
    for event in found:
        if event.type == "content-delta":
            assert event.delta is not None
            assert event.delta.message is not None
            assert event.delta.message.content is not None
            text += event.delta.message.content.text or ""
    last = found[-1]
    assert text == "hi"
    assert last.type == "message-end"
    assert last.delta is not None
    assert last.delta.finish_reason == "TOOL_CALL"
    assert last.delta.usage is not None
    assert last.delta.usage.billed_units is not None
    assert last.delta.usage.billed_units.input_tokens == 5
    assert last.delta.usage.cached_tokens == 3


async def test_the_sdk_reads_whole_answers_and_errors() -> None:
    parts = (Thinking("hm"), Text("hi"), ToolCall("a", "f", "{}"), OtherPart("x", {}))
    chat = Chat(model="m", parts=parts, reason="tool_calls", usage=Usage(9, 2), id="x")
    refused = encode_error(Problem("invalid_request", "no such thing"))
    messages: Any = [{"role": "user", "content": "x"}]
    async with answering(msgspec.json.encode(encode_response(chat)), "application/json") as address:
        client = AsyncClientV2(api_key="k", base_url=address)
        answer = await client.chat(model="m", messages=messages)
    async with answering(refused.body, "application/json", refused.status) as address:
        client = AsyncClientV2(api_key="k", base_url=address)
        with pytest.raises(ApiError) as raised:
            await client.chat(model="m", messages=messages)

    assert answer.message.content is not None
    assert [piece.type for piece in answer.message.content] == ["thinking", "text"]
    assert answer.message.tool_calls is not None
    assert answer.finish_reason == "TOOL_CALL"
    assert answer.usage is not None
    assert answer.usage.tokens is not None
    assert answer.usage.tokens.output_tokens == 2
    assert raised.value.body == {"message": "no such thing"}


@pytest.mark.parametrize(
    ("failed", "reason"),
    [
        (Failed("gone", "overloaded", Usage(9, 1)), "ERROR"),
        (Failed("gone", "timeout"), "TIMEOUT"),
    ],
)
def test_a_stream_that_breaks_off_says_so(failed: Failed, reason: str) -> None:
    stream = encoded(FORM, Start("m", "x"), Text("h"), failed)

    last = events_in(stream)[-1]
    assert (last["delta"]["finish_reason"], last["delta"]["error"]) == (reason, "gone")
    assert b"[DONE]" not in stream
    assert isinstance(decoded(FORM, stream)[-1], Failed)


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (Finish("stop"), "COMPLETE"),
        (Finish("stop", stop_sequence="x"), "STOP_SEQUENCE"),
        (Finish("length"), "MAX_TOKENS"),
        (Finish("content_filter"), "ERROR_TOXIC"),
    ],
)
def test_reasons_for_a_client(finish: Finish, reason: str) -> None:
    chat = Chat(model="m", parts=(), reason=finish.reason, stop_sequence=finish.stop_sequence)

    assert events_in(encoded(FORM, Start("m"), finish))[-1]["delta"] == {"finish_reason": reason}
    assert encode_response(chat)["finish_reason"] == reason


@given(garbage=st.binary(max_size=60), cut=st.integers(0, 60))
def test_garbage_is_a_failure_and_never_an_exception(garbage: bytes, cut: int) -> None:
    for stream in (garbage, b"data: " + garbage + b"\n\n", garbage + b"\n"):
        assert isinstance(decoded(FORM, stream[:cut], stream[cut:])[-1], Failed)
    with pytest.raises(Unreadable):
        decode_response(b"<" + garbage)
