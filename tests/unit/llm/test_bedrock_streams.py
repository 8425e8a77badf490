"""Streams of ConverseStream."""

from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.dialogues import towards
from tests.support.recordings import Recording, recording, recordings

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
from tollhouse.llm.dialogue import FORMS, Sent
from tollhouse.llm.formats.bedrock_converse import stream_decoder, stream_encoder
from tollhouse.llm.formats.bedrock_converse.eventstream import FrameReader, event, exception, frame
from tollhouse.pdk.usage import Usage

STREAMS = recordings("converse-stream")
REASONS = {"end_turn": "stop", "tool_use": "tool_calls", "guardrail_intervened": "content_filter"}


def named(found: list[Recording]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("stored", found, ids=[stored.name for stored in found])


def decoded(*pieces: bytes) -> list[Delta]:
    decoder = stream_decoder()
    return [delta for piece in pieces for delta in decoder.feed(piece)] + decoder.end()


def events_of(content: bytes) -> list[tuple[str, Any]]:
    found = FrameReader().feed(content)
    return [(one.headers[":event-type"], msgspec.json.decode(one.payload)) for one in found]


@named(STREAMS)
def test_a_recorded_stream_is_read_from_start_to_finish(stored: Recording) -> None:
    events = events_of(stored.content)
    deltas = [body for kind, body in events if kind == "contentBlockDelta"]
    starts = [body["start"]["toolUse"] for kind, body in events if kind == "contentBlockStart"]

    found = decoded(stored.content)

    pieces = [body["delta"] for body in deltas]
    assert texts(found) == "".join(piece.get("text", "") for piece in pieces)
    assert thoughts(found) == "".join(piece.get("reasoningContent", {}).get("text", "") for piece in pieces)
    assert [(one.id, one.name) for one in found if isinstance(one, ToolStart)] == [
        (use["toolUseId"], use["name"]) for use in starts
    ]
    assert "".join(one.fragment for one in found if isinstance(one, ToolArguments)) == "".join(
        piece["toolUse"]["input"] for piece in pieces if "toolUse" in piece
    )
    (stop,) = [body for kind, body in events if kind == "messageStop"]
    assert found[0] == Start("")
    counts = events[-1][1]["usage"]
    usage = Usage(counts["inputTokens"], counts["outputTokens"])  # no recorded stream has used a cache
    assert found[-1] == Finish(cast(Any, REASONS[stop["stopReason"]]), usage)


def texts(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, Text))


def thoughts(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, Thinking))


@given(stored=st.sampled_from(STREAMS), data=st.data())
def test_where_the_network_cuts_a_stream_changes_no_delta(stored: Recording, data: Any) -> None:
    content = stored.content
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), min_size=1, max_size=5)))
    pieces = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]

    assert decoded(*pieces) == decoded(content)


def encoded(*deltas: Delta) -> bytes:
    encoder = stream_encoder(include_usage=True)
    return b"".join(map(encoder.encode, deltas))


@named(STREAMS)
def test_a_recorded_stream_survives_its_own_form(stored: Recording) -> None:
    deltas = decoded(stored.content)

    assert decoded(encoded(*deltas)) == deltas


@named(STREAMS)
def test_clients_of_openai_hear_what_a_model_on_bedrock_said(stored: Recording) -> None:
    passage = towards("bedrock_converse").stream(Sent(b"", include_usage=True), "id", 5, keep_text=True)

    out = passage.feed(stored.content, True)

    decoder = FORMS["openai_chat"].stream_decoder()
    heard, deltas = decoder.feed(out) + decoder.end(), decoded(stored.content)
    assert texts(heard) == texts(deltas) == passage.text
    assert thoughts(heard) == thoughts(deltas)
    assert heard[-1] == deltas[-1]


def made(kind: str, **body: Any) -> bytes:
    return event(kind, msgspec.json.encode({"p": "abcdefgh", **body}))


def delta(block: int, **piece: Any) -> bytes:
    return made("contentBlockDelta", contentBlockIndex=block, delta=piece)


def call(block: int, **more: Any) -> bytes:
    use = {"toolUseId": f"t{block}", "name": "f", **more}
    return made("contentBlockStart", contentBlockIndex=block, start={"toolUse": use})


def stop(block: int) -> bytes:
    return made("contentBlockStop", contentBlockIndex=block)


COUNTS = {"inputTokens": 9, "outputTokens": 2, "totalTokens": 11}
END = made("messageStop", stopReason="end_turn") + made("metadata", usage=COUNTS, metrics={"latencyMs": 1})
BEGUN = made("messageStart", role="assistant") + delta(0, text="x")
FINISH = Finish("stop", Usage(9, 2))
CALLED_FINISH = Finish("tool_calls", Usage(9, 2))
EARLY = Failed("the provider's stream ended early")


@pytest.mark.parametrize(
    ("content", "after_start"),
    [
        (BEGUN + END, [Text("x"), FINISH]),
        # Usage comes after messageStop; an answer without it is whole all the same.
        (BEGUN + made("messageStop", stopReason="max_tokens"), [Text("x"), Finish("length")]),
        (BEGUN, [Text("x"), EARLY]),
        (BEGUN + made("metadata", usage=COUNTS), [Text("x"), EARLY]),
        (BEGUN + END + delta(1, text="late"), [Text("x"), FINISH]),
        (BEGUN + made("somethingNew", a=1) + END, [Text("x"), FINISH]),
        (BEGUN + delta(0, image={}) + delta(0, citation={"title": "t"}) + END, [Text("x"), FINISH]),
        (BEGUN + event("contentBlockDelta", b"{oops") + END, [Text("x"), FINISH]),
        (BEGUN + b"HTTP/1.1 502", [Text("x"), Failed("an event stream is damaged, or is none")]),
        # Calls count for themselves, whatever stands between them.
        (
            BEGUN + stop(0) + call(1) + delta(1, toolUse={"input": '{"a"'})
            + delta(1, toolUse={"input": ":1}"}) + stop(1) + call(2) + stop(2) + END,
            [
                Text("x"),
                ToolStart(0, "t1", "f"),
                ToolArguments(0, '{"a"'),
                ToolArguments(0, ":1}"),
                ToolStart(1, "t2", "f"),
                ToolArguments(1, "{}"),
                CALLED_FINISH,
            ],
        ),
        (BEGUN + call(1) + END, [Text("x"), ToolStart(0, "t1", "f"), ToolArguments(0, "{}"), CALLED_FINISH]),
        # Tools that run at the provider are none of the client's business.
        (
            BEGUN + call(1, type="server_tool_use") + delta(1, toolUse={"input": "{}"}) + stop(1) + END,
            [Text("x"), FINISH],
        ),
        (
            BEGUN + delta(1, reasoningContent={"text": "hm"}) + delta(1, reasoningContent={"signature": "s"})
            + delta(2, reasoningContent={"redactedContent": "b3A="}) + delta(3, reasoningContent={}) + END,
            [Text("x"), Thinking("hm"), Thinking("", "s"), Thinking("", redacted="b3A="), FINISH],
        ),
    ],
)  # fmt: skip
def test_what_streams_say(content: bytes, after_start: list[Delta]) -> None:
    assert decoded(content) == [Start(""), *after_start]


def test_events_that_cannot_be_read_are_counted() -> None:
    decoder = stream_decoder()

    decoder.feed(BEGUN + event("contentBlockDelta", b"{oops") + event("messageStop", b"{}") + END)

    assert decoder.skipped == 2


def test_which_stop_sequence_it_was() -> None:
    fields = {"delta": {"stop_sequence": "END"}}
    ending = made("messageStop", stopReason="stop_sequence", additionalModelResponseFields=fields)

    finish = decoded(BEGUN, ending, made("metadata", usage=COUNTS))[-1]

    assert finish == Finish("stop", Usage(9, 2), "END")
    assert decoded(encoded(Start("m"), finish))[-1] == finish


@pytest.mark.parametrize(
    ("kind", "message", "trouble"),
    [
        ("throttlingException", "slow down", "rate_limit"),
        ("modelStreamErrorException", "stopped", "upstream_error"),
        ("internalServerException", "oops", "upstream_error"),
        ("serviceUnavailableException", "busy", "overloaded"),
        ("modelTimeoutException", "late", "timeout"),
        ("validationException", "no", "invalid_request"),
        ("validationException", "Input is too long for requested model.", "context_length"),
        ("somethingNewException", "x", "upstream_error"),
    ],
)
def test_exceptions_end_a_stream(kind: str, message: str, trouble: Any) -> None:
    broken = exception(kind, msgspec.json.encode({"message": message}))

    assert decoded(BEGUN + broken + END) == [Start(""), Text("x"), Failed(message, trouble)]


def test_a_recorded_exception_ends_a_stream() -> None:
    assert decoded(recording("synthetic/bedrock-stream-exception").content)[-1] == Failed(
        "The model stopped unexpectedly"
    )


def test_errors_that_are_no_exceptions_end_a_stream_too() -> None:
    headers = {":message-type": "error", ":error-code": "InternalError", ":error-message": "gone"}

    assert decoded(frame(headers, b"")) == [Failed("gone")]
    assert decoded(frame({":message-type": "exception"}, b"")) == [Failed("the provider's stream broke off")]


KINDS = [
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
]
ODD = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from(["delta", "text", "toolUse", "usage"]), inner, max_size=3),
)


@given(found=st.lists(st.tuples(st.sampled_from(KINDS), ODD), max_size=6), rubbish=st.binary(max_size=20))
def test_whatever_comes_a_stream_has_one_end(found: list[tuple[str, Any]], rubbish: bytes) -> None:
    deltas = decoded(*(event(kind, msgspec.json.encode(body)) for kind, body in found), rubbish)

    assert [one for one in deltas if isinstance(one, Finish | Failed)] == deltas[-1:]


def written(*deltas: Delta) -> list[Any]:
    return [
        (
            kind,
            body.get("contentBlockIndex"),
            body.get("start") or body.get("delta") or body.get("stopReason"),
        )
        for kind, body in events_of(encoded(*deltas))
    ]


def test_a_client_gets_blocks_one_after_another() -> None:
    assert written(
        Start("m", "id", 1),
        Thinking("a"),
        Thinking("", "s"),
        Thinking("b"),
        Thinking("", redacted="b3A="),
        Ping(),
        Text(""),
        Text("x"),
        ToolStart(0, "1", "f"),
        ToolStart(1, "2", "g"),
        ToolArguments(1, '{"b"'),
        ToolArguments(0, '{"a":1}'),
        ToolArguments(1, ":2}"),
        Text("y"),
        ToolArguments(0, " "),
        Finish("tool_calls", Usage(9, 2)),
    ) == [
        ("messageStart", None, None),
        ("contentBlockDelta", 0, {"reasoningContent": {"text": "a"}}),
        ("contentBlockDelta", 0, {"reasoningContent": {"signature": "s"}}),
        ("contentBlockStop", 0, None),
        ("contentBlockDelta", 1, {"reasoningContent": {"text": "b"}}),
        ("contentBlockStop", 1, None),
        ("contentBlockDelta", 2, {"reasoningContent": {"redactedContent": "b3A="}}),
        ("contentBlockStop", 2, None),
        ("contentBlockDelta", 3, {"text": "x"}),
        ("contentBlockStop", 3, None),
        ("contentBlockStart", 4, {"toolUse": {"toolUseId": "1", "name": "f"}}),
        ("contentBlockDelta", 4, {"toolUse": {"input": '{"a":1}'}}),
        ("contentBlockStop", 4, None),
        ("contentBlockStart", 5, {"toolUse": {"toolUseId": "2", "name": "g"}}),
        ("contentBlockDelta", 5, {"toolUse": {"input": '{"b":2}'}}),
        ("contentBlockStop", 5, None),
        ("contentBlockDelta", 6, {"text": "y"}),
        ("contentBlockDelta", 4, {"toolUse": {"input": " "}}),
        ("contentBlockStop", 6, None),
        ("messageStop", None, "tool_use"),
        ("metadata", None, None),
    ]
