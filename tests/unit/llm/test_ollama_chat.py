"""Details of Ollama's own form."""

from typing import Any

import msgspec
import pytest

from tollhouse.llm.chat import (
    Chat,
    ChatRequest,
    Delta,
    Failed,
    Finish,
    Image,
    Message,
    Options,
    OtherPart,
    OtherTool,
    ResponseFormat,
    Start,
    Text,
    Tool,
    ToolArguments,
    ToolCall,
    ToolChoice,
    ToolResult,
    ToolStart,
)
from tollhouse.llm.form import Refusal, Unreadable
from tollhouse.llm.formats.ollama_chat import (
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    stream,
    stream_decoder,
    stream_encoder,
)
from tollhouse.pdk.usage import Usage

HELLO = Message("user", (Text("hi"),))


def encoded(*messages: Message, ignored: list[str] | None = None, **members: Any) -> dict[str, Any]:
    chat = ChatRequest(form="openai_chat", model="m", messages=messages or (HELLO,), **members)
    return encode_request(chat, [] if ignored is None else ignored)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, {"stream": False, "options": {}}),
        ({"stream": True}, {"stream": True}),
        (
            {"options": Options(max_tokens=5, temperature=0, stop=("x",), seed=1)},
            {"options": {"num_predict": 5, "temperature": 0, "stop": ("x",), "seed": 1}},
        ),
        ({"effort": "none"}, {"think": False}),
        ({"effort": "minimal"}, {"think": "low"}),
        ({"effort": "xhigh"}, {"think": "high"}),
        ({"response_format": ResponseFormat("json_object")}, {"format": "json"}),
        ({"response_format": ResponseFormat("json_schema", {"a": 1})}, {"format": {"a": 1}}),
        (
            {"tools": (Tool("f", None, {"type": "object"}),)},
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
        ),
        (
            {"extra": {"keep_alive": "5m"}, "options": Options(logprobs=True)},
            {"keep_alive": "5m", "logprobs": True},
        ),
    ],
)
def test_requests_for_a_provider(members: dict[str, Any], expected: dict[str, Any]) -> None:
    body = encoded(**members)

    assert {name: body[name] for name in expected} == expected
    assert body["messages"] == [{"role": "user", "content": "hi"}]


def test_without_tools_and_format_there_are_no_such_members() -> None:
    tools: Any = (Tool("f"),)
    body = encoded(tools=tools, tool_choice=ToolChoice("none"), response_format=ResponseFormat("text"))

    assert body.keys() == {"model", "messages", "stream", "options"}


@pytest.mark.parametrize(
    ("message", "turns"),
    [
        (
            Message("user", (Text("a"), Image(data="iVB"), Text("b"))),
            [{"role": "user", "content": "ab", "images": ["iVB"]}],
        ),
        (
            Message("assistant", (ToolCall("1", "f", '{"a": 1}'), ToolCall("", "g", ""))),
            [
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [
                        {"id": "1", "function": {"name": "f", "arguments": {"a": 1}}},
                        {"function": {"name": "g", "arguments": {}}},
                    ],
                }
            ],
        ),
        (
            Message("tool", (ToolResult("1", (Text("42"),), "f"), ToolResult("", (Text("7"),)))),
            [
                {"role": "tool", "content": "42", "tool_name": "f", "tool_call_id": "1"},
                {"role": "tool", "content": "7"},
            ],
        ),
    ],
)
def test_messages_for_a_provider(message: Message, turns: list[dict[str, Any]]) -> None:
    assert encoded(message)["messages"] == turns


def test_a_result_gets_the_name_of_its_call() -> None:
    call = Message("assistant", (ToolCall("1", "f", "{}"),))

    body = encoded(call, Message("tool", (ToolResult("1", (Text("42"),)),)))

    assert body["messages"][1]["tool_name"] == "f"


@pytest.mark.parametrize(
    ("members", "names"),
    [
        ({"user": "u", "extra": {"metadata": {}}}, ["user", "metadata"]),
        ({"parallel_tool_calls": False}, ["parallel_tool_calls"]),
        ({"parallel_tool_calls": True}, []),
        ({"tools": (Tool("f", strict=True),)}, ["tools.function.strict"]),
        # What changes nothing is not worth telling.
        ({"extra": {"store": False, "logit_bias": {}, "modalities": ["text"]}}, []),
    ],
)
def test_what_changes_little_is_left_out_and_told(members: dict[str, Any], names: list[str]) -> None:
    ignored: list[str] = []
    encoded(ignored=ignored, **members)

    assert ignored == names


def test_arguments_that_are_no_json_do_not_end_the_conversation() -> None:
    ignored: list[str] = []

    body = encoded(Message("assistant", (ToolCall("1", "f", "{oops"),)), ignored=ignored)

    assert body["messages"][0]["tool_calls"][0]["function"]["arguments"] == {}
    assert ignored == ["messages[0].tool_calls.function.arguments"]


@pytest.mark.parametrize(
    ("messages", "members", "words"),
    [
        ((), {"options": Options(n=2)}, "n is not supported"),
        ((), {"extra": {"logit_bias": {"1": 2}}}, "logit_bias is not supported"),
        ((), {"extra": {"audio": {}}}, "audio is not supported"),
        ((), {"tools": (Tool("f"),), "tool_choice": ToolChoice("required")}, "tool_choice"),
        ((), {"tools": (OtherTool("custom", {}),)}, "'custom' is not supported"),
        (
            (Message("user", (OtherPart("input_audio", {}),)),),
            {},
            r"messages\[0\]: content of type 'input_audio'",
        ),
        ((Message("user", (Image(url="http://a/b"),)),), {}, "picture must be given as data"),
    ],
)
def test_what_would_change_the_answer_is_refused(
    messages: tuple[Message, ...], members: dict[str, Any], words: str
) -> None:
    with pytest.raises(Refusal, match=words):
        encoded(*messages, **members)


# From a client


def read(**members: Any) -> ChatRequest:
    return decode_request(msgspec.json.encode({"model": "m", "messages": [], **members}))


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({}, {"stream": True, "options": Options(), "include_usage": True}),
        ({"stream": False}, {"stream": False}),
        ({"options": {"num_predict": -1}}, {"options": Options()}),
        (
            {"options": {"num_predict": 5, "stop": "x", "num_ctx": 9}},
            {"options": Options(max_tokens=5, stop=("x",)), "extra": {"options.num_ctx": 9}},
        ),
        ({"format": "json"}, {"response_format": ResponseFormat("json_object")}),
        ({"format": ""}, {"response_format": None}),
        (
            {"format": {"a": 1}},
            {"response_format": ResponseFormat("json_schema", {"a": 1}, {"name": "answer"})},
        ),
        ({"think": "high"}, {"effort": "high"}),
        ({"think": False}, {"effort": "none"}),
        ({"think": True}, {"effort": None}),
        ({"keep_alive": "5m", "tools": [], "template": None}, {"tools": (), "extra": {"keep_alive": "5m"}}),
    ],
)
def test_requests_of_a_client(members: dict[str, Any], what: dict[str, Any]) -> None:
    chat = read(**members)

    assert {name: getattr(chat, name) for name in what} == what


def test_results_without_ids_belong_to_the_first_open_call_of_that_name() -> None:
    calls: list[Any] = [{"function": {"name": name, "arguments": {}}} for name in ("f", "g")]
    messages = read(
        messages=[
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "content": "2", "tool_name": "g"},
            {"role": "tool", "content": "1"},
            {"role": "tool", "content": "?"},
        ]
    ).messages

    results = [message.parts[0] for message in messages[1:]]
    assert [result.call_id for result in results if isinstance(result, ToolResult)] == [
        "call_0_1",
        "call_0_0",
        "",
    ]


@pytest.mark.parametrize(
    ("start", "kind"),
    [("iVBORw", "image/png"), ("/9j/4A", "image/jpeg"), ("R0lGODlh", "image/gif"), ("???", "image/jpeg")],
)
def test_pictures_tell_their_kind_by_how_they_begin(start: str, kind: str) -> None:
    (message,) = read(messages=[{"role": "user", "content": "x", "images": [start]}]).messages

    assert message.parts[1] == Image(data=start, media_type=kind)


# Answers and streams

LINE: dict[str, Any] = {"model": "m", "created_at": "2025-07-07T20:22:19.184789Z", "done": False}


def line(**members: Any) -> bytes:
    return msgspec.json.encode(LINE | members) + b"\n"


@pytest.mark.parametrize(
    ("members", "usage"),
    [
        ({"prompt_eval_count": 9, "eval_count": 2}, Usage(9, 2)),
        ({"eval_count": 2}, Usage(0, 2)),
        ({}, None),
    ],
)
def test_counts(members: dict[str, Any], usage: Usage | None) -> None:
    chat = decode_response(line(done=True, message={"content": "x"}, **members))

    assert chat == Chat(model="m", parts=(Text("x"),), reason="stop", usage=usage, created=1751919739)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "failed to decode ollama response"),
        (b"[]", "failed to decode ollama response"),
        (b"{}", "failed to decode ollama response"),
        (b"\xff", "failed to decode ollama response"),
        (b'{"error":"out of memory"}', "out of memory"),
    ],
)
def test_what_is_no_answer_is_unreadable(body: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        decode_response(body)


CALLS = {
    "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}, {"id": "x", "function": {"name": "g"}}]
}


def test_calls_get_ids_that_are_the_same_streamed_or_not() -> None:
    whole = decode_response(line(done=True, message=CALLS))
    deltas = deltas_of(line(message=CALLS), line(done=True, message={"content": ""}))

    first, second = whole.parts
    assert isinstance(first, ToolCall)
    assert first.id.startswith("call_")
    assert second == ToolCall("x", "g", "{}")
    assert deltas[1:-1] == [
        ToolStart(0, first.id, "f"),
        ToolArguments(0, '{"a":1}'),
        ToolStart(1, "x", "g"),
        ToolArguments(1, "{}"),
    ]
    assert deltas[-1] == Finish("tool_calls", None)
    assert whole.reason == "tool_calls"


def deltas_of(*pieces: bytes) -> list[Delta]:
    decoder = stream_decoder()
    return [delta for piece in pieces for delta in decoder.feed(piece)] + decoder.end()


TEXT = line(message={"content": "x"})


@pytest.mark.parametrize(
    ("pieces", "end"),
    [
        ([TEXT, line(done=True, done_reason="length", eval_count=1)], Finish("length", Usage(0, 1))),
        ([TEXT, line(done=True)[:-1]], Finish("stop")),
        ([TEXT, line(done=True), TEXT], Finish("stop")),
        ([TEXT], Failed("the provider's stream ended early")),
        ([TEXT, b'{"error":"out of memory"}\n'], Failed("out of memory")),
        ([b'{"error":"out of memory"}\n', TEXT], Failed("out of memory")),
        ([b"\n\r\n", TEXT, b"\n", line(done=True)], Finish("stop")),
    ],
)
def test_how_streams_end(pieces: list[bytes], end: Delta) -> None:
    assert deltas_of(*pieces)[-1] == end


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LINE_LIMIT_BYTES", 100)

    assert deltas_of(b'{"model":"' + b"x" * 100, TEXT) == [
        Failed("a line of the provider's stream is too long")
    ]


def test_a_client_gets_calls_whole_before_the_end() -> None:
    encoder = stream_encoder(include_usage=False)
    deltas: list[Delta] = [
        Start("m", "id", 1),
        Text("x"),
        ToolStart(0, "1", "f"),
        ToolArguments(0, '{"a"'),
        ToolArguments(0, ":1}"),
        ToolStart(1, "2", "g"),
        ToolArguments(1, "oops"),
        Finish("tool_calls", Usage(9, 2)),
    ]

    lines = [msgspec.json.decode(text) for text in b"".join(map(encoder.encode, deltas)).splitlines()]

    assert [found["message"].get("content") for found in lines] == ["x", "", ""]
    assert lines[1]["message"]["tool_calls"] == [
        {"id": "1", "function": {"name": "f", "arguments": {"a": 1}}},
        {"id": "2", "function": {"name": "g", "arguments": {"arguments": "oops"}}},
    ]
    assert [found["done"] for found in lines] == [False, False, True]
    assert (lines[2]["prompt_eval_count"], lines[2]["eval_count"]) == (9, 2)
    assert encoder.encode(Failed("no")) == b'{"error":"no"}\n'


def test_a_whole_answer_for_a_client() -> None:
    chat = Chat(model="m", parts=(Text("x"),), reason="length", usage=Usage(9, 2), created=0)

    assert encode_response(chat) == {
        "model": "m",
        "created_at": "1970-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": "x"},
        "done": True,
        "done_reason": "length",
        "prompt_eval_count": 9,
        "eval_count": 2,
    }
