"""Requests for models on Bedrock: how to sample, to think, and what is refused."""

from typing import Any

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
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tollhouse.llm.form import Refusal
from tollhouse.llm.formats.bedrock_converse import encode_request

HELLO = Message("user", (Text("hi"),))
OLD_CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NEW_CLAUDE = "anthropic.claude-opus-5-20260801-v1:0"
NOVA, NOVA_2 = "amazon.nova-micro-v1:0", "us.amazon.nova-2-lite-v1:0"
GPT_OSS, LLAMA = "openai.gpt-oss-120b-1:0", "meta.llama3-2-1b-instruct-v1:0"


def encoded(
    *messages: Message, ignored: list[str] | None = None, model: str = "mistral.m-v1:0", **members: Any
) -> dict[str, Any]:
    chat = ChatRequest(form="openai_chat", model=model, messages=messages or (HELLO,), **members)
    return encode_request(chat, [] if ignored is None else ignored)


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


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, {}),
        ({"stream": True}, {}),
        (
            {"options": Options(max_tokens=5, temperature=0, top_p=1, stop=("x",))},
            {"inferenceConfig": {"maxTokens": 5, "temperature": 0, "topP": 1, "stopSequences": ("x",)}},
        ),
        ({"options": Options(top_k=4)}, {"additionalModelRequestFields": {"top_k": 4}}),
        ({"tools": (TOOL,)}, {"toolConfig": {"tools": [SPEC]}}),
        ({"tools": (Tool("f", "", None),)}, {"toolConfig": {"tools": [bare("f")]}}),
        ({"tools": (TOOL,), "tool_choice": ToolChoice("auto")}, {"toolConfig": {"tools": [SPEC]}}),
        ({"tools": (TOOL,), "tool_choice": ToolChoice("none")}, {}),
        (
            {"tools": (TOOL,), "tool_choice": ToolChoice("required")},
            {"toolConfig": {"tools": [SPEC], "toolChoice": {"any": {}}}},
        ),
        (
            {"tools": (TOOL,), "tool_choice": ToolChoice("one", "f")},
            {"toolConfig": {"tools": [SPEC], "toolChoice": {"tool": {"name": "f"}}}},
        ),
        (
            {"tools": (Tool("f", strict=True), Tool("g", strict=False))},
            {"toolConfig": {"tools": [{"toolSpec": bare("f")["toolSpec"] | {"strict": True}}, bare("g")]}},
        ),
        (
            {"response_format": ResponseFormat("json_schema", {"a": 1}, {"name": "n", "strict": True})},
            {
                "outputConfig": {
                    "textFormat": {
                        "type": "json_schema",
                        "structure": {"jsonSchema": {"schema": '{"a":1}', "name": "n"}},
                    }
                }
            },
        ),
        ({"response_format": ResponseFormat("text")}, {}),
        (
            {"response_format": ResponseFormat("json_object")},
            {"system": [{"text": "Answer with one JSON object and nothing else."}]},
        ),
        ({"user": "u-1"}, {"requestMetadata": {"user": "u-1"}}),
        (
            {"user": "u", "extra": {"metadata": {"team": "a b"}}},
            {"requestMetadata": {"user": "u", "team": "a b"}},
        ),
        ({"extra": {"service_tier": "flex"}}, {"serviceTier": {"type": "flex"}}),
        ({"extra": {"service_tier": "standard_only"}}, {"serviceTier": {"type": "default"}}),
        ({"extra": {"service_tier": "auto"}}, {}),
        ({"extra": {"store": False, "logit_bias": {}, "modalities": ["text"]}}, {}),
    ],
)
def test_requests_for_a_provider(members: dict[str, Any], expected: dict[str, Any]) -> None:
    ignored: list[str] = []

    body = encoded(ignored=ignored, **members)

    assert body == {"messages": [{"role": "user", "content": [{"text": "hi"}]}]} | expected
    assert ignored == []


@pytest.mark.parametrize(
    ("members", "names"),
    [
        (
            {"options": Options(seed=1, presence_penalty=1, frequency_penalty=0.5)},
            ["seed", "presence_penalty", "frequency_penalty"],
        ),
        ({"options": Options(presence_penalty=0, frequency_penalty=0.0)}, []),
        ({"options": Options(temperature=1.5)}, ["temperature above 1"]),
        ({"options": Options(top_k=4), "model": LLAMA}, ["top_k"]),
        ({"tools": (TOOL,), "parallel_tool_calls": False}, ["parallel_tool_calls"]),
        ({"parallel_tool_calls": True}, []),
        ({"user": "no|pipe"}, ["user"]),
        ({"extra": {"metadata": {"a": "|", "b": 1}}}, ["metadata.a", "metadata.b"]),
        ({"extra": {"service_tier": "scale", "prompt_cache_key": "k"}}, ["service_tier", "prompt_cache_key"]),
        ({"effort": "high"}, ["reasoning_effort"]),
        ({"thinking_tokens": 5000, "model": NOVA}, ["thinking"]),
        ({"effort": "none"}, []),
        ({"tools": (Tool("f", cache="5m"),)}, ["tools.cache"]),
        ({"tools": (Tool("f", extra={"x": 1}),)}, ["tools.x"]),
    ],
)
def test_what_changes_little_is_left_out_and_told(members: dict[str, Any], names: list[str]) -> None:
    ignored: list[str] = []
    encoded(ignored=ignored, **members)

    assert ignored == names


CALL = Message("assistant", (ToolCall("1", "f", '{"a": 1}'),))
RESULT = Message("tool", (ToolResult("1", (Text("42"),)),))


@pytest.mark.parametrize(
    ("messages", "members", "words"),
    [
        ((), {"options": Options(n=2)}, "n is not supported"),
        ((), {"options": Options(logprobs=True)}, "logprobs is not supported"),
        ((), {"options": Options(top_logprobs=2)}, "logprobs is not supported"),
        ((), {"extra": {"logit_bias": {"1": 2}}}, "logit_bias is not supported"),
        ((), {"extra": {"prediction": {}}}, "prediction is not supported"),
        ((), {"extra": {"modalities": ["text", "audio"]}}, "modalities is not supported"),
        ((), {"extra": {"web_search_options": {}}}, "web_search_options is not supported"),
        ((), {"extra": {"store": True}}, "store is not supported"),
        ((), {"tools": (OtherTool("custom", {}),)}, "'custom' is not supported"),
        ((), {"tools": (Tool("a.b"),)}, "tools: the tool's name 'a.b'"),
        ((), {"tools": (TOOL,), "tool_choice": ToolChoice("other", raw={})}, "tool_choice"),
        (
            (),
            {
                "tools": (TOOL,),
                "tool_choice": ToolChoice("required"),
                "model": "anthropic.claude-opus-5-5-20260801-v1:0",
            },
            "tool_choice",
        ),
        ((Message("user", (OtherPart("x", {}),)),), {}, r"messages\[0\]: content of type 'x'"),
        ((Message("user", (Image(url="https://a/b.png"),)),), {}, r"messages\[0\]: a picture must be given"),
        ((Message("user", (Image(data="AAAA", media_type="image/tiff"),)),), {}, "'image/tiff'"),
        ((Message("user", (Document(file_id="f"),)),), {}, "files by id"),
        ((Message("user", (Document(data="AAAA", media_type="x/y"),)),), {}, "'x/y'"),
        ((Message("user", (Media("audio", "AAAA", "audio/x"),)),), {}, "audio of the type 'audio/x'"),
        ((Message("user", (Media("video", url="https://a/b"),)),), {}, "sound or film must be given"),
        ((Message("system", (Image(data="iVBORw"),)), HELLO), {}, "nothing but text"),
        ((HELLO, CALL), {}, r"messages\[1\]: the call '1' has no result"),
        ((HELLO, CALL, HELLO, CALL, RESULT), {}, r"messages\[1\]: the call '1' has no result"),
        ((HELLO, RESULT), {}, r"messages\[1\]: no call before it has the id '1'"),
        ((HELLO, CALL, RESULT, RESULT), {}, r"messages\[3\]: no call before it has the id '1'"),
        ((HELLO, Message("assistant", (ToolCall("1", "", ""),)), RESULT), {}, "the tool's name ''"),
    ],
)
def test_what_would_change_the_answer_is_refused(
    messages: tuple[Message, ...], members: dict[str, Any], words: str
) -> None:
    with pytest.raises(Refusal, match=words):
        encoded(*messages, **members)


# Thinking, by the model's maker


@pytest.mark.parametrize(
    ("model", "members", "expected"),
    [
        (
            NEW_CLAUDE,
            {"effort": "minimal"},
            {
                "additionalModelRequestFields": {"thinking": {"type": "adaptive"}},
                "outputConfig": {"effort": "low"},
            },
        ),
        (
            NEW_CLAUDE,
            {"effort": "max", "show_thinking": True},
            {
                "additionalModelRequestFields": {"thinking": {"type": "adaptive", "display": "summarized"}},
                "outputConfig": {"effort": "max"},
            },
        ),
        (
            OLD_CLAUDE,
            {"effort": "low"},
            {
                "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2048}},
                "inferenceConfig": {"maxTokens": 64000},
            },
        ),
        (
            OLD_CLAUDE,
            {
                "thinking_tokens": 2000,
                "options": Options(max_tokens=9000, temperature=0.5, top_p=0.5, top_k=3),
            },
            {
                "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2000}},
                "inferenceConfig": {"maxTokens": 9000},
            },
        ),
        (
            OLD_CLAUDE,
            {"effort": "high", "options": Options(max_tokens=100)},
            {
                "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 16384}},
                "inferenceConfig": {"maxTokens": 16484},
            },
        ),
        (OLD_CLAUDE, {"effort": "none"}, {}),
        (
            OLD_CLAUDE,
            {"options": Options(temperature=0.5, top_p=0.5)},
            {"inferenceConfig": {"temperature": 0.5}},
        ),
        (NEW_CLAUDE, {"options": Options(temperature=0.5, top_p=0.5, top_k=3)}, {}),
        (
            "anthropic.claude-v2",
            {"effort": "high", "options": Options(temperature=0.5, top_p=0.5)},
            {"inferenceConfig": {"temperature": 0.5, "topP": 0.5}},
        ),
        (OLD_CLAUDE, {"options": Options(top_k=3)}, {"additionalModelRequestFields": {"top_k": 3}}),
        (
            NOVA,
            {"options": Options(top_k=3)},
            {"additionalModelRequestFields": {"inferenceConfig": {"topK": 3}}},
        ),
        ("cohere.command-r-v1:0", {"options": Options(top_k=3)}, {"additionalModelRequestFields": {"k": 3}}),
        (GPT_OSS, {"effort": "xhigh"}, {"additionalModelRequestFields": {"reasoning_effort": "high"}}),
        (GPT_OSS, {"effort": "none"}, {"additionalModelRequestFields": {"reasoning_effort": "low"}}),
        (
            GPT_OSS,
            {"thinking_tokens": 5000},
            {"additionalModelRequestFields": {"reasoning_effort": "medium"}},
        ),
        (
            NOVA_2,
            {"effort": "high"},
            {
                "additionalModelRequestFields": {
                    "reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}
                }
            },
        ),
        (
            NOVA_2,
            {"effort": "high", "options": Options(max_tokens=9)},
            {
                "additionalModelRequestFields": {
                    "reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}
                },
                "inferenceConfig": {"maxTokens": 9},
            },
        ),
        (
            NOVA_2,
            {"thinking_tokens": 0},
            {"additionalModelRequestFields": {"reasoningConfig": {"type": "disabled"}}},
        ),
        (
            OLD_CLAUDE,
            {"options": Options(stop=("x",))},
            {
                "inferenceConfig": {"stopSequences": ("x",)},
                "additionalModelResponseFieldPaths": ["/stop_sequence"],
            },
        ),
        (
            OLD_CLAUDE,
            {"options": Options(stop=("x",)), "stream": True},
            {
                "inferenceConfig": {"stopSequences": ("x",)},
                "additionalModelResponseFieldPaths": ["/delta/stop_sequence"],
            },
        ),
        (
            OLD_CLAUDE,
            {"tools": (TOOL,), "parallel_tool_calls": False, "tool_choice": ToolChoice("one", "f")},
            {
                "toolConfig": {"tools": [SPEC]},
                "additionalModelRequestFields": {
                    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True}
                },
            },
        ),
        # Claude does not think when it is told what to call.
        (
            OLD_CLAUDE,
            {"tools": (TOOL,), "effort": "low", "tool_choice": ToolChoice("required")},
            {"toolConfig": {"tools": [SPEC], "toolChoice": {"any": {}}}},
        ),
        (
            OLD_CLAUDE,
            {"tools": (Tool("f", cache="1h"),)},
            {"toolConfig": {"tools": [bare("f"), {"cachePoint": {"type": "default", "ttl": "1h"}}]}},
        ),
    ],
)
def test_models_are_told_in_their_makers_words(
    model: str, members: dict[str, Any], expected: dict[str, Any]
) -> None:
    body = encoded(model=model, **members)

    assert body == {"messages": [{"role": "user", "content": [{"text": "hi"}]}]} | expected


@pytest.mark.parametrize(
    ("thoughts", "thinks"), [((), False), ((Thinking("x"),), False), ((Thinking("x", "s"),), True)]
)
def test_claude_thinks_on_only_after_thoughts_that_were_kept(
    thoughts: tuple[Part, ...], thinks: bool
) -> None:
    calling = Message("assistant", (*thoughts, *CALL.parts))

    body = encoded(HELLO, calling, RESULT, model=OLD_CLAUDE, effort="low")

    assert ("additionalModelRequestFields" in body) == thinks


def test_a_guardrail_is_never_left_out() -> None:
    guard, ignored = {"guardrailIdentifier": "g", "guardrailVersion": "1"}, list[str]()
    body = encoded(extra={"guardrailConfig": guard, "odd": 1}, ignored=ignored)
    assert (body["guardrailConfig"], ignored) == (guard, ["odd"])
