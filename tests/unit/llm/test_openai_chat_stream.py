"""Streams of OpenAI's form, as the many servers send them that speak it nearly."""

from typing import Any

import msgspec
import pytest
from tests.support.dialogues import towards

from tollhouse.llm.chat import Delta, Failed, Finish, Start, Text, ToolArguments, ToolStart, Trouble
from tollhouse.llm.dialogue import Sent
from tollhouse.llm.formats.openai_chat import stream_decoder, stream_encoder
from tollhouse.llm.provider import FormName
from tollhouse.pdk.usage import Usage


def read(*chunks: dict[str, Any] | str, done: bool = True) -> list[Delta]:
    decoder = stream_decoder()
    texts = [c if isinstance(c, str) else msgspec.json.encode(c).decode() for c in chunks]
    stream = "".join(f"data: {text}\n\n" for text in texts) + ("data: [DONE]\n\n" if done else "")
    return decoder.feed(stream.encode()) + decoder.end()


def chunk(delta: dict[str, Any], reason: str | None = None, **members: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **members}


def call(
    index: int | None = None, id_: str | None = None, name: str | None = None, arguments: str = ""
) -> Any:
    piece: dict[str, Any] = {"function": {"name": name, "arguments": arguments}, "id": id_}
    return chunk({"tool_calls": [piece if index is None else {"index": index, **piece}]})


STARTED = [ToolStart(0, "a", "f"), ToolArguments(0, "{}"), ToolStart(1, "b", "g"), ToolArguments(1, "[]")]


@pytest.mark.parametrize(
    "pieces",
    [
        [call(0, "a", "f"), call(0, arguments="{}"), call(1, "b", "g"), call(1, arguments="[]")],
        # all with index 0: a new id is a new call
        [call(0, "a", "f", "{}"), call(0, "b", "g", "[]")],
        # no index at all
        [call(None, "a", "f", "{}"), call(None, "b", "g", "[]")],
        # id and name in every piece
        [call(0, "a", "f"), call(0, "a", "f", "{}"), call(1, "b", "g"), call(1, "b", "g", "[]")],
        # indexes that begin elsewhere
        [call(3, "a", "f", "{}"), call(7, "b", "g", "[]")],
    ],
)
def test_calls_are_numbered_whatever_the_server_does(pieces: list[dict[str, Any]]) -> None:
    assert read(*pieces, chunk({}, "stop"))[1:-1] == STARTED


@pytest.mark.parametrize(
    ("chunks", "done", "end"),
    [
        ([chunk({}, "stop")], True, Finish("stop")),
        ([chunk({}, "stop")], False, Finish("stop")),
        (
            [chunk({}, "length"), {"choices": [], "usage": {"prompt_tokens": 1}}],
            True,
            Finish("length", Usage(1, 0)),
        ),
        ([chunk({}, "stop", usage={"prompt_tokens": 1})], True, Finish("stop", Usage(1, 0))),
        ([chunk({}, "stop", x_groq={"usage": {"prompt_tokens": 1}})], True, Finish("stop", Usage(1, 0))),
        ([chunk({"content": "x"})], False, Failed("the provider's stream ended early")),
        ([{"error": {"message": "no"}}], False, Failed("no")),
        ([{"error": "no"}], True, Failed("no")),
        ([{"error": {}}], True, Failed("the provider reported an error")),
        ([chunk({"content": "x"}), chunk({}, error={"message": "no"})], True, Failed("no")),
    ],
)
def test_how_streams_end(chunks: list[dict[str, Any]], done: bool, end: Delta) -> None:
    assert read(*chunks, done=done)[-1] == end


def test_only_the_first_choice_is_read() -> None:
    other = {
        "model": "m",
        "choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "length"}],
    }

    assert read(other, chunk({"content": "x"}, "stop")) == [Start("m"), Text("x"), Finish("stop")]


def test_usage_is_only_told_to_who_asked() -> None:
    deltas: list[Delta] = [Start("m", "1", 5), Text("x"), Finish("stop", Usage(1, 2))]

    for asked in (True, False):
        encoder = stream_encoder(include_usage=asked)
        stream = b"".join(map(encoder.encode, deltas))
        assert (b"prompt_tokens" in stream) is asked
        assert (b'"usage":null' in stream) is asked
        assert stream.endswith(b"data: [DONE]\n\n")


def test_half_an_answer_is_never_told_as_done() -> None:
    encoder = stream_encoder(include_usage=True)

    stream = encoder.encode(Start("m", "1", 5)) + encoder.encode(Failed("no"))

    assert b"[DONE]" not in stream
    error = b'{"message":"no","type":"api_error","param":null,"code":"upstream_error"}'
    assert stream.endswith(b'data: {"error":' + error + b"}\n\n")


@pytest.mark.parametrize(
    ("client", "told"),
    [
        ("anthropic_messages", b"event: ping\n"),
        ("openai_responses", b": ping\n\n"),
        ("cohere_chat", b": ping\n\n"),
    ],
)
def test_a_comment_that_keeps_the_connection_alive_survives(client: FormName, told: bytes) -> None:
    begun = b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    passage = towards("openai_chat", client).stream(Sent(b""), "id", 1, keep_text=False)

    assert told not in passage.feed(b": still here\n\n" + begun, False)
    assert told in passage.feed(b": still here\n\n", False)


@pytest.mark.parametrize(
    ("trouble", "code"),
    [("rate_limit", "rate_limit_exceeded"), ("overloaded", "overloaded"), ("timeout", "timeout")],
)
def test_an_error_within_a_stream_has_the_code_that_clients_look_for(trouble: Trouble, code: str) -> None:
    told = stream_encoder(include_usage=True).encode(Failed("no", trouble))

    error = msgspec.json.decode(told.removeprefix(b"data: "))["error"]
    assert (error["message"], error["code"], error["param"]) == ("no", code, None)
