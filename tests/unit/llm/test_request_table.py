"""The table of request fields, row by row: what clients say, and what each provider gets of it."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import pytest

from tollhouse.llm.dialogue import FORMS, Sent
from tollhouse.llm.form import Refusal, Told
from tollhouse.llm.provider import FormName
from tollhouse.llm.providers import PROVIDERS
from tollhouse.llm.translation import Translation

#: a provider of each form, and a model of it
ASKED: Final[Mapping[FormName, tuple[str, str]]] = {
    "openai_chat": ("openai", "gpt-4o"),
    "openai_responses": ("openai", "gpt-5"),
    "anthropic_messages": ("anthropic", "claude-sonnet-4-5"),
    "gemini": ("gemini", "gemini-2.5-flash"),
    "bedrock_converse": ("bedrock", "anthropic.claude-sonnet-4-5-v1:0"),
    "ollama_chat": ("ollama", "llama3"),
    "cohere_chat": ("cohere", "command-a-03-2025"),
}
HI: Final[dict[str, Any]] = {"messages": [{"role": "user", "content": "hi"}]}
CLAUDE: Final[dict[str, Any]] = {**HI, "max_tokens": 2000}
GOOGLE: Final[dict[str, Any]] = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
AWS: Final[dict[str, Any]] = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}


def functions(*names: str) -> list[dict[str, Any]]:
    return [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
        for name in names
    ]


def asked(
    client: FormName, provider: FormName, body: Mapping[str, Any], *, drops: bool = False
) -> tuple[Sent, Any]:
    name, model = ASKED[provider]
    translation = Translation(
        FORMS[client],
        FORMS[provider],
        PROVIDERS[name],
        None,
        compatible=provider == "openai_chat",
        drops=drops,
    )
    encoded = msgspec.json.encode({"model": "any", **body})
    members = msgspec.json.decode(encoded, type=dict[str, msgspec.Raw])
    sent = translation.request(members, Told("any"), model=model, stream=False)
    return sent, msgspec.json.decode(sent.content)


def at(body: Any, path: str) -> Any:
    """What stands there: `messages.0.content`; nothing is `None`."""
    for step in path.split("."):
        if isinstance(body, list):
            body = body[int(step)] if int(step) < len(body) else None
        else:
            body = body.get(step) if isinstance(body, dict) else None
    return body


ALLOWED: Final = {
    **HI,
    "tools": functions("f", "g"),
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
    },
}
GOOGLE_TOOLS: Final = {**GOOGLE, "tools": [{"functionDeclarations": [{"name": n} for n in "fgh"]}]}
REFUSED_ONCE: Final = {
    "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "refusal": "I will not."},
        {"role": "user", "content": "b"},
    ]
}
TWO_RESULTS: Final = {
    "messages": [
        {"role": "user", "content": "a"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": i, "name": "f", "input": {}} for i in ("t1", "t2")],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
                        }
                    ],
                },
                {"type": "tool_result", "tool_use_id": "t2", "content": "r"},
            ],
        },
    ],
    "max_tokens": 9,
}
DOCUMENTS: Final = {
    "messages": [
        {"role": "user", "content": "a"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "document", "document": {"data": '{"x":1}'}}],
        },
    ]
}
ROWS: Final[list[tuple[str, FormName, Mapping[str, Any], FormName, dict[str, Any]]]] = [
    ("allowed tools", "openai_chat", ALLOWED, "anthropic_messages", {"tools.0.name": "f", "tools.1": None}),
    ("allowed tools", "openai_chat", ALLOWED, "anthropic_messages", {"tool_choice": {"type": "any"}}),
    ("allowed tools", "openai_chat", ALLOWED, "bedrock_converse", {"toolConfig.toolChoice": {"any": {}}}),
    ("allowed tools", "openai_chat", ALLOWED, "cohere_chat", {"tool_choice": "REQUIRED", "tools.1": None}),
    ("allowed tools", "openai_chat", ALLOWED, "openai_responses", {"tool_choice": "required"}),
    (
        "allowed tools of responses",
        "openai_responses",
        {
            "input": "hi",
            "tools": [{"type": "function", "name": n, "parameters": {"type": "object"}} for n in "fg"],
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "g"}],
            },
        },
        "openai_chat",
        {"tools.0.function.name": "g", "tools.1": None, "tool_choice": "auto"},
    ),
    (
        "several allowed names",
        "gemini",
        {
            **GOOGLE_TOOLS,
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "h"]}},
        },
        "openai_chat",
        {"tools.0.function.name": "f", "tools.1.function.name": "h", "tool_choice": "required"},
    ),
    (
        "calls that are checked",
        "gemini",
        {**GOOGLE_TOOLS, "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}}},
        "anthropic_messages",
        {"tools.2.name": "h", "tool_choice": {"type": "auto"}},
    ),
    ("a refusal before", "openai_chat", REFUSED_ONCE, "gemini", {"contents.1.parts.0.text": "I will not."}),
    (
        "a refusal before",
        "openai_chat",
        REFUSED_ONCE,
        "anthropic_messages",
        {"messages.1.content": "I will not."},
    ),
    (
        "only a system message",
        "openai_chat",
        {"messages": [{"role": "system", "content": "S"}]},
        "openai_responses",
        {"instructions": None, "input.0.content": "S"},
    ),
    (
        "results before pictures",
        "anthropic_messages",
        TWO_RESULTS,
        "gemini",
        {
            "contents.2.parts.0.functionResponse.id": "t1",
            "contents.2.parts.1.functionResponse.id": "t2",
            "contents.2.parts.2.inlineData.mimeType": "image/png",
        },
    ),
    ("documents of tools", "cohere_chat", DOCUMENTS, "openai_chat", {"messages.2.content": '{"x":1}'}),
    (
        "documents of tools",
        "cohere_chat",
        DOCUMENTS,
        "gemini",
        {"contents.2.parts.0.functionResponse.response": {"x": 1}},
    ),
    (
        "strict tools",
        "cohere_chat",
        {**HI, "tools": functions("f"), "strict_tools": True},
        "openai_chat",
        {"tools.0.function.strict": True},
    ),
    (
        "likeliest tokens",
        "openai_responses",
        {"input": "hi", "top_logprobs": 2},
        "openai_chat",
        {"logprobs": True, "top_logprobs": 2},
    ),
    (
        "likeliest tokens",
        "openai_responses",
        {"input": "hi", "top_logprobs": 2},
        "gemini",
        {"generationConfig": {"responseLogprobs": True, "logprobs": 2}},
    ),
    (
        "likeliest tokens",
        "ollama_chat",
        {**HI, "logprobs": True, "top_logprobs": 2},
        "openai_chat",
        {"logprobs": True, "top_logprobs": 2},
    ),
    (
        "tier",
        "anthropic_messages",
        {**CLAUDE, "service_tier": "standard_only"},
        "openai_chat",
        {"service_tier": "default"},
    ),
    ("tier", "gemini", {**GOOGLE, "serviceTier": "flex"}, "openai_chat", {"service_tier": "flex"}),
    (
        "tier",
        "gemini",
        {**GOOGLE, "serviceTier": "priority"},
        "openai_responses",
        {"service_tier": "priority"},
    ),
    ("tier", "bedrock_converse", {**AWS, "serviceTier": {"type": "flex"}}, "gemini", {"serviceTier": "flex"}),
    (
        "tier",
        "openai_chat",
        {**HI, "service_tier": "default"},
        "anthropic_messages",
        {"service_tier": "standard_only"},
    ),
    ("temperature", "openai_chat", {**HI, "temperature": 1.5}, "anthropic_messages", {"temperature": 1}),
    (
        "temperature",
        "openai_chat",
        {**HI, "temperature": 1.5},
        "bedrock_converse",
        {"inferenceConfig.temperature": 1.0},
    ),
]


@pytest.mark.parametrize(
    ("client", "body", "provider", "expected"),
    [row[1:] for row in ROWS],
    ids=[f"{name}: {client} to {provider}" for name, client, _, provider, _ in ROWS],
)
def test_a_field_reaches_the_provider_in_its_own_words(
    client: FormName, body: Mapping[str, Any], provider: FormName, expected: Mapping[str, Any]
) -> None:
    _, got = asked(client, provider, body)

    assert {path: at(got, path) for path in expected} == expected


@pytest.mark.parametrize("provider", ["anthropic_messages", "bedrock_converse"])
def test_a_temperature_that_is_brought_down_is_told(provider: FormName) -> None:
    sent, _ = asked("openai_chat", provider, {**HI, "temperature": 1.5})

    assert sent.ignored == ("temperature above 1",)


def test_thoughts_that_a_model_does_not_have_are_told_of() -> None:
    sent, _ = asked(
        "anthropic_messages",
        "openai_chat",
        {**CLAUDE, "thinking": {"type": "enabled", "budget_tokens": 1024}},
    )

    assert sent.ignored == ("thinking",)


NOWHERE_ELSE: Final[list[tuple[FormName, Mapping[str, Any], str]]] = [
    (
        "gemini",
        {"contents": [{"parts": [{"fileData": {"mimeType": "image/png", "fileUri": "gs://b/k.png"}}]}]},
        "messages.0.: 'gs://b/k.png' cannot be read",
    ),
    (
        "bedrock_converse",
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/k.png"}}}}
                    ],
                }
            ]
        },
        "messages.0.: 's3://b/k.png' cannot be read",
    ),
    (
        "anthropic_messages",
        {
            **CLAUDE,
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "search_result", "source": "s", "title": "t", "content": []}],
                }
            ],
        },
        "'search_result' is not supported",
    ),
]


@pytest.mark.parametrize("provider", ["openai_chat", "cohere_chat", "openai_responses"])
@pytest.mark.parametrize(("client", "body", "words"), NOWHERE_ELSE)
def test_what_only_its_own_cloud_reads_is_refused(
    client: FormName, body: Mapping[str, Any], words: str, provider: FormName
) -> None:
    with pytest.raises(Refusal, match=words):
        asked(client, provider, body)


def test_what_a_dialect_refuses_is_never_dropped_in_silence() -> None:
    body = {**CLAUDE, "top_k": 5}
    with pytest.raises(Refusal, match="top_k"):
        asked("anthropic_messages", "openai_chat", body)

    sent, got = asked("anthropic_messages", "openai_chat", body, drops=True)

    assert sent.dropped == ("top_k",)
    assert "top_k" not in got
