"""Why answers end: each word of each provider, as clients of every form read it. The table row by row."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import pytest

from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.provider import FormName

#: kinds of ends, as clients are told of them
SHOWN: Final[Mapping[str, Mapping[FormName, str]]] = {
    "natural": {
        "openai_chat": "stop",
        "anthropic_messages": "end_turn",
        "gemini": "STOP",
        "bedrock_converse": "end_turn",
        "ollama_chat": "stop",
        "cohere_chat": "COMPLETE",
    },
    "stop string": {
        "openai_chat": "stop",
        "anthropic_messages": "stop_sequence",
        "gemini": "STOP",
        "bedrock_converse": "stop_sequence",
        "ollama_chat": "stop",
        "cohere_chat": "STOP_SEQUENCE",
    },
    "limit": {
        "openai_chat": "length",
        "anthropic_messages": "max_tokens",
        "gemini": "MAX_TOKENS",
        "bedrock_converse": "max_tokens",
        "ollama_chat": "length",
        "cohere_chat": "MAX_TOKENS",
    },
    "calls": {
        "openai_chat": "tool_calls",
        "anthropic_messages": "tool_use",
        "gemini": "STOP",
        "bedrock_converse": "tool_use",
        "ollama_chat": "stop",
        "cohere_chat": "TOOL_CALL",
    },
    "filter": {
        "openai_chat": "content_filter",
        "anthropic_messages": "refusal",
        "gemini": "SAFETY",
        "bedrock_converse": "content_filtered",
        "ollama_chat": "stop",
        "cohere_chat": "ERROR_TOXIC",
    },
}
MEMBERS: Final[Mapping[FormName, str]] = {
    "openai_chat": "choices.0.finish_reason",
    "anthropic_messages": "stop_reason",
    "gemini": "candidates.0.finishReason",
    "bedrock_converse": "stopReason",
    "ollama_chat": "done_reason",
    "cohere_chat": "finish_reason",
}
TOLD: Final[Mapping[FormName, Mapping[str, str]]] = {
    "openai_chat": {
        "stop": "natural",
        "length": "limit",
        "model_length": "limit",
        "tool_calls": "calls",
        "function_call": "calls",
        "content_filter": "filter",
    },
    "anthropic_messages": {
        "end_turn": "natural",
        "stop_sequence": "stop string",
        "max_tokens": "limit",
        "model_context_window_exceeded": "limit",
        "tool_use": "calls",
        "refusal": "filter",
        "pause_turn": "natural",
    },
    "gemini": {
        "STOP": "natural",
        "MAX_TOKENS": "limit",
        "calls": "calls",
        **dict.fromkeys(
            ("SAFETY", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "RECITATION", "MODEL_ARMOR"), "filter"
        ),
        **dict.fromkeys(("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_OTHER"), "filter"),
        **dict.fromkeys(("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER"), "natural"),
        **dict.fromkeys(("TOO_MANY_TOOL_CALLS", "CONTINUATION", "NO_IMAGE", "YOUNGER"), "natural"),
    },
    "bedrock_converse": {
        "end_turn": "natural",
        "stop_sequence": "stop string",
        "max_tokens": "limit",
        "model_context_window_exceeded": "limit",
        "tool_use": "calls",
        "guardrail_intervened": "filter",
        "content_filtered": "filter",
        "malformed_tool_use": "natural",
        "malformed_model_output": "natural",
    },
    "ollama_chat": {"stop": "natural", "length": "limit", "calls": "calls"},
    "cohere_chat": {
        "COMPLETE": "natural",
        "STOP_SEQUENCE": "stop string",
        "MAX_TOKENS": "limit",
        "TOOL_CALL": "calls",
        "ERROR_TOXIC": "filter",
    },
}
ROWS: Final = [(form, word, kind) for form, words in TOLD.items() for word, kind in words.items()]


def answer(form: FormName, word: str, *, calls: bool) -> dict[str, Any]:
    """An answer that ends so."""
    function = {"name": "f", "arguments": "{}"}
    call = {"id": "c", "type": "function", "function": function}
    match form:
        case "openai_chat":
            message = {"role": "assistant", "content": "a", **({"tool_calls": [call]} if calls else {})}
            return {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": word}]}
        case "anthropic_messages":
            block = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
            content = [{"type": "text", "text": "a"}, *([block] if calls else [])]
            usage = {"input_tokens": 1, "output_tokens": 1}
            sequence = "END" if word == "stop_sequence" else None
            return {
                "type": "message",
                "model": "m",
                "content": content,
                "stop_reason": word,
                "stop_sequence": sequence,
                "usage": usage,
            }
        case "gemini":
            parts = [{"text": "a"}, *([{"functionCall": {"name": "f", "args": {}}}] if calls else [])]
            reason = "STOP" if word == "calls" else word
            return {
                "candidates": [{"content": {"parts": parts}, "finishReason": reason}],
                "modelVersion": "m",
            }
        case "bedrock_converse":
            used = {"toolUse": {"toolUseId": "c", "name": "f", "input": {}}}
            content = [{"text": "a"}, *([used] if calls else [])]
            return {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": word}
        case "ollama_chat":
            made = {"function": {"name": "f", "arguments": {}}}
            message = {"role": "assistant", "content": "a", **({"tool_calls": [made]} if calls else {})}
            reason = "stop" if word == "calls" else word
            return {"model": "m", "message": message, "done": True, "done_reason": reason}
        case _:
            message = {"role": "assistant", "content": [{"type": "text", "text": "a"}]}
            message |= {"tool_calls": [call]} if calls else {}
            return {"id": "1", "message": message, "finish_reason": word}


def at(body: Any, path: str) -> Any:
    for step in path.split("."):
        body = body[int(step)] if isinstance(body, list) else body[step]
    return body


@pytest.mark.parametrize("client", list(MEMBERS))
@pytest.mark.parametrize(("provider", "word", "kind"), ROWS)
def test_why_an_answer_ends_is_told_in_the_client_s_words(
    provider: FormName, word: str, kind: str, client: FormName
) -> None:
    body = answer(provider, word, calls=kind == "calls")
    chat = FORMS[provider].decode_response(msgspec.json.encode(body))

    told = msgspec.json.decode(msgspec.json.encode(FORMS[client].encode_response(chat)))

    assert at(told, MEMBERS[client]) == SHOWN[kind][client]
    if client == "anthropic_messages":
        assert told["stop_sequence"] == ("END" if (provider, word) == (client, "stop_sequence") else None)


#: what was used, as every provider tells it: 10 tokens asked, of them 4 from the cache; 5 written, of them 2
#: of thought where that is told apart
USED: Final[Mapping[FormName, tuple[str, dict[str, Any]]]] = {
    "openai_chat": (
        "usage",
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    ),
    "anthropic_messages": (
        "usage",
        {
            "input_tokens": 6,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 4,
            "output_tokens": 5,
            "output_tokens_details": {"thinking_tokens": 2},
        },
    ),
    "gemini": (
        "usageMetadata",
        {
            "promptTokenCount": 10,
            "cachedContentTokenCount": 4,
            "candidatesTokenCount": 3,
            "thoughtsTokenCount": 2,
            "totalTokenCount": 15,
        },
    ),
    "cohere_chat": (
        "usage",
        {"tokens": {"input_tokens": 10, "output_tokens": 5, "reasoning_tokens": 2}, "cached_tokens": 4},
    ),
}


@pytest.mark.parametrize("client", list(USED))
@pytest.mark.parametrize("provider", list(USED))
def test_usage_is_told_as_the_client_s_form_counts(provider: FormName, client: FormName) -> None:
    name, used = USED[provider]
    body = answer(provider, next(iter(TOLD[provider])), calls=False) | {name: used}
    chat = FORMS[provider].decode_response(msgspec.json.encode(body))

    told = msgspec.json.decode(msgspec.json.encode(FORMS[client].encode_response(chat)))

    name, expected = USED[client]
    assert {member: told[name][member] for member in expected} == expected
