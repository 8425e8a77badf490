"""Requests of Anthropic's form: written for Claude's models, read from clients, and told again unchanged."""

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
    Tool,
    ToolChoice,
)
from tollhouse.llm.credentials import Credentials
from tollhouse.llm.form import Refusal
from tollhouse.llm.formats.anthropic_messages import encode_request
from tollhouse.llm.providers import PROVIDERS
from tollhouse.llm.settings import Auth, needed_headers
from tollhouse.llm.settings import Options as ModelOptions
from tollhouse.wire.headers import Headers

HELLO = Message("user", (Text("hi"),))


def encoded(*messages: Message, ignored: list[str] | None = None, **members: Any) -> dict[str, Any]:
    members = {"form": "openai_chat", "model": "claude-haiku-4-5", **members}
    chat = ChatRequest(messages=messages or (HELLO,), **members)
    return encode_request(chat, [] if ignored is None else ignored)


# To a provider, from another form

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
CLOSED = SCHEMA | {"additionalProperties": False}
F = Tool("f", "does f", {"type": "object", "properties": {}})


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, {"model": "claude-haiku-4-5", "max_tokens": 64_000}),
        ({"model": "claude-opus-5"}, {"max_tokens": 128_000}),
        ({"model": "other"}, {"max_tokens": 4096}),
        ({"options": Options(max_tokens=5), "model": "other"}, {"max_tokens": 5}),
        ({"stream": True}, {"stream": True}),
        ({"options": Options(temperature=0.5)}, {"temperature": 0.5}),
        ({"options": Options(top_p=0.5, top_k=3)}, {"top_p": 0.5, "top_k": 3}),
        ({"options": Options(stop=("x", "y"))}, {"stop_sequences": ["x", "y"]}),
        ({"user": "u"}, {"metadata": {"user_id": "u"}}),
        ({"extra": {"service_tier": "default"}}, {"service_tier": "standard_only"}),
        ({"tools": (F,)}, {"tools": [{"name": "f", "description": "does f", "input_schema": F.parameters}]}),
        ({"tools": (Tool("f"),)}, {"tools": [{"name": "f", "input_schema": F.parameters}]}),
        (
            {"tools": (Tool("f", None, {"$defs": {}}, cache="1h"),)},
            {
                "tools": [
                    {
                        "name": "f",
                        "input_schema": {"type": "object", "$defs": {}, "properties": {}},
                        "cache_control": {"type": "ephemeral", "ttl": "1h"},
                    }
                ]
            },
        ),
        (
            {"tools": (Tool("f", None, SCHEMA, strict=True),)},
            {"tools": [{"name": "f", "strict": True, "input_schema": CLOSED}]},
        ),
        ({"tools": (F,), "tool_choice": ToolChoice("auto")}, {"tool_choice": {"type": "auto"}}),
        ({"tools": (F,), "tool_choice": ToolChoice("none")}, {"tool_choice": {"type": "none"}}),
        ({"tools": (F,), "tool_choice": ToolChoice("required")}, {"tool_choice": {"type": "any"}}),
        (
            {"tools": (F,), "tool_choice": ToolChoice("one", "f")},
            {"tool_choice": {"type": "tool", "name": "f"}},
        ),
        (
            {"tools": (F,), "parallel_tool_calls": False},
            {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        ),
        (
            {"tools": (F,), "parallel_tool_calls": False, "tool_choice": ToolChoice("required")},
            {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        ),
        (
            {"response_format": ResponseFormat("json_schema", SCHEMA)},
            {"output_config": {"format": {"type": "json_schema", "schema": CLOSED}}},
        ),
        ({"response_format": ResponseFormat("text")}, {}),
        (
            {"effort": "low", "options": Options(max_tokens=9000)},
            {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 9000},
        ),
        (
            {"effort": "high", "model": "claude-opus-5"},
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        ),
        ({"effort": "none", "model": "claude-opus-5"}, {"thinking": {"type": "disabled"}}),
        ({"thinking_tokens": 3000}, {"thinking": {"type": "enabled", "budget_tokens": 3000}}),
        # What says nothing need not be told.
        ({"extra": {"store": False, "logit_bias": {}, "modalities": ["text"]}}, {}),
        ({"options": Options(n=1, logprobs=False, presence_penalty=0)}, {}),
        ({"options": Options(temperature=1), "model": "claude-opus-5"}, {}),
        ({"tool_choice": ToolChoice("required"), "parallel_tool_calls": False}, {}),
    ],
)
def test_what_a_request_asks_for(members: dict[str, Any], expected: dict[str, Any]) -> None:
    ignored: list[str] = []
    body = encoded(ignored=ignored, **members)

    assert {name: body.get(name) for name in expected} == expected
    assert body.keys() <= {"model", "messages", "max_tokens", *expected} | (members.keys() & {"tools"})
    assert body["messages"] == [{"role": "user", "content": "hi"}]
    assert ignored == []


@pytest.mark.parametrize(
    ("members", "names", "kept"),
    [
        ({"options": Options(temperature=1.5)}, ["temperature above 1"], {"temperature": 1}),
        ({"options": Options(temperature=0.2, top_p=0.5)}, ["top_p"], {"temperature": 0.2}),
        (
            {"options": Options(temperature=0, top_k=1), "model": "claude-opus-4-7"},
            ["temperature", "top_k"],
            {},
        ),
        ({"options": Options(top_p=0.9), "model": "claude-sonnet-5"}, ["top_p"], {}),
        ({"options": Options(temperature=0), "effort": "low"}, ["temperature"], {}),
        ({"options": Options(max_tokens=10), "effort": "low"}, ["max_tokens"], {"max_tokens": 2058}),
        ({"options": Options(seed=0, frequency_penalty=1)}, ["seed", "frequency_penalty"], {}),
        ({"extra": {"store": True, "service_tier": "flex"}}, ["store", "service_tier"], {}),
        (
            {"tools": (Tool("f", strict=True),), "model": "claude-3-haiku-20240307"},
            ["tools.function.strict"],
            {"tools": [{"name": "f", "input_schema": F.parameters}]},
        ),
        (
            {"tools": (F,), "tool_choice": ToolChoice("none"), "parallel_tool_calls": False},
            ["parallel_tool_calls"],
            {"tool_choice": {"type": "none"}},
        ),
        # A call that must be made and a budget to think do not go together.
        ({"tools": (F,), "tool_choice": ToolChoice("required"), "effort": "low"}, ["reasoning_effort"], {}),
        (
            {"effort": "none", "model": "claude-opus-5-5"},
            ["reasoning_effort"],
            {"output_config": {"effort": "low"}},
        ),
        ({"effort": "low", "model": "m", "options": Options(max_tokens=1)}, ["reasoning_effort"], {}),
    ],
)
def test_what_changes_little_is_left_out_and_told(
    members: dict[str, Any], names: list[str], kept: dict[str, Any]
) -> None:
    ignored: list[str] = []
    body = encoded(ignored=ignored, **members)

    assert ignored == names
    assert {name: body[name] for name in kept} == kept
    assert not body.keys() & {*names} - kept.keys() - {"tools"}


@pytest.mark.parametrize(
    ("part", "members", "words"),
    [
        (None, {"options": Options(n=2)}, "n is not supported"),
        (None, {"options": Options(logprobs=True)}, "logprobs are not supported"),
        (None, {"options": Options(stop=("x", "\n"))}, "stop: a sequence of nothing but space"),
        (None, {"extra": {"logit_bias": {"1": 2}}}, "logit_bias is not supported"),
        (None, {"extra": {"prediction": {}}}, "prediction is not supported"),
        (None, {"extra": {"modalities": ["audio"]}}, "modalities is not supported"),
        (None, {"extra": {"web_search_options": {}}}, "web_search_options is not supported"),
        (None, {"tools": (OtherTool("custom", {}),)}, "tools: the type 'custom'"),
        (None, {"tools": (F,), "tool_choice": ToolChoice("other", raw={})}, "tool_choice: this choice"),
        (
            None,
            {"tools": (F,), "tool_choice": ToolChoice("required"), "model": "claude-opus-5-5"},
            "tool_choice: this model decides itself",
        ),
        (
            None,
            {"response_format": ResponseFormat("json_schema", SCHEMA), "model": "claude-3-haiku-20240307"},
            "response_format: this model cannot be held to a schema",
        ),
        (Media("audio", "x", "audio/wav"), {}, r"messages\[0\]: audio is not supported"),
        (OtherPart("x", {}), {}, r"messages\[0\]: content of type 'x' is not supported"),
        (Image(data="Qk0=", media_type="image/bmp"), {}, "pictures of the type image/bmp"),
        (Document(data="UEsD", media_type="application/zip"), {}, "files of the type application/zip"),
        (Document(data="?", media_type="text/csv"), {}, "no text in base64"),
        (Document(file_id="file-1"), {}, "its id is of another provider"),
        (Text(" "), {}, "messages: there is nothing in them to answer"),
    ],
)
def test_what_would_change_the_answer_is_refused(
    part: Part | None, members: dict[str, Any], words: str
) -> None:
    message = HELLO if part is None else Message("user", (part,))

    with pytest.raises(Refusal, match=words):
        encoded(message, **members)


def test_schemas_lose_what_is_refused() -> None:
    schema = {
        "$schema": "x",
        "type": "object",
        "properties": {
            "minimum": {"type": "integer", "minimum": 1, "maximum": 3, "description": "d"},
            "list": {"type": "array", "items": {"type": "object"}, "minItems": 2},
            "mail": {"oneOf": [{"type": "string", "format": "email"}, {"type": "string", "format": "x"}]},
        },
        "$defs": {"d": {"type": "string", "maxLength": 3}},
    }
    body = encoded(response_format=ResponseFormat("json_schema", schema))

    assert body["output_config"]["format"]["schema"] == {
        "type": "object",
        "properties": {
            "minimum": {"type": "integer", "description": "d\n\n{minimum: 1, maximum: 3}"},
            "list": {
                "type": "array",
                "items": {"type": "object", "properties": {}, "additionalProperties": False},
                "description": "{minItems: 2}",
            },
            "mail": {
                "anyOf": [
                    {"type": "string", "format": "email"},
                    {"type": "string", "description": "{format: x}"},
                ]
            },
        },
        "$defs": {"d": {"type": "string", "description": "{maxLength: 3}"}},
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("options", "client", "version"),
    [
        (ModelOptions(), {}, "2023-06-01"),
        (ModelOptions(anthropic_version="2026-10-21"), {}, "2026-10-21"),
        (ModelOptions(), {"anthropic-version": "2026-10-21"}, "2026-10-21"),
    ],
)
def test_every_call_has_a_key_and_a_version(
    options: ModelOptions, client: dict[str, str], version: str
) -> None:
    provider = PROVIDERS["anthropic"]
    assert provider.key is not None
    name, value = provider.key("sk")
    headers = Headers.new(client.items())

    auth = Auth(header_name=name, header_value=value)
    Credentials(auth, provider, needed_headers(provider.headers, options)).put_in_headers(
        headers, answer_is_read=True
    )

    assert headers["x-api-key"] == "sk"
    assert headers["anthropic-version"] == version
