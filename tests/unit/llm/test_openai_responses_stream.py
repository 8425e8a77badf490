"""Streams of responses, event by event; OpenAI's SDK reads those for a client."""

from typing import Any

import msgspec
import pytest
from openai import APIError, AsyncOpenAI
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter
from tests.support.servers import answering
from tests.support.streams import decoded, encoded, events_in, gathered

from tollhouse.llm.chat import (
    Delta,
    Failed,
    Finish,
    Ping,
    Start,
    Text,
    Thinking,
    ToolArguments,
    ToolStart,
)
from tollhouse.llm.form import Form
from tollhouse.llm.formats import openai_responses
from tollhouse.llm.formats.openai_responses import (
    stream_decoder,
)
from tollhouse.pdk.usage import Usage

FORM: Form = openai_responses
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


# Streams that were not recorded

HEAD: dict[str, Any] = {"id": "resp_1", "model": "m", "created_at": 5, "output": []}
USAGE = {"input_tokens": 9, "output_tokens": 2}


def events(*told: dict[str, Any]) -> bytes:
    return b"".join([b"data: " + msgspec.json.encode(event) + b"\n\n" for event in told])


CREATED = {"type": "response.created", "response": HEAD | {"status": "in_progress"}}
COMPLETED = {"type": "response.completed", "response": HEAD | {"status": "completed", "usage": USAGE}}


def item(kind: str, place: int, **members: Any) -> dict[str, Any]:
    return {"type": f"response.output_item.{kind}", "output_index": place, "item": members}


def incomplete(reason: str) -> dict[str, Any]:
    cut = {"status": "incomplete", "incomplete_details": {"reason": reason}, "usage": USAGE}
    return {"type": "response.incomplete", "response": HEAD | cut}


@pytest.mark.parametrize(
    ("told", "end"),
    [
        ([CREATED, COMPLETED], Finish("stop", Usage(9, 2))),
        ([CREATED, incomplete("max_output_tokens")], Finish("length", Usage(9, 2))),
        ([CREATED, incomplete("content_filter")], Finish("content_filter", Usage(9, 2))),
        ([CREATED], Failed("the provider's stream ended early")),
        (
            [CREATED, {"type": "error", "code": "rate_limit_exceeded", "message": "slow"}],
            Failed("slow", "rate_limit"),
        ),
        (
            [CREATED, {"type": "error", "error": {"message": "no", "code": "insufficient_quota"}}],
            Failed("no", "quota"),
        ),
        ([{"error": "broken"}], Failed("broken")),
        ([{"error": {"message": "down", "code": 503}}], Failed("down", "overloaded")),
        # A call that is cut is no call to be made.
        (
            [
                CREATED,
                item("added", 0, type="function_call", call_id="c", name="f"),
                incomplete("max_output_tokens"),
            ],
            Finish("length", Usage(9, 2)),
        ),
    ],
)
def test_how_streams_end(told: list[dict[str, Any]], end: Delta) -> None:
    deltas = decoded(FORM, events(*told))

    assert deltas[-1] == end
    assert sum(isinstance(delta, Finish | Failed) for delta in deltas) == 1


def test_calls_that_are_told_whole_or_mixed() -> None:
    call = {"type": "function_call", "call_id": "a", "name": "f", "arguments": ""}
    other = {"type": "function_call", "call_id": "b", "name": "g", "arguments": "{}"}
    pieces = [
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": text}
        for text in ('{"x"', ":1}")
    ]

    deltas = decoded(
        FORM,
        events(
            CREATED,
            item("added", 1, **call),
            pieces[0],
            item("done", 2, **other),
            pieces[1],
            item("done", 1, **call, id="fc_1"),
            COMPLETED,
        ),
    )

    assert gathered(deltas)[2] == [("a", "f", '{"x":1}'), ("b", "g", "{}")]


def test_what_came_whole_is_said_once() -> None:
    message = {"type": "message", "content": [{"type": "output_text", "text": "hi"}]}
    refused = {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}
    delta = {"type": "response.output_text.delta", "output_index": 0, "delta": "hi"}

    deltas = decoded(
        FORM, events(CREATED, delta, item("done", 0, **message), item("done", 1, **refused), COMPLETED)
    )

    assert deltas[1:-1] == [Text("hi"), Text("no")]


def test_one_event_that_cannot_be_read_is_skipped() -> None:
    decoder = stream_decoder()
    stream = events(CREATED) + b"data: {oops\n\n" + b'data: {"type": 7}\n\n: ping\n\n' + events(COMPLETED)

    deltas = decoder.feed(stream) + decoder.end()

    assert deltas[-1] == Finish("stop", Usage(9, 2))
    assert decoder.skipped == 2


def test_parts_of_a_summary_are_paragraphs() -> None:
    parts = [
        {
            "type": "response.reasoning_summary_text.delta",
            "output_index": 0,
            "summary_index": n,
            "delta": text,
        }
        for n, text in ((0, "a"), (0, "b"), (1, "c"))
    ]
    reasoning = {"type": "reasoning", "summary": [], "encrypted_content": "x"}

    deltas = decoded(FORM, events(CREATED, *parts, item("done", 0, **reasoning), COMPLETED))

    assert deltas[1:-1] == [Thinking("a"), Thinking("b"), Thinking("\n\nc"), Thinking("", "x")]


# Streams for a client


def test_the_events_of_a_stream_come_in_the_order_of_openai() -> None:
    stream = encoded(
        FORM,
        Start("m", "resp_1", 5),
        Thinking("hm"),
        Thinking("", "proof"),
        Text("hi"),
        Ping(),
        ToolStart(0, "a", "f"),
        ToolStart(1, "", "g"),
        ToolArguments(1, "{}"),
        ToolArguments(0, '{"x":1}'),
        Finish("tool_calls", Usage(9, 4, 3, 2)),
    )

    found = events_in(stream)
    kinds = [event["type"].removeprefix("response.") for event in found]
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    for number, event in enumerate(found):
        assert EVENTS.validate_python(event).sequence_number == number
    assert stream.count(b"event: ") == len(found)
    last = found[-1]["response"]
    assert [item["type"] for item in last["output"]] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
    ]
    assert last["output"][0]["encrypted_content"] == "proof"
    assert [item["arguments"] for item in last["output"][2:]] == ['{"x":1}', "{}"]
    # A call without an id gets one, for the SDK tells calls apart by it.
    assert last["output"][3]["call_id"] == last["output"][3]["id"]
    assert last["usage"]["total_tokens"] == 13
    assert len({item["id"] for item in last["output"]}) == 4


def test_thoughts_that_only_their_maker_can_read_are_items_of_their_own() -> None:
    stream = encoded(
        FORM,
        Start("m"),
        Thinking("a", "p"),
        Thinking("b", "q"),
        Thinking("", redacted="r"),
        Text("x"),
        Finish("stop"),
    )

    output = events_in(stream)[-1]["response"]["output"]
    assert [(found.get("summary"), found.get("encrypted_content")) for found in output[:-1]] == [
        ([{"type": "summary_text", "text": "a"}], "p"),
        ([{"type": "summary_text", "text": "b"}], "q"),
        ([], "r"),
    ]
    assert decoded(FORM, stream)[1:-1] == [
        Thinking("a"),
        Thinking("", "p"),
        Thinking("b"),
        Thinking("", "q"),
        Thinking("", redacted="r"),
        Text("x"),
    ]


async def test_the_sdk_reads_a_stream_to_its_end() -> None:
    stream = encoded(
        FORM,
        Start("m", "resp_1", 5),
        Thinking("hm", "proof"),
        Text("h"),
        Text("i"),
        ToolStart(0, "a", "f"),
        ToolArguments(0, "{}"),
        Finish("tool_calls", Usage(9, 2)),
    )
    async with (
        answering(stream, FORM.STREAM_TYPE) as address,
        AsyncOpenAI(base_url=f"{address}/v1", api_key="k", max_retries=0) as client,
    ):
        async with client.responses.stream(model="m", input="x") as events:
            kinds = [event.type async for event in events]
            response = await events.get_final_response()

        created = await client.responses.create(model="m", input="x", stream=True)
        texts = [event.delta async for event in created if event.type == "response.output_text.delta"]

    assert kinds[-1] == "response.completed"
    assert response.output_text == "hi"
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
    assert response.usage is not None
    assert response.usage.total_tokens == 11
    assert texts == ["h", "i"]


async def test_the_sdk_reads_a_response_that_was_cut() -> None:
    stream = encoded(FORM, Start("m", "resp_1", 5), Text("h"), Finish("length", Usage(9, 2)))
    async with (
        answering(stream, FORM.STREAM_TYPE) as address,
        AsyncOpenAI(base_url=address, api_key="k", max_retries=0) as client,
    ):
        events = [event async for event in await client.responses.create(model="m", input="x", stream=True)]

    last = events[-1]
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details is not None
    assert last.response.incomplete_details.reason == "max_output_tokens"
    assert last.response.usage is not None


async def test_a_stream_that_breaks_off_raises_in_the_sdk() -> None:
    stream = encoded(FORM, Start("m", "resp_1", 5), Text("h"), Failed("the provider went away", "overloaded"))
    async with (
        answering(stream, FORM.STREAM_TYPE) as address,
        AsyncOpenAI(base_url=address, api_key="k", max_retries=0) as client,
    ):
        events = await client.responses.create(model="m", input="x", stream=True)
        with pytest.raises(APIError, match="the provider went away"):
            _ = [event async for event in events]

    EVENTS.validate_python(events_in(stream)[-1])
    assert decoded(FORM, stream)[-1] == Failed("the provider went away")
