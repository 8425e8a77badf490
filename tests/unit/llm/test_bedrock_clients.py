"""Requests of clients that speak Converse, and what becomes of them on the way to Bedrock."""

from typing import Any

import msgspec
import pytest

from tollhouse.llm.chat import (
    ChatRequest,
    Document,
    Image,
    Media,
    Message,
    Options,
    OtherPart,
    OtherTool,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tollhouse.llm.form import Refusal, Told
from tollhouse.llm.formats.bedrock_converse import decode_request, encode_request

GPT_OSS = "openai.gpt-oss-120b-1:0"


TOOL = Tool("f", "does f", {"type": "object", "properties": {"a": {}}})
SPEC = {
    "toolSpec": {
        "name": "f",
        "description": "does f",
        "inputSchema": {"json": {"type": "object", "properties": {"a": {}}}},
    }
}


def bare(name: str) -> dict[str, Any]:
    return {"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object", "properties": {}}}}}


USED = {"toolUse": {"toolUseId": "1", "name": "f", "input": {"a": 1}}}
GIVEN = {"toolResult": {"toolUseId": "1", "content": [{"text": "42"}]}}

MODEL = Told("anthropic.claude-v1:0", stream=True)


def read(told: Told = MODEL, **members: Any) -> ChatRequest:
    return decode_request(msgspec.json.encode({"messages": []} | members), told)


@pytest.mark.parametrize(
    ("members", "what"),
    [
        (
            {},
            {"model": MODEL.model, "stream": True, "options": Options(), "include_usage": True, "extra": {}},
        ),
        (
            {"inferenceConfig": {"maxTokens": 5, "stopSequences": ["x"], "odd": 1}},
            {"options": Options(max_tokens=5, stop=("x",)), "extra": {"inferenceConfig.odd": 1}},
        ),
        (
            {"additionalModelRequestFields": {"top_k": 4, "anthropic_beta": ["b"]}},
            {
                "options": Options(top_k=4),
                "extra": {"additionalModelRequestFields.anthropic_beta": ["b"]},
            },
        ),
        (
            {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2000}}},
            {"thinking_tokens": 2000, "extra": {}},
        ),
        (
            {"additionalModelRequestFields": {"thinking": {"type": "disabled"}}},
            {"thinking_tokens": 0, "extra": {}},
        ),
        (
            {
                "additionalModelRequestFields": {"thinking": {"type": "adaptive"}},
                "outputConfig": {"effort": "high"},
            },
            {"effort": "high", "extra": {"additionalModelRequestFields.thinking": {"type": "adaptive"}}},
        ),
        ({"outputConfig": {"effort": "odd"}}, {"effort": None, "extra": {"outputConfig.effort": "odd"}}),
        ({"toolConfig": {"tools": [SPEC]}}, {"tools": (TOOL,), "tool_choice": None}),
        ({"toolConfig": {"tools": [SPEC], "toolChoice": {"auto": {}}}}, {"tool_choice": ToolChoice("auto")}),
        ({"toolConfig": {"toolChoice": {"any": {}}}}, {"tool_choice": ToolChoice("required")}),
        ({"toolConfig": {"toolChoice": {"tool": {"name": "f"}}}}, {"tool_choice": ToolChoice("one", "f")}),
        (
            {"requestMetadata": {"user": "u", "a": "b"}},
            {"user": "u", "extra": {"requestMetadata": {"a": "b"}}},
        ),
        (
            {"guardrailConfig": {"guardrailIdentifier": "g"}, "performanceConfig": {"latency": "optimized"}},
            {
                "own_only": ("guardrailConfig",),
                "extra": {
                    "guardrailConfig": {"guardrailIdentifier": "g"},
                    "performanceConfig": {"latency": "optimized"},
                },
            },
        ),
    ],
)
def test_requests_of_a_client(members: dict[str, Any], what: dict[str, Any]) -> None:
    chat = read(**members)

    assert {name: getattr(chat, name) for name in what} == what


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"text": "x"}, Text("x")),
        (
            {"image": {"format": "jpeg", "source": {"bytes": "/9j/"}}},
            Image(data="/9j/", media_type="image/jpeg"),
        ),
        (
            {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/x"}}}},
            Image(url="s3://b/x", media_type="image/png"),
        ),
        (
            {
                "document": {
                    "format": "txt",
                    "name": "n",
                    "source": {"text": "t"},
                    "citations": {"enabled": True},
                }
            },
            Document(media_type="text/plain", text="t", name="n", extra={"citations": {"enabled": True}}),
        ),
        (
            {"video": {"format": "mov", "source": {"bytes": "AAAA"}}},
            Media("video", "AAAA", "video/quicktime"),
        ),
        ({"audio": {"format": "mp3", "source": {"bytes": "AAAA"}}}, Media("audio", "AAAA", "audio/mp3")),
        ({"toolUse": {"toolUseId": "1", "name": "f", "input": {"a": 1}}}, ToolCall("1", "f", '{"a":1}')),
        ({"reasoningContent": {"redactedContent": "b3A="}}, Thinking("", redacted="b3A=")),
        (
            {"guardContent": {"text": {"text": "x"}}},
            OtherPart("guardContent", {"guardContent": {"text": {"text": "x"}}}),
        ),
    ],
)
def test_blocks_of_a_client(block: dict[str, Any], part: Part) -> None:
    (message,) = read(messages=[{"role": "user", "content": [block]}]).messages

    assert message == Message("user", (part,))


def test_results_of_tools_are_messages_of_their_own() -> None:
    content = [
        {"toolResult": {"toolUseId": "1", "content": [{"json": {"a": 1}}, {"text": "t"}], "status": "error"}},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
        {"text": "go on"},
    ]

    result, text = read(messages=[{"role": "user", "content": content}]).messages

    parts = (Text('{"a":1}', {"json": {"a": 1}}), Text("t"))
    assert result == Message("tool", (ToolResult("1", parts, is_error=True, cache="1h"),))
    assert text == Message("user", (Text("go on"),))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not a Converse request"),
        (b"[]", "Expected `object`"),
        (b'{"messages": {}}', r"\$.messages"),
        (b'{"messages": [{"role": "tool", "content": []}]}', r"messages\[0\].role: unknown role 'tool'"),
        (
            b'{"messages": [{"role": "user", "content": [{"text": 1}]}]}',
            r"messages\[0\].content: Expected `str`",
        ),
        (b'{"messages": [{"role": "user", "content": ["x"]}]}', r"content\[0\]"),
        (b'{"inferenceConfig": {"maxTokens": "x"}}', r"\$.inferenceConfig.maxTokens"),
        (b'{"outputConfig": {"textFormat": {"type": "x"}}}', "outputConfig.textFormat"),
        (
            b'{"outputConfig": {"textFormat": {"type": "json_schema", "structure": '
            b'{"jsonSchema": {"schema": "{oops"}}}}}',
            "the schema is not JSON",
        ),
    ],
)
def test_what_is_no_request_is_refused_with_its_place(body: bytes, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        decode_request(body)


#: everything that a client of this form may say
WHOLE: dict[str, Any] = {
    "system": [
        {"text": "be"},
        {"cachePoint": {"type": "default"}},
        {"guardContent": {"text": {"text": "g"}}},
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"cachePoint": {"type": "default"}},
                {"text": "t"},
                {"cachePoint": {"type": "default", "ttl": "2h"}},
                {"text": ""},
                {"image": {"format": "webp", "source": {"bytes": "UklG"}, "error": {"message": "e"}}},
                {
                    "image": {
                        "format": "png",
                        "source": {"s3Location": {"uri": "s3://b/x", "bucketOwner": "0"}},
                    }
                },
                {"document": {"name": "n", "source": {"content": [{"text": "t"}]}}},
                {"document": {"format": "pdf", "name": "n", "source": {"bytes": "JVBE"}, "context": "c"}},
                {"document": {"name": "n", "source": {"text": "t"}}},
                {"audio": {"format": "mpga", "source": {"bytes": "AAAA"}}},
                {"video": {"format": "three_gp", "source": {"s3Location": {"uri": "s3://b/v"}}}},
                {"searchResult": {"source": "s", "title": "t", "content": []}},
            ],
            "odd": 1,
        },
        {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "hm"}}},
                {"citationsContent": {"content": [{"text": "c"}], "citations": []}},
                {"toolUse": {"toolUseId": "s", "name": "search", "input": {}, "type": "server_tool_use"}},
                {"toolResult": {"toolUseId": "s", "content": [], "type": "x"}},
                {"toolUse": {"toolUseId": "1", "name": "f", "input": {"a": [1]}, "odd": 1}},
                {"cachePoint": {"type": "default", "ttl": "1h"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"text": "before"},
                {
                    "toolResult": {
                        "toolUseId": "1",
                        "content": [{"json": {"a": 1}}],
                        "status": "success",
                        "odd": 1,
                    }
                },
                {"text": "after"},
            ],
        },
        {"role": "system", "content": [{"text": "later"}]},
    ],
    "inferenceConfig": {"maxTokens": 5, "temperature": 1, "topP": 0.5, "stopSequences": ["x"], "odd": 1},
    "toolConfig": {
        "tools": [
            {"toolSpec": {**SPEC["toolSpec"], "strict": False, "odd": 1}},
            {"cachePoint": {"type": "default"}},
            {"systemTool": {"name": "nova_grounding"}},
            {"cachePoint": {"type": "default"}},
        ],
        "toolChoice": {"tool": {"name": "f"}},
        "odd": 1,
    },
    "outputConfig": {
        "textFormat": {
            "type": "json_schema",
            "structure": {"jsonSchema": {"schema": '{"a":1}', "name": "n"}},
        },
        "effort": "high",
        "odd": 1,
    },
    "additionalModelRequestFields": {
        "top_k": 3,
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "anthropic_beta": ["x"],
    },
    "additionalModelResponseFieldPaths": ["/stop_sequence"],
    "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
    "performanceConfig": {"latency": "optimized"},
    "promptVariables": {"a": {"text": "b"}},
    "requestMetadata": {"user": "u", "a": "b"},
    "serviceTier": {"type": "flex"},
    "odd": {"a": None},
}


def test_everything_goes_on_as_it_came_to_a_model_on_bedrock() -> None:
    ignored: list[str] = []

    body = encode_request(read(**WHOLE), ignored)

    assert msgspec.json.decode(msgspec.json.encode(body)) == WHOLE
    assert ignored == []


def test_even_this_form_has_its_turns_merged_and_its_tools_told() -> None:
    messages = [
        {"role": "user", "content": [{"text": "a"}]},
        {"role": "user", "content": [{"text": "b"}]},
        {"role": "assistant", "content": [USED]},
        {"role": "user", "content": [GIVEN]},
    ]

    body = encode_request(read(messages=messages), [])

    assert body["messages"][0] == {"role": "user", "content": [{"text": "a"}, {"text": "b"}]}
    assert body["toolConfig"] == {"tools": [bare("f")]}


@pytest.mark.parametrize("effort", ["low", "odd"])
def test_an_effort_in_the_makers_words_stays_there(effort: str) -> None:
    fields = {"reasoning_effort": effort}

    chat = read(Told(GPT_OSS), additionalModelRequestFields=fields)

    assert chat.effort == ("low" if effort == "low" else None)
    assert encode_request(chat, [])["additionalModelRequestFields"] == fields


def test_a_tool_that_takes_nothing_may_say_so_by_silence() -> None:
    tools = [{"toolSpec": {"name": "f"}}, {"toolSpec": {"name": "g", "inputSchema": {"other": 1}}}]
    body = msgspec.json.encode({"messages": [], "toolConfig": {"tools": tools}})
    first, second = decode_request(body, MODEL).tools
    assert first == Tool("f")
    assert isinstance(second, OtherTool)
