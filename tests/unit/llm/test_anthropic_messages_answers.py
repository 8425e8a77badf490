"""Answers and streams of Anthropic's form: recorded ones, read and told again."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.dialogues import towards
from tests.support.recordings import Recording, recording, recordings

from tollhouse.llm.chat import (
    AnswerPart,
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
    Unshown,
)
from tollhouse.llm.dialogue import Sent
from tollhouse.llm.form import Unreadable
from tollhouse.llm.formats.anthropic_messages import (
    decode_response,
    encode_response,
    stream_decoder,
    stream_encoder,
)
from tollhouse.pdk.usage import Usage

ALL = [r for r in recordings("messages") if r.status == 200]
WHOLE = [r for r in ALL if not r.streamed]
STREAMS = [r for r in ALL if r.streamed]
REASONS = {"end_turn": "stop", "tool_use": "tool_calls", "refusal": "content_filter"}


def named(found: list[Recording]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("stored", found, ids=[r.name for r in found])


def events_of(stream: bytes) -> list[dict[str, Any]]:
    data = [line[6:] for line in stream.split(b"\n") if line.startswith(b"data: ")]
    return [msgspec.json.decode(text) for text in data]


def message_of(stored: Recording) -> dict[str, Any]:
    """The answer as the recording tells it, put together without the code under test."""
    if not stored.streamed:
        return msgspec.json.decode(stored.content, type=dict[str, Any])
    message: dict[str, Any] = {}
    for event in events_of(stored.content):
        match event:
            case {"type": "message_start", "message": started}:
                message = started
            case {"type": "content_block_start", "content_block": block}:
                message["content"].append(block | ({"json": ""} if "input" in block else {}))
            case {"type": "content_block_delta", "index": index, "delta": {"partial_json": text}}:
                message["content"][index]["json"] += text
            case {"type": "content_block_delta", "index": index, "delta": delta}:
                (name, text), *_ = [pair for pair in delta.items() if pair[0] != "type"]
                message["content"][index][name] += text
            case {"type": "message_delta", "delta": delta, "usage": usage}:
                message |= delta
                message["usage"] |= usage
            case _:
                pass
    for block in message["content"]:
        if "json" in block:
            block["input"] = msgspec.json.decode(block.pop("json") or "{}")
    return message


def said(parts: Sequence[AnswerPart | Delta]) -> tuple[str, str, list[str], list[tuple[str, str, Any]]]:
    """Text, thoughts, their signatures, and calls."""
    calls: list[tuple[str, str, str]] = []
    for part in parts:
        match part:
            case ToolCall(id_, name, arguments):
                calls.append((id_, name, arguments))
            case ToolStart(_, id_, name):
                calls.append((id_, name, ""))
            case ToolArguments(index, fragment):
                calls[index] = (*calls[index][:2], calls[index][2] + fragment)
            case _:
                pass
    return (
        "".join(part.text for part in parts if isinstance(part, Text)),
        "".join(part.text for part in parts if isinstance(part, Thinking)),
        [part.signature for part in parts if isinstance(part, Thinking) and part.signature],
        [(id_, name, msgspec.json.decode(text)) for id_, name, text in calls],
    )


def told(stored: Recording) -> tuple[str, str, list[str], list[tuple[str, str, Any]]]:
    blocks = message_of(stored)["content"]
    return (
        "".join(block["text"] for block in blocks if block["type"] == "text"),
        "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        [block["signature"] for block in blocks if block["type"] == "thinking"],
        [(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"],
    )


def check_usage(usage: Usage | None, stored: Recording) -> None:
    counts = message_of(stored)["usage"]
    read, written = counts["cache_read_input_tokens"], counts["cache_creation_input_tokens"]
    assert usage is not None
    assert usage.prompt_tokens == counts["input_tokens"] + read + written
    assert (usage.cached_tokens, usage.cache_write_tokens) == (read, written)
    assert usage.completion_tokens == counts["output_tokens"]
    details = counts.get("output_tokens_details") or {}
    assert usage.reasoning_tokens == details.get("thinking_tokens", 0)


@named(WHOLE)
def test_a_recorded_answer_is_read_and_told_again(stored: Recording) -> None:
    chat, message = decode_response(stored.content), message_of(stored)

    assert said(chat.parts) == told(stored)
    assert chat.reason == REASONS[message["stop_reason"]]
    assert (chat.id, chat.model) == (message["id"], message["model"])
    check_usage(chat.usage, stored)
    again = decode_response(msgspec.json.encode(encode_response(chat)))
    assert again == chat


def read(*pieces: bytes) -> list[Delta]:
    decoder = stream_decoder()
    return [delta for piece in pieces for delta in decoder.feed(piece)] + decoder.end()


def written(deltas: Sequence[Delta]) -> bytes:
    encoder = stream_encoder(include_usage=True)
    return b"".join(map(encoder.encode, deltas))


@named(STREAMS)
def test_a_recorded_stream_is_read_and_told_again(stored: Recording) -> None:
    deltas, message = read(stored.content), message_of(stored)
    start, end = deltas[0], deltas[-1]

    assert isinstance(start, Start)
    assert (start.id, start.model) == (message["id"], message["model"])
    assert said(deltas) == told(stored)
    assert isinstance(end, Finish)
    assert end.reason == REASONS[message["stop_reason"]]
    check_usage(end.usage, stored)
    assert any(isinstance(delta, Ping) for delta in deltas) == (b"event: ping" in stored.content)
    assert read(written(deltas)) == [delta for delta in deltas if not isinstance(delta, Unshown)]


@named(STREAMS)
def test_where_the_network_cuts_a_stream_changes_no_delta(stored: Recording) -> None:
    content = stored.content
    whole = read(content)

    for cut in range(1, len(content), max(1, len(content) // 200)):
        assert read(content[:cut], content[cut:]) == whole
    assert read(*(content[at : at + 1] for at in range(len(content)))) == whole
    assert read(content.replace(b"\n", b"\r\n")) == whole


@given(kept=st.integers(0, 10**6), stored=st.sampled_from(STREAMS))
def test_a_stream_that_is_broken_off_never_looks_complete(kept: int, stored: Recording) -> None:
    content = stored.content
    deltas = read(content[: kept % content.index(b"event: message_stop")])

    end = deltas[-1]
    assert isinstance(end, Failed)
    assert sum(isinstance(delta, Failed | Finish) for delta in deltas) == 1
    # What was counted by then has to be paid for.
    assert (end.usage is None) == (not isinstance(deltas[0], Start))


def event(type_: str, **members: Any) -> bytes:
    body = msgspec.json.encode({"type": type_, **members})
    return b"event: %s\ndata: %s\n\n" % (type_.encode(), body)


COUNTS = {"input_tokens": 3, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 7}
HOUR = {"cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}}
BEGIN = event(
    "message_start", message={"id": "i", "model": "m", "usage": {**COUNTS, **HOUR, "output_tokens": 1}}
)
END = event("message_stop")
USED = Usage(15, 2, cached_tokens=5, cache_write_tokens=7, cache_write_hour_tokens=4)


def last(reason: str | None, **usage: int) -> bytes:
    return event("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 2, **usage})


def begin(**block: Any) -> bytes:
    return event("content_block_start", index=0, content_block=block)


def piece(**delta: Any) -> bytes:
    return event("content_block_delta", index=0, delta=delta)


STOP = event("content_block_stop", index=0)
CALL = {"type": "tool_use", "id": "1", "name": "f"}


@pytest.mark.parametrize(
    ("middle", "deltas"),
    [
        ([last("end_turn")], [Finish("stop", USED)]),
        # What is told again replaces what was told before: it is never added.
        ([last("max_tokens", input_tokens=13)], [Finish("length", Usage(25, 2, 5, 0, False, 7, 0, 0, 4))]),
        ([last("pause_turn")], [Finish("stop", USED)]),
        ([last("model_context_window_exceeded")], [Finish("length", USED)]),
        ([last("unheard_of")], [Finish("stop", USED)]),
        (
            [begin(**CALL, input={}), STOP, last("tool_use")],
            [ToolStart(0, "1", "f"), ToolArguments(0, "{}"), Finish("tool_calls", USED)],
        ),
        # Some servers tell arguments at once, or forget why they ended.
        (
            [begin(**CALL, input={"a": 1}), STOP, last("end_turn")],
            [ToolStart(0, "1", "f"), ToolArguments(0, '{"a":1}'), Finish("tool_calls", USED)],
        ),
        (
            [
                begin(**CALL, input={"a": 1}),
                piece(partial_json='{"b":'),
                piece(partial_json="2}"),
                last("max_tokens"),
            ],
            [
                ToolStart(0, "1", "f"),
                ToolArguments(0, '{"b":'),
                ToolArguments(0, "2}"),
                Finish("length", USED),
            ],
        ),
        (
            [begin(type="redacted_thinking", data="d"), piece(signature="s"), last("end_turn")],
            [Thinking("", redacted="d"), Thinking("", "s"), Finish("stop", USED)],
        ),
        ([begin(type="text", text="a"), last("end_turn")], [Text("a"), Finish("stop", USED)]),
        (
            [begin(type="server_tool_use", id="1"), piece(partial_json="{}"), STOP, last("end_turn")],
            [Unshown("server_tool_use"), Finish("stop", USED)],
        ),
        ([event("unheard_of", x=1), b": comment\n\n", last("end_turn")], [Ping(), Finish("stop", USED)]),
    ],
)
def test_what_events_mean(middle: list[bytes], deltas: list[Delta]) -> None:
    first = Usage(15, 1, cached_tokens=5, cache_write_tokens=7, cache_write_hour_tokens=4)
    expected = [Start("m", "i", usage=first), *deltas]

    assert read(BEGIN, *middle, END, b"data: [DONE]\n\n", STOP) == expected


def test_a_stop_sequence_is_told() -> None:
    stopped = event("message_delta", delta={"stop_reason": "stop_sequence", "stop_sequence": "x"})
    deltas = read(BEGIN, stopped, END[:-2])

    assert deltas[-1] == Finish("stop", Usage(15, 1, 5, 0, False, 7, 0, 0, 4), "x")
    assert events_of(written(deltas))[-2]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "x"}


def test_events_that_cannot_be_read_are_passed_over_and_counted() -> None:
    decoder = stream_decoder()
    broken = (b"event: x\ndata: {oops\n\n", b"data: \xff\n\n", b'data: {"type":7}\n\n')

    deltas = decoder.feed(BEGIN + b"".join(broken) + piece(text="a") + END)

    assert deltas[1:] == [
        Text("a"),
        Finish("stop", deltas[0].usage if isinstance(deltas[0], Start) else None),
    ]
    assert decoder.skipped == 3


def test_an_error_in_a_stream_says_what_it_is_about() -> None:
    deltas = read(recording("synthetic/anthropic-stream-overloaded").content)

    assert deltas[1:] == [Text("Hel"), Failed("Overloaded", "overloaded", Usage(9, 1))]
    error = events_of(written(deltas))[-1]
    assert error == {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


def test_a_whole_answer_for_a_client() -> None:
    parts = (
        Thinking("t"),
        Thinking("", redacted="d"),
        Text(""),
        Text("x", {"annotations": []}),
        ToolCall("1", "f", "oops"),
        OtherPart("reference", {"type": "reference"}),
        OtherPart("web_search_tool_result", {"type": "web_search_tool_result"}),
    )
    body = encode_response(Chat(model="m", parts=parts, reason="stop", stop_sequence="s", id="i"))

    assert body == {
        "id": "i",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "t", "signature": ""},
            {"type": "redacted_thinking", "data": "d"},
            {"type": "text", "text": "x"},
            {"type": "tool_use", "id": "1", "name": "f", "input": {"arguments": "oops"}},
            {"type": "web_search_tool_result"},
        ],
        "stop_reason": "stop_sequence",
        "stop_sequence": "s",
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "'content' not in anthropic"),
        (b"[]", "'content' not in anthropic"),
        (b"{}", "'content' not in anthropic"),
        (b'{"content":[7]}', "'content' not in anthropic"),
        (b"\xff", "'content' not in anthropic"),
        (b'{"type":"error","error":{"type":"api_error","message":"broken"}}', "broken"),
    ],
)
def test_what_is_no_answer_is_unreadable(body: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        decode_response(body)


@named(STREAMS)
def test_clients_of_openai_get_it_in_their_form(stored: Recording) -> None:
    passage = towards("anthropic_messages").stream(
        Sent(b"", include_usage=True), "chatcmpl-1", 5, keep_text=True
    )

    out = passage.feed(stored.content, True)

    assert out.endswith(b"data: [DONE]\n\n")
    assert passage.text == told(stored)[0]
    check_usage(passage.usage, stored)
    chunks = events_of(out.replace(b"data: [DONE]\n\n", b""))
    pieces = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    places = [call["index"] for piece in pieces for call in piece.get("tool_calls", ()) if "id" in call]
    assert places == list(range(len(told(stored)[3])))
