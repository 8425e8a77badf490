"""A whole request of Gemini's form: back in the same form, and in others."""

from typing import Any

import msgspec
import pytest

from tollhouse.llm.form import Told
from tollhouse.llm.formats import ollama_chat, openai_chat
from tollhouse.llm.formats.gemini import decode_request, encode_request

SCHEMA = {"type": "object", "properties": {"max_items": {"type": "string"}}}
RESULT = {"functionResponse": {"id": "1", "name": "f", "response": {"content": [1]}, "willContinue": False}}
FULL: dict[str, Any] = {
    "contents": [
        {"role": "user", "parts": [{"text": "a", "odd": 1}]},
        {
            "role": "model",
            "parts": [
                {"text": "t", "thought": True, "thoughtSignature": "s"},
                {
                    "functionCall": {"id": "1", "name": "f", "args": {"x": [1, {"y": None}]}},
                    "thoughtSignature": "u",
                },
            ],
        },
        {"role": "user", "parts": [RESULT]},
    ],
    "systemInstruction": {"parts": [{"text": "s"}]},
    "tools": [
        {
            "functionDeclarations": [
                {"name": "f", "description": "d", "parameters": {"type": "OBJECT"}, "behavior": "B"}
            ]
        },
        {"googleSearch": {"timeRangeFilter": {}}},
    ],
    "toolConfig": {
        "functionCallingConfig": {"mode": "VALIDATED", "allowedFunctionNames": ["f"]},
        "retrievalConfig": {"languageCode": "de"},
    },
    "safetySettings": [{"category": "C", "threshold": "T"}],
    "cachedContent": "cachedContents/x",
    "labels": {"team_a": "b"},
    "serviceTier": "flex",
    "fromTheFuture": {"keep_me": 1},
    "generationConfig": {
        "temperature": 0.5,
        "topP": 0.5,
        "topK": 3,
        "candidateCount": 2,
        "maxOutputTokens": 5,
        "stopSequences": ["x"],
        "seed": 1,
        "presencePenalty": 0.5,
        "frequencyPenalty": 0.5,
        "responseLogprobs": True,
        "logprobs": 2,
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
        "responseModalities": ["TEXT"],
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
        "speechConfig": {"voice_config": 1},
        "thinkingConfig": {"thinkingLevel": "XHIGH", "includeThoughts": True, "odd": 1},
        "fromTheFuture": 1,
    },
}


@pytest.mark.parametrize("name", ["gemini-3-flash", "my-own"])
def test_the_same_form_keeps_everything(name: str) -> None:
    ignored: list[str] = []
    chat = decode_request(msgspec.json.encode(FULL), Told(name))

    again = encode_request(chat, ignored)

    assert msgspec.json.decode(msgspec.json.encode(again)) == FULL
    assert ignored == []


def test_what_other_forms_make_of_it() -> None:
    wanted = {"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {}}}]}
    body = {
        "contents": FULL["contents"],
        "tools": [wanted],
        "safetySettings": [],
        "generationConfig": {"maxOutputTokens": 5, "thinkingConfig": {"thinkingBudget": 0}},
    }
    chat = decode_request(msgspec.json.encode(body), Told("m"))
    ignored: list[str] = []

    sent = openai_chat.encode_request(chat, ignored)

    assert ignored == ["safetySettings"]
    assert sent["reasoning_effort"] == "none"
    assert sent["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert sent["messages"][1]["tool_calls"][0]["function"] == {
        "name": "f",
        "arguments": '{"x":[1,{"y":null}]}',
    }
    assert sent["messages"][2] == {"role": "tool", "tool_call_id": "1", "content": '{"content":[1]}'}
    assert ollama_chat.encode_request(chat, [])["think"] is False
