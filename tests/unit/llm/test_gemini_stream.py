"""Details of Gemini's streams: how they end and fail, arrays, calls in pieces, errors."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.streams import cut_anywhere, decoded, encoded

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
    Unshown,
)
from tollhouse.llm.formats import gemini
from tollhouse.llm.formats.gemini import array
from tollhouse.pdk.usage import Usage

START = Start("m", "r")


def chunk(*parts: dict[str, Any], reason: Any = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}}
    if reason is not None:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "modelVersion": "m", "responseId": "r", **more}


def counted(**counts: int) -> dict[str, Any]:
    return {"usageMetadata": counts}


def sse(*bodies: Any, end: bytes = b"\r\n\r\n") -> bytes:
    return b"".join(b"data: " + msgspec.json.encode(body) + end for body in bodies)


X = chunk({"text": "x"})
STOP = chunk({"text": "y"}, reason="STOP", **counted(promptTokenCount=9, candidatesTokenCount=2))
ERROR = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}


@pytest.mark.parametrize(
    ("stream", "end"),
    [
        (sse(X, STOP), Finish("stop", Usage(9, 2))),
        (sse(X, STOP, end=b"\n\n"), Finish("stop", Usage(9, 2))),
        (sse(X, STOP, end=b"\r\r"), Finish("stop", Usage(9, 2))),
        (b": a comment\n\n" + sse(X, STOP), Finish("stop", Usage(9, 2))),
        # all but the empty line that ends it
        (sse(X, STOP)[:-4], Finish("stop", Usage(9, 2))),
        (sse(X, STOP)[:-5], Failed("the provider's stream ended early")),
        (sse(X), Failed("the provider's stream ended early")),
        (b"", Failed("the provider's stream ended early")),
        (sse(X, chunk(reason="MAX_TOKENS")), Finish("length")),
        (sse(X, chunk(reason=2)), Finish("length")),
        # a candidate without content
        (sse(X, {"candidates": [{"finishReason": "SAFETY"}]}), Finish("content_filter")),
        (sse({"promptFeedback": {"blockReason": "SAFETY"}}), Finish("content_filter")),
        # a reason may come before the end, and counts after it
        (sse(chunk({"text": "x"}, reason="STOP"), chunk(reason="MAX_TOKENS")), Finish("length")),
        (
            sse(X, STOP, {"usageMetadata": {"promptTokenCount": 8, "thoughtsTokenCount": 1}}),
            Finish("stop", Usage(8, 1, reasoning_tokens=1)),
        ),
        # counts of nothing are no counts
        (sse(STOP, {"usageMetadata": {"trafficType": "ON_DEMAND"}}), Finish("stop", Usage(9, 2))),
        # the last ones are right, even if they are less
        (
            sse(chunk({"text": "x"}, **counted(promptTokenCount=15, candidatesTokenCount=51)), STOP),
            Finish("stop", Usage(9, 2)),
        ),
        # errors
        (sse(X, ERROR), Failed("overloaded", "overloaded")),
        (sse(X, [ERROR]), Failed("overloaded", "overloaded")),
        (sse(X) + msgspec.json.format(msgspec.json.encode(ERROR)), Failed("overloaded", "overloaded")),
        (sse(ERROR, STOP), Failed("overloaded", "overloaded")),
        (
            sse({"error": {"status": "RESOURCE_EXHAUSTED"}}),
            Failed("the provider reported an error", "rate_limit"),
        ),
        (sse(STOP, ERROR), Failed("overloaded", "overloaded", Usage(9, 2))),
        (sse({"error": {}}), Failed("the provider reported an error")),
        # bodies that are no event stream
        (msgspec.json.encode(ERROR), Failed("overloaded", "overloaded")),
        (msgspec.json.encode([ERROR]), Failed("overloaded", "overloaded")),
        (msgspec.json.encode([X, STOP]), Finish("stop", Usage(9, 2))),
        (msgspec.json.encode(STOP), Finish("stop", Usage(9, 2))),
        (msgspec.json.encode([X, STOP])[:-2], Failed("the provider's stream ended early")),
    ],
)
def test_how_streams_end(stream: bytes, end: Delta) -> None:
    deltas = decoded(gemini, stream)

    assert deltas[-1] == end
    assert sum(isinstance(delta, Failed | Finish) for delta in deltas) == 1


@pytest.mark.parametrize(
    "broken",
    [b"data: {oops\r\n\r\n", b"data: [DONE]\r\n\r\n", b'data: {"candidates": 7}\n\n', b"data: \xff\n\n"],
)
def test_an_event_that_cannot_be_read_is_skipped_and_counted(broken: bytes) -> None:
    decoder = gemini.stream_decoder()

    deltas = decoder.feed(sse(X) + broken + sse(STOP)) + decoder.end()

    assert deltas == [START, Text("x"), Text("y"), Finish("stop", Usage(9, 2))]
    assert decoder.skipped == 1


def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollhouse.wire.sse.EVENT_LIMIT_BYTES", 100)
    monkeypatch.setattr(array, "OBJECT_LIMIT_BYTES", 100)

    for start in (b'data: {"a":"', b'[{"a":"'):
        (failed,) = decoded(gemini, start + b"x" * 100, sse(STOP))
        assert isinstance(failed, Failed)
        assert "too large" in failed.message


@pytest.mark.parametrize(
    ("parts", "deltas"),
    [
        ([{"text": ""}], []),
        ([{"text": "x", "thought": True}], [Thinking("x")]),
        ([{"text": "", "thoughtSignature": "s"}], [Thinking("", "s")]),
        ([{"text": "x", "thoughtSignature": "s"}], [Text("x", {"thoughtSignature": "s"})]),
        # what Google's own tools did cannot be told
        ([{"executableCode": {"code": "1"}, "thoughtSignature": "s"}], [Unshown("executableCode")]),
        (
            [
                {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "s"},
                {"functionCall": {"id": "2", "name": "g"}},
            ],
            [
                ToolStart(0, "1", "f", "s"),
                ToolArguments(0, '{"a":1}'),
                ToolStart(1, "2", "g"),
                ToolArguments(1, "{}"),
            ],
        ),
    ],
)
def test_parts(parts: list[dict[str, Any]], deltas: list[Delta]) -> None:
    assert decoded(gemini, sse(chunk(*parts, reason="STOP")))[1:-1] == deltas


def call(*pieces: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"functionCall": {**({"partialArgs": list(pieces)} if pieces else {}), **more}}


def at(path: str, **value: Any) -> dict[str, Any]:
    return {"jsonPath": path, **value}


@pytest.mark.parametrize(
    ("calls", "arguments"),
    [
        ([call(name="f", willContinue=True), call()], ["{}"]),
        (
            [
                call(name="f", willContinue=True),
                call(at("$.a", stringValue="Bos", willContinue=True), willContinue=True),
                call(at("$.a", stringValue="ton"), at("$.b", numberValue=3), willContinue=True),
                call(at("$.c.d[1]['e f']", boolValue=True), at("$.n", nullValue="NULL_VALUE")),
            ],
            ['{"a":"Boston","b":3,"c":{"d":[null,{"e f":true}]},"n":null}'],
        ),
        # the next call, or the end of the stream, ends one as well
        ([call(name="f", willContinue=True), call(name="g", args={"a": 1})], ["{}", '{"a":1}']),
        ([call(at("$.a", numberValue=0.5), name="f", willContinue=True)], ['{"a":0.5}']),
        # what belongs nowhere, or too far off
        (
            [
                call(
                    at("", stringValue="x"), at("$.a[9999999]", boolValue=True), name="f", willContinue=True
                ),
                call(),
            ],
            ["{}"],
        ),
        ([call(at("$.a", stringValue="x"), willContinue=True), call()], []),
        # a list where an object was, and a step into nothing
        (
            [
                call(at("$.a.b", boolValue=True), at("$.a[0]", boolValue=False), name="f", willContinue=True),
                call(),
            ],
            ['{"a":[false]}'],
        ),
    ],
)
def test_arguments_in_pieces(calls: list[dict[str, Any]], arguments: list[str]) -> None:
    deltas = decoded(gemini, sse(*(chunk(one) for one in calls), chunk(reason="STOP")))

    assert [delta.fragment for delta in deltas if isinstance(delta, ToolArguments)] == arguments
    assert deltas[-1] == Finish("tool_calls" if arguments else "stop")


tricky = st.text('{}[]",\\ \n:a\u00e9', max_size=8)


@given(texts=st.lists(tricky, min_size=1, max_size=4), data=st.data())
def test_arrays_are_cut_at_their_objects(texts: list[str], data: st.DataObject) -> None:
    bodies = [{text: {"a": [text, {}]}} for text in texts]
    separator = data.draw(st.sampled_from([b",", b"\n,\r\n"]))
    content = b" [" + separator.join(map(msgspec.json.encode, bodies)) + b"]\n"
    reader = array.ArrayReader()

    found = [text for piece in cut_anywhere(data, content) for text in reader.feed(piece)]

    assert [msgspec.json.decode(text) for text in found] == bodies


def test_a_client_gets_whole_answers_one_after_the_other() -> None:
    stream = encoded(
        gemini,
        Start("m", "r", 1751919739),
        Thinking("t", "s"),
        Text("x"),
        Ping(),
        ToolStart(0, "1", "f", "u"),
        ToolStart(1, "2", "g"),
        ToolArguments(0, '{"a"'),
        ToolArguments(1, "oops"),
        ToolArguments(0, ":1}"),
        Finish("tool_calls", Usage(9, 2)),
    )

    head = {"modelVersion": "m", "createTime": "2025-07-07T20:22:19Z", "responseId": "r"}
    calls: list[dict[str, Any]] = [
        {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "u"},
        {"functionCall": {"id": "2", "name": "g", "args": {"arguments": "oops"}}},
    ]
    counts = {"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11}
    assert stream.endswith(b"\r\n\r\n")
    assert b"[DONE]" not in stream
    assert [
        msgspec.json.decode(event.removeprefix(b"data: ")) for event in stream.split(b"\r\n\r\n")[:-1]
    ] == [
        {**said({"text": "t", "thought": True, "thoughtSignature": "s"}), **head},
        {**said({"text": "x"}), **head},
        {**said(*calls, finishReason="STOP"), **head, "usageMetadata": counts},
    ]


def said(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, "index": 0, **more}]}


@pytest.mark.parametrize(
    ("failed", "code", "status"),
    [(Failed("no"), 502, "INTERNAL"), (Failed("no", "rate_limit"), 429, "RESOURCE_EXHAUSTED")],
)
def test_a_client_is_told_that_a_stream_broke_off(failed: Failed, code: int, status: str) -> None:
    event = encoded(gemini, START, failed)

    assert msgspec.json.decode(event[6:]) == {"error": {"code": code, "message": "no", "status": status}}
