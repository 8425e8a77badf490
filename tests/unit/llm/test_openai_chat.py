"""Details of OpenAI's form and of the servers that speak it nearly."""

from typing import Any

import msgspec
import pytest

from tollhouse.llm.chat import (
    Chat,
    ChatRequest,
    Document,
    Image,
    Media,
    Message,
    Options,
    OtherPart,
    OtherTool,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tollhouse.llm.form import Refusal, Unreadable
from tollhouse.llm.formats.openai_chat import (
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from tollhouse.pdk.usage import Usage


def request(**members: Any) -> ChatRequest:
    return decode_request(msgspec.json.encode({"model": "m", "messages": [], **members}))


def message(**members: Any) -> Message:
    return request(messages=[{"role": "user", **members}]).messages[0]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"content": "hi"}, Message("user", (Text("hi"),))),
        ({"content": ""}, Message("user", ())),
        ({"content": None}, Message("user", ())),
        ({"role": "developer", "content": "x"}, Message("system", (Text("x"),))),
        ({"content": "x", "name": "ann"}, Message("user", (Text("x"),), {"name": "ann"})),
        ({"content": "x", "name": None}, Message("user", (Text("x"),))),
        (
            {"content": [{"type": "text", "text": "a", "cache_control": 1}, {"type": "text", "text": "b"}]},
            Message("user", (Text("a", {"cache_control": 1}), Text("b"))),
        ),
        (
            {"content": [{"type": "image_url", "image_url": {"url": "http://a/b.png", "detail": "low"}}]},
            Message("user", (Image(url="http://a/b.png", detail="low"),)),
        ),
        (
            {"content": [{"type": "image_url", "image_url": "data:image/gif;base64,R0lG", "text": None}]},
            Message("user", (Image(data="R0lG", media_type="image/gif"),)),
        ),
        (
            {"content": [{"type": "input_audio", "input_audio": {"data": "x", "format": "mp3"}}]},
            Message("user", (Media("audio", "x", "audio/mp3"),)),
        ),
        (
            {
                "content": [
                    {
                        "type": "file",
                        "file": {"file_data": "data:application/pdf;base64,eA==", "filename": "a"},
                    }
                ]
            },
            Message("user", (Document(data="eA==", media_type="application/pdf", name="a"),)),
        ),
        (
            {"content": [{"type": "file", "file": {"file_id": "file-1"}}]},
            Message("user", (Document(file_id="file-1"),)),
        ),
        (
            {"content": [{"type": "video", "video": "x"}]},
            Message("user", (OtherPart("video", {"type": "video", "video": "x"}),)),
        ),
        (
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{"}}],
            },
            Message("assistant", (ToolCall("1", "f", "{"),)),
        ),
        (
            {"role": "assistant", "reasoning_content": "hm", "content": "x"},
            Message("assistant", (Thinking("hm"), Text("x"))),
        ),
        (
            {"role": "tool", "tool_call_id": "1", "name": "f", "content": "42"},
            Message("tool", (ToolResult("1", (Text("42"),), "f"),)),
        ),
    ],
)
def test_messages(given: dict[str, Any], read: Message) -> None:
    assert message(**given) == read


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({"max_completion_tokens": 5}, {"options": Options(max_tokens=5)}),
        ({"max_tokens": 5}, {"options": Options(max_tokens=5)}),
        ({"stop": "x"}, {"options": Options(stop=("x",))}),
        ({"stop": ["x", "y"]}, {"options": Options(stop=("x", "y"))}),
        ({"stream": True}, {"stream": True, "include_usage": False}),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"include_usage": True}),
        (
            {"stream": None, "stream_options": None, "temperature": None},
            {"stream": False, "options": Options()},
        ),
        ({"tool_choice": "required"}, {"tool_choice": ToolChoice("required")}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"tool_choice": ToolChoice("one", "f")},
        ),
        (
            {"tool_choice": {"type": "allowed_tools"}},
            {"tool_choice": ToolChoice("other", raw={"type": "allowed_tools"})},
        ),
        ({"response_format": {"type": "json_object"}}, {"response_format": ResponseFormat("json_object")}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": 1}}}},
            {"response_format": ResponseFormat("json_schema", {"a": 1}, {"name": "n"})},
        ),
        ({"reasoning_effort": "high"}, {"effort": "high"}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"user": "u", "metadata": {"a": "b"}, "n": None}, {"user": "u", "extra": {"metadata": {"a": "b"}}}),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "strict": True}}]},
            {"tools": (Tool("f", strict=True),)},
        ),
        (
            {"tools": [{"type": "custom", "custom": {"name": "g"}}]},
            {"tools": (OtherTool("custom", {"type": "custom", "custom": {"name": "g"}}),)},
        ),
    ],
)
def test_the_rest_of_a_request(members: dict[str, Any], what: dict[str, Any]) -> None:
    chat = request(**members)

    assert {name: getattr(chat, name) for name in what} == what


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"messages": [{"role": "boss", "content": "x"}]}, r"messages\[0\]\.role: unknown role 'boss'"),
        ({"messages": [{"role": "user", "content": 7}]}, r"\$\.messages\[0\]\.content"),
        ({"temperature": "hot"}, r"\$\.temperature"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort: unknown effort 'extreme'"),
    ],
)
def test_a_refusal_tells_the_place(members: dict[str, Any], words: str) -> None:
    with pytest.raises(Refusal, match=words):
        request(**members)


def test_what_a_client_said_beyond_the_fields_stays_in_its_own_form() -> None:
    body = {
        "model": "o3",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": 1}], "name": "ann"},
            {"role": "user", "content": [{"type": "file", "file": {"file_id": "1"}}]},
        ],
        "tools": [{"type": "custom", "custom": {"name": "g"}}],
        "max_completion_tokens": 7,
        "service_tier": "flex",
    }
    ignored: list[str] = []

    assert encode_request(decode_request(msgspec.json.encode(body)), ignored) == body
    assert ignored == []


def test_what_only_another_form_knows_is_refused_or_listed() -> None:
    chat = ChatRequest(
        form="other", model="m", messages=(Message("user", (Text("x", {"k": 1}),)),), extra={"keep": 1}
    )
    ignored: list[str] = []

    body = encode_request(chat, ignored)

    assert body["messages"] == [{"role": "user", "content": "x"}]
    assert ignored == ["keep"]
    with pytest.raises(Refusal, match="'video'"):
        encode_request(
            ChatRequest(form="other", model="m", messages=(Message("user", (OtherPart("video", {}),)),)), []
        )
    with pytest.raises(Refusal, match="'search'"):
        encode_request(
            ChatRequest(form="other", model="m", messages=(), tools=(OtherTool("search", {}),)), []
        )


# Answers


def answer(message: dict[str, Any], **members: Any) -> Chat:
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return decode_response(msgspec.json.encode({"model": "m", "choices": [choice], **members}))


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": "hi"}, (Text("hi"),)),
        ({"content": None}, ()),
        ({"content": "hi", "reasoning_content": "hm"}, (Thinking("hm"), Text("hi"))),
        ({"content": "hi", "reasoning": "hm"}, (Thinking("hm"), Text("hi"))),
        ({"content": None, "refusal": "no"}, (Text("no"),)),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                    {"type": "text", "text": "hi"},
                ]
            },
            (Thinking("hm"), Text("hi")),
        ),
        (
            {"tool_calls": [{"id": None, "function": {"name": "f", "arguments": None}}, {"id": "2"}]},
            (ToolCall("", "f", ""),),
        ),
    ],
)
def test_what_dialects_put_into_a_message(message: dict[str, Any], parts: Any) -> None:
    assert answer(message).parts == parts


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("function_call", "tool_calls"),
        ("model_length", "length"),
        ("something new", "stop"),
        (None, "stop"),
    ],
)
def test_reasons(told: str | None, reason: str) -> None:
    body = {"choices": [{"message": {"content": "x"}, "finish_reason": told}]}

    assert decode_response(msgspec.json.encode(body)).reason == reason


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2}, Usage(9, 2)),
        ({"prompt_tokens": 9.0, "completion_tokens": None}, Usage(9, 0)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1},
            },
            Usage(9, 2, cached_tokens=4, prompt_audio_tokens=1),
        ),
        # More cached than asked: no count may contradict another.
        (
            {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 12}},
            Usage(9, 2, cached_tokens=9),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 5},
            Usage(9, 2, cached_tokens=5),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 20,
                "total_tokens": 29,
                "completion_tokens_details": {"reasoning_tokens": 15},
            },
            Usage(9, 20, reasoning_tokens=15),
        ),
        # xAI counts reasoning beside the completion.
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 20,
                "total_tokens": 44,
                "completion_tokens_details": {"reasoning_tokens": 15},
            },
            Usage(9, 35, reasoning_tokens=15),
        ),
    ],
)
def test_counts_of_dialects_in_one_meaning(counts: dict[str, Any], usage: Usage) -> None:
    assert answer({"content": "x"}, usage=counts).usage == usage
    assert answer({"content": "x"}, x_groq={"usage": counts}).usage == usage


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"choices":[]}', b'{"choices":[{}]}', b'{"choices":[{"message":7}]}']
)
def test_what_is_no_answer_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        decode_response(body)


def test_an_answer_with_calls_has_no_text_but_says_so() -> None:
    chat = Chat(model="m", parts=(ToolCall("1", "f", "{}"),), reason="tool_calls")

    body = encode_response(chat)

    assert body["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    assert "usage" not in body
    assert "id" not in body
