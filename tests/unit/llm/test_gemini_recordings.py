"""What Gemini models answered, on their own and on Vertex: read whole, streamed, and cut anywhere."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.dialogues import towards
from tests.support.recordings import Recording, recording, recordings
from tests.support.streams import cut_anywhere, decoded, encoded, gathered, said

from tollhouse.llm.chat import (
    AnswerPart,
    Chat,
    Failed,
    Finish,
    Message,
    OtherPart,
    OtherTool,
    Start,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    ToolStart,
)
from tollhouse.llm.dialogue import FORMS, Sent
from tollhouse.llm.form import Told
from tollhouse.llm.formats import gemini, openai_chat
from tollhouse.llm.formats.gemini import count, embeddings
from tollhouse.pdk.usage import Usage

ALL = recordings("generateContent", "streamGenerateContent")
WHOLE = [r for r in ALL if r.status == 200 and not r.streamed]
STREAMS = [r for r in ALL if r.status == 200 and r.streamed]
#: its calls come in pieces, which they do in streams only
IN_PIECES = "vertex/generate-stream-parallel-tools-gemini-3-pro"
ASKED = [r for r in ALL if r.request and r.status != 400]


def named(found: list[Recording]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("stored", found, ids=[r.name for r in found])


def told(stored: Recording) -> tuple[list[dict[str, Any]], str, dict[str, Any]]:
    """All parts, the last reason and the last counts of a recording, found without the code under test."""
    lines = stored.content.split(b"\n") if stored.streamed else [stored.content]
    bodies = [
        msgspec.json.decode(line.removeprefix(b"data:").strip())
        for line in lines
        if line.removeprefix(b"data:").strip()
    ]
    parts, reason, counts = [], "", {}
    for body in bodies:
        candidate = body["candidates"][0]
        parts += candidate.get("content", {}).get("parts", [])
        reason = candidate.get("finishReason", reason)
        if "promptTokenCount" in body["usageMetadata"]:
            counts = body["usageMetadata"]
    return parts, reason, counts


def same_usage(usage: Usage | None, counts: dict[str, Any]) -> bool:
    assert usage is not None
    assert usage.total_tokens == counts["totalTokenCount"]
    return (usage.reasoning_tokens, usage.cached_tokens) == (
        counts.get("thoughtsTokenCount", 0),
        counts.get("cachedContentTokenCount", 0),
    )


def text_in(parts: list[dict[str, Any]]) -> str:
    return "".join(part.get("text", "") for part in parts if not part.get("thought"))


def names_in(parts: list[dict[str, Any]]) -> list[str]:
    return [part["functionCall"]["name"] for part in parts if "name" in part.get("functionCall", {})]


def signatures_in(parts: list[dict[str, Any]]) -> list[str | None]:
    return [p.get("thoughtSignature") for p in parts if "name" in p.get("functionCall", {})]


def expected_reason(reason: str, parts: list[dict[str, Any]]) -> str:
    known = {"MAX_TOKENS": "length", "SAFETY": "content_filter"}
    return known.get(reason, "tool_calls" if names_in(parts) else "stop")


@named(WHOLE)
def test_a_whole_answer_is_read_and_survives_its_own_form(stored: Recording) -> None:
    parts, reason, counts = told(stored)

    chat = gemini.decode_response(stored.content)

    assert said(chat.parts)[0] == text_in(parts)
    assert [name for _, name, _ in said(chat.parts)[2]] == names_in(parts)
    assert chat.reason == expected_reason(reason, parts)
    assert same_usage(chat.usage, counts)
    assert (chat.model, chat.id) == (
        msgspec.json.decode(stored.content)["modelVersion"],
        msgspec.json.decode(stored.content)["responseId"],
    )
    again = gemini.decode_response(msgspec.json.encode(gemini.encode_response(chat)))
    assert again == replace(chat, parts=tuple(part for part in chat.parts if not is_beside(part)))


@named(STREAMS)
def test_a_stream_is_read_from_start_to_finish(stored: Recording) -> None:
    parts, reason, counts = told(stored)

    deltas = decoded(gemini, stored.content)

    first, end = deltas[0], deltas[-1]
    assert isinstance(first, Start)
    assert isinstance(end, Finish)
    text, _, calls = gathered(deltas)
    assert text == text_in(parts)
    assert [name for _, name, _ in calls] == names_in(parts)
    signatures = [delta.signature for delta in deltas if isinstance(delta, ToolStart)]
    assert signatures == signatures_in(parts)
    assert end.reason == expected_reason(reason, parts)
    assert same_usage(end.usage, counts)


@named([r for r in STREAMS if r.name != IN_PIECES])
def test_a_stream_says_what_the_same_answer_says_whole(stored: Recording) -> None:
    """Joined into one answer, unless a call came in pieces, which it only does in streams."""
    parts, reason, counts = told(stored)
    head = msgspec.json.decode(stored.chunks[0].removeprefix(b"data: "))
    candidates = [{"content": {"parts": parts}, "finishReason": reason}]
    whole = gemini.decode_response(
        msgspec.json.encode(head | {"candidates": candidates, "usageMetadata": counts})
    )

    deltas = decoded(gemini, stored.content)

    assert gathered(deltas) == said(whole.parts)
    assert deltas[-1] == Finish(whole.reason, whole.usage)


@named(STREAMS)
@settings(max_examples=25)
@given(data=st.data())
def test_where_the_network_cuts_a_stream_changes_no_delta(stored: Recording, data: st.DataObject) -> None:
    pieces = cut_anywhere(data, stored.content)

    assert decoded(gemini, *pieces) == decoded(gemini, stored.content)


@named(STREAMS)
def test_every_byte_on_its_own_changes_no_delta(stored: Recording) -> None:
    content = stored.content

    assert decoded(gemini, *(content[at : at + 1] for at in range(len(content)))) == decoded(gemini, content)


def as_array(stored: Recording) -> bytes:
    """The stream as it is without `alt=sse`."""
    events = [chunk.removeprefix(b"data: ").strip() for chunk in stored.chunks]
    return b"[" + b"\n,\r\n".join(events) + b"\n]\n"


@named(STREAMS)
@settings(max_examples=25)
@given(data=st.data())
def test_a_stream_that_is_a_json_array_says_the_same(stored: Recording, data: st.DataObject) -> None:
    pieces = cut_anywhere(data, as_array(stored))

    assert decoded(gemini, *pieces) == decoded(gemini, stored.content)


@named(STREAMS)
def test_a_stream_survives_its_own_form(stored: Recording) -> None:
    deltas = decoded(gemini, stored.content)

    again = decoded(gemini, encoded(gemini, *deltas))

    assert gathered(again) == gathered(deltas)
    assert (again[0], again[-1]) == (deltas[0], deltas[-1])
    assert [d for d in again if isinstance(d, ToolStart)] == [d for d in deltas if isinstance(d, ToolStart)]


def is_beside(part: AnswerPart) -> bool:
    """What stands beside an answer: nobody writes it anew."""
    return isinstance(part, OtherPart) and not part.raw


@named(STREAMS)
def test_half_a_stream_is_never_a_whole_answer(stored: Recording) -> None:
    deltas = decoded(gemini, b"".join(stored.chunks[:-1]))

    assert isinstance(deltas[-1], Failed)


@named(STREAMS)
def test_a_client_of_openai_s_form_is_told_the_same(stored: Recording) -> None:
    passage = towards("gemini").stream(Sent(b"", include_usage=True), "chatcmpl-1", 5, keep_text=True)

    out = passage.feed(stored.content, True)

    deltas = decoded(gemini, stored.content)
    translated = decoded(FORMS["openai_chat"], out)
    assert gathered(translated) == gathered(deltas)
    end, expected = translated[-1], deltas[-1]
    assert isinstance(end, Finish)
    assert isinstance(expected, Finish)
    assert end.reason == expected.reason
    assert end.usage == expected.usage == passage.usage
    # Signatures of calls travel to the client, and come back with its next request.
    assert [d for d in translated if isinstance(d, ToolStart)] == [
        d for d in deltas if isinstance(d, ToolStart)
    ]


def test_a_signature_comes_back_from_a_client_of_openai_s_form() -> None:
    chat = gemini.decode_response(recording("gemini/generate-tool-call-gemini-2.5-flash").content)
    shown = openai_chat.encode_response(chat)["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": shown["tool_calls"][0]["id"], "content": "text"}
    body = {"model": "gemini-3-flash", "messages": [{"role": "user", "content": "x"}, shown, result]}

    sent = gemini.encode_request(openai_chat.decode_request(msgspec.json.encode(body)), [])

    parts, _, _ = told(recording("gemini/generate-tool-call-gemini-2.5-flash"))
    call = sent["contents"][1]["parts"][0]
    assert call["thoughtSignature"] == parts[0]["thoughtSignature"]
    assert call["functionCall"]["name"] == "pdf_fetch"
    assert sent["contents"][2]["parts"][0]["functionResponse"]["response"] == {"result": "text"}


def normal(value: Any) -> Any:
    """A request without what Google reads alike: names in either case, empty objects, roles of
    instructions, turns of the user's in one piece or in two, ids where there were none."""
    if isinstance(value, list):
        return [normal(one) for one in value]
    if not isinstance(value, dict):
        return value
    members = {camel(name): normal(inner) for name, inner in value.items()}
    if "systemInstruction" in members:
        members["systemInstruction"].pop("role", None)
    for name in ("functionCall", "functionResponse"):
        if str(members.get(name, {}).get("id", "")).startswith("call_"):
            del members[name]["id"]
    if "contents" in members:
        turns: list[Any] = []
        for turn in members["contents"]:
            if turns and turns[-1]["role"] == turn["role"]:
                turns[-1]["parts"] += turn["parts"]
            else:
                turns.append(turn)
        members["contents"] = turns
    return {
        name: inner for name, inner in members.items() if inner != {} or name not in ("generationConfig",)
    }


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))


@named(ASKED)
def test_a_recorded_request_survives_its_own_form(stored: Recording) -> None:
    chat = gemini.decode_request(msgspec.json.encode(stored.request), Told("gemini-2.5-flash"))
    ignored: list[str] = []

    again = gemini.encode_request(chat, ignored)

    assert ignored == []
    assert normal(msgspec.to_builtins(again)) == normal(stored.request)
    assert chat.model == "gemini-2.5-flash"


def is_for_everybody(stored: Recording) -> bool:
    """Whether it asks for nothing but what clients of other forms can ask for as well."""
    chat = gemini.decode_request(msgspec.json.encode(stored.request))
    parts = [part for message in chat.messages for part in message.parts]
    return not (
        chat.own_only
        or any(isinstance(tool, OtherTool) for tool in chat.tools)
        or any(not isinstance(part, Text | Thinking | ToolCall | ToolResult) for part in parts)
    )


@named([r for r in ASKED if is_for_everybody(r)])
def test_a_recorded_request_survives_the_way_through_openai_s_form(stored: Recording) -> None:
    chat = gemini.decode_request(msgspec.json.encode(stored.request), Told("gemini-2.5-flash"))

    # Some of several functions that must be called cannot be told there.
    chat = replace(chat, tool_choice=None)
    passed = openai_chat.decode_request(msgspec.json.encode(openai_chat.encode_request(chat, [])))

    # Results that came in one turn are several messages there.
    assert "".join(map(said_in, passed.messages)) == "".join(map(said_in, chat.messages))
    assert [tool.name for tool in passed.tools if isinstance(tool, Tool)] == [
        tool.name for tool in chat.tools if isinstance(tool, Tool)
    ]


def said_in(message: Message) -> str:
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    parts = [inner for result in results for inner in result.parts] or message.parts
    return "".join(part.text for part in parts if isinstance(part, Text))


@pytest.mark.parametrize(
    ("name", "trouble", "retry_after"),
    [
        ("gemini/generate-error429-gemini-2.5-flash", "rate_limit", 34.4),
        ("gemini/countTokens-error404-nonexistent-model", "not_found", None),
        ("vertex/generate-error400-gemini-2.5-pro", "invalid_request", None),
        ("vertex/generate-error404-gemini-does-not-exist", "not_found", None),
        ("synthetic/gemini-500-internal", "upstream_error", None),
        ("synthetic/gemini-503-unavailable", "overloaded", None),
        ("synthetic/gemini-stream-429-array", "rate_limit", 34.0),
    ],
)
def test_recorded_errors_are_understood(name: str, trouble: str, retry_after: float | None) -> None:
    stored = recording(name)

    problem = gemini.decode_error(stored.status, stored.content, stored.headers)

    assert (problem.trouble, problem.retry_after, problem.status) == (trouble, retry_after, stored.status)
    assert problem.message
    assert "{" not in problem.message


def test_recorded_embeddings_are_read() -> None:
    own = embeddings.decode_response(recording("gemini/embedContent-embeddings-gemini-embedding-2").content)
    vertex = embeddings.decode_response(recording("vertex/predict-embeddings-gemini-embedding-001").content)

    assert (len(own.vectors), len(own.vectors[0]), own.usage) == (1, 768, Usage(8))
    assert (len(vertex.vectors), len(vertex.vectors[0]), vertex.usage) == (2, 5, Usage(11))


def test_recorded_counts_are_read() -> None:
    own = recording("gemini/countTokens-count-tokens-gemini-3.5-flash")
    vertex = recording("vertex/countTokens-count-tokens-gemini-2.0-flash")

    assert (count.decode_count(own.content), count.decode_count(vertex.content)) == (8, 36)
    asked = count.decode_count_request(msgspec.json.encode(own.request), Told("gemini-3.5-flash"))
    assert asked.messages == (Message("user", (Text("What is the capital of France?"),)),)
    flat = count.decode_count_request(msgspec.json.encode(vertex.request), Told("gemini-2.0-flash"))
    assert [tool.name for tool in flat.tools if isinstance(tool, Tool)] == ["get_user_country"]


def test_a_hosted_tool_on_the_way_does_not_disturb_the_answer() -> None:
    stored = recording("gemini/generate-edge-gemini-3-flash-preview")
    decoder = gemini.stream_decoder()

    deltas = decoder.feed(stored.content) + decoder.end()

    assert gathered(deltas)[0].endswith("955.97745**.")
    assert decoder.skipped == 0
    end = deltas[-1]
    assert isinstance(end, Finish)
    # The counts go up and down before: 51, none, 22, 46, 57, 108.
    assert end.usage == Usage(147 + 360, 108 + 168, reasoning_tokens=168)


def test_a_call_in_pieces_is_put_together() -> None:
    stored = recording(IN_PIECES)

    _, _, calls = gathered(decoded(gemini, stored.content))

    assert [(name, arguments) for _, name, arguments in calls] == [
        ("getWeather", '{"location":"Boston"}'),
        ("getWeather", '{"location":"San Francisco"}'),
    ]


def test_a_refusal_has_no_parts() -> None:
    chat = gemini.decode_response(recording("gemini/generate-refusal-gemini-1.5-flash").content)

    assert chat == Chat(
        model="gemini-1.5-flash",
        parts=(),
        reason="content_filter",
        usage=Usage(14),
        id="5lpeaLOIBf__698Pv8HGgAg",
    )
