"""OpenAI's responses: recorded ones, read and written; its SDK reads what is written."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI, BadRequestError
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from tests.support.recordings import Recording, recording, recordings
from tests.support.servers import answering
from tests.support.streams import cut_anywhere, decoded, encoded, events_in, gathered, said

from tollhouse.llm.chat import (
    Chat,
    Failed,
    Finish,
    OtherPart,
    Start,
    Text,
    Thinking,
    ToolCall,
)
from tollhouse.llm.form import Form, Problem, Unreadable
from tollhouse.llm.formats import openai_responses
from tollhouse.llm.formats.openai_responses import (
    decode_error,
    decode_request,
    decode_response,
    encode_error,
    encode_request,
    encode_response,
)
from tollhouse.pdk.usage import Usage

FORM: Form = openai_responses
ALL = recordings("responses")
#: of a response that is still to be made
QUEUED = "openai-responses/responses-text-gpt-4o"
WHOLE = [r for r in ALL if r.status == 200 and not r.streamed and r.name != QUEUED]
STREAMS = [r for r in ALL if r.status == 200 and r.streamed and "synthetic" not in r.name]
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def named(found: list[Recording]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("stored", found, ids=[r.name for r in found])


def told(body: dict[str, Any]) -> tuple[str, str, list[tuple[str, str, str]], tuple[int, ...]]:
    """What a response says, found without the code under test: text, thoughts, calls and counts."""
    texts, thoughts, calls = "", "", []
    for item in body["output"]:
        pieces = (item.get("summary") or []) + (item.get("content") or [])
        if item["type"] == "message":
            texts += "".join(piece["text"] for piece in pieces)
        elif item["type"] == "reasoning":
            thoughts += "\n\n".join(piece["text"] for piece in pieces)
        elif item["type"] == "function_call":
            calls.append((item["call_id"], item["name"], item["arguments"]))
    usage = body["usage"]
    details = usage["input_tokens_details"], usage["output_tokens_details"]
    counts = (
        usage["input_tokens"],
        details[0]["cached_tokens"],
        usage["output_tokens"],
        details[1]["reasoning_tokens"],
    )
    return texts, thoughts, calls, counts


def counts(usage: Usage | None) -> tuple[int, ...]:
    assert usage is not None
    return usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.reasoning_tokens


# Recorded answers


@named(WHOLE)
def test_a_whole_response_is_read(stored: Recording) -> None:
    body = msgspec.json.decode(stored.content)

    chat = decode_response(stored.content)

    *words, used = told(body)
    assert [*said(chat.parts)] == words
    assert counts(chat.usage) == used
    assert (chat.id, chat.model, chat.created) == (body["id"], body["model"], body["created_at"])
    assert chat.reason == ("tool_calls" if words[2] else "stop")


@named(WHOLE)
def test_a_whole_response_is_what_the_sdk_expects(stored: Recording) -> None:
    chat = decode_response(stored.content)
    body = encode_response(chat)

    assert Response.model_validate(body, strict=True).output_text == said(chat.parts)[0]
    again = decode_response(msgspec.json.encode(body))
    assert said(again.parts) == said(chat.parts)
    assert (again.reason, again.usage, again.model) == (chat.reason, chat.usage, chat.model)


@named(STREAMS)
def test_a_streamed_response_says_what_its_last_event_repeats(stored: Recording) -> None:
    last = events_in(stored.content)[-1]
    whole = decode_response(msgspec.json.encode(last["response"]))

    start, *deltas, end = decoded(FORM, stored.content)

    assert start == Start(whole.model, whole.id, whole.created)
    assert gathered(deltas) == said(whole.parts)
    assert end == Finish(whole.reason, whole.usage)
    *words, used = told(last["response"])
    assert [*gathered(deltas)] == words
    assert counts(whole.usage) == used


@named(STREAMS)
@settings(max_examples=30)
@given(data=st.data())
def test_where_the_network_cuts_a_stream_changes_no_delta(stored: Recording, data: st.DataObject) -> None:
    content = stored.content

    assert decoded(FORM, *cut_anywhere(data, content)) == decoded(FORM, content)


@named(STREAMS)
def test_a_stream_survives_its_own_form_and_is_what_the_sdk_expects(stored: Recording) -> None:
    deltas = decoded(FORM, stored.content)

    stream = encoded(FORM, *deltas)

    for number, event in enumerate(events_in(stream)):
        assert EVENTS.validate_python(event).sequence_number == number
    assert gathered(decoded(FORM, stream)) == gathered(deltas)
    assert decoded(FORM, stream)[-1] == deltas[-1]


@named([r for r in ALL if r.request])
def test_a_recorded_request_survives_its_own_form(stored: Recording) -> None:
    chat = decode_request(msgspec.json.encode(stored.request))
    ignored: list[str] = []

    body = encode_request(chat, ignored)

    assert decode_request(msgspec.json.encode(body)) == chat
    assert ignored == []
    others = {name: value for name, value in stored.request.items() if name not in ("input", "stream")}
    assert {name: body.get(name) for name in others if others[name]} == {
        name: value for name, value in others.items() if value
    }


def test_a_response_that_is_still_to_be_made_is_no_answer() -> None:
    with pytest.raises(Unreadable, match="queued"):
        decode_response(recording(QUEUED).content)


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        ("openai-responses/responses-error400-this-model-does-not-exist", "not_found"),
        ("openai-responses/responses-error401-gpt-4.1-nano", "upstream_auth"),
        ("deepseek/responses-error400-deepseek-v4-flash", "invalid_request"),
        ("xai/responses-error400-grok-4.3", "upstream_auth"),
    ],
)
def test_recorded_errors(name: str, trouble: str) -> None:
    stored = recording(name)

    problem = decode_error(stored.status, stored.content, stored.headers)

    assert problem.trouble == trouble
    assert problem.message


def test_a_failed_response_is_metered() -> None:
    content = recording("synthetic/openai-responses-failed").content

    *_, end = decoded(FORM, content)

    words = "The model failed to generate a response."
    assert end == Failed(words, "upstream_error", Usage(9, 0))
    with pytest.raises(Unreadable, match=words):
        decode_response(msgspec.json.encode(events_in(content)[-1]["response"]))


async def test_the_sdk_reads_whole_responses_and_errors() -> None:
    parts = (Thinking("hm", "p"), Text("a"), Text("b"), ToolCall("c", "f", "{}"), OtherPart("x", {}))
    chat = Chat(model="m", parts=parts, reason="tool_calls", usage=Usage(9, 2), id="resp_1", created=5)
    refused = encode_error(Problem("not_found", "no such model"))
    async with (
        answering(msgspec.json.encode(encode_response(chat)), "application/json") as address,
        AsyncOpenAI(base_url=address, api_key="k", max_retries=0) as client,
    ):
        response = await client.responses.create(model="m", input="x")
    async with (
        answering(refused.body, "application/json", refused.status) as address,
        AsyncOpenAI(base_url=address, api_key="k", max_retries=0) as client,
    ):
        with pytest.raises(BadRequestError) as raised:
            await client.responses.create(model="m", input="x")

    assert response.output_text == "ab"
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
    assert raised.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_reasons_are_told_by_the_status(reason: Any, status: str, why: Any) -> None:
    body = encode_response(Chat(model="m", parts=(Text("x"),), reason=reason))

    assert (body["status"], body["incomplete_details"]) == (status, why)
    expected = "stop" if reason == "tool_calls" else reason  # there is no call in it
    assert decode_response(msgspec.json.encode(body)).reason == expected


@given(garbage=st.binary(max_size=60), cut=st.integers(0, 60))
def test_garbage_is_a_failure_and_never_an_exception(garbage: bytes, cut: int) -> None:
    for stream in (garbage, b"data: " + garbage + b"\n\n", garbage + b"\n"):
        assert isinstance(decoded(FORM, stream[:cut], stream[cut:])[-1], Failed)
    with pytest.raises(Unreadable):
        decode_response(b"<" + garbage)
