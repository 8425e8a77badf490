"""Details of Gemini's form: whole answers."""

from typing import Any

import msgspec
import pytest

from tollhouse.llm.chat import (
    Chat,
    Document,
    Image,
    OtherPart,
    Part,
    Text,
    Thinking,
    ToolCall,
)
from tollhouse.llm.form import Unreadable
from tollhouse.llm.formats.gemini import decode_response, encode_response
from tollhouse.pdk.usage import Usage


def answer(*parts: dict[str, Any], **more: Any) -> bytes:
    reason = more.pop("finishReason", "STOP")
    candidate = {"content": {"parts": list(parts), "role": "model"}, "finishReason": reason}
    return msgspec.json.encode({"candidates": [candidate], "modelVersion": "m", "responseId": "r"} | more)


@pytest.mark.parametrize(
    ("told", "calls", "reason"),
    [
        ("STOP", False, "stop"),
        ("STOP", True, "tool_calls"),
        ("MAX_TOKENS", False, "length"),
        ("MAX_TOKENS", True, "length"),
        *((name, False, "content_filter") for name in ("SAFETY", "RECITATION", "BLOCKLIST", "MODEL_ARMOR")),
        *((name, False, "content_filter") for name in ("PROHIBITED_CONTENT", "SPII", "LANGUAGE")),
        *((name, False, "content_filter") for name in ("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT")),
        *((name, False, "stop") for name in ("OTHER", "MALFORMED_FUNCTION_CALL", "TOO_MANY_TOOL_CALLS")),
        *((name, False, "stop") for name in ("NO_IMAGE", "FROM_THE_FUTURE", None)),
        ("UNEXPECTED_TOOL_CALL", True, "tool_calls"),
        (1, False, "stop"),
        (1, True, "tool_calls"),
        (2, False, "length"),
        (3, False, "content_filter"),
        (5, False, "stop"),
        (99, False, "stop"),
    ],
)
def test_reasons(told: str | int | None, calls: bool, reason: str) -> None:
    part = {"functionCall": {"name": "f"}} if calls else {"text": "x"}

    assert decode_response(answer(part, finishReason=told)).reason == reason


@pytest.mark.parametrize(
    "body",
    [
        {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "m", "responseId": "r"},
        {"usageMetadata": {"trafficType": "ON_DEMAND"}, "modelVersion": "m", "responseId": "r"},
    ],
)
def test_a_blocked_prompt_is_an_answer(body: dict[str, Any]) -> None:
    chat = decode_response(msgspec.json.encode(body))

    assert chat == Chat(model="m", parts=(), reason="content_filter", id="r")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "truncated"),
        (b"{}", "neither candidates"),
        (b"[]", "array"),
        (b"\xff", "."),
        (b'{"candidates": 7}', "candidates"),
        (b'{"error": {"message": "out of memory"}}', "out of memory"),
        (b'{"error": {}}', "reported an error"),
    ],
)
def test_what_is_no_answer_is_unreadable(body: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        decode_response(body)


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"promptTokenCount": 9}, Usage(9, 0)),
        (
            {
                "promptTokenCount": 9,
                "toolUsePromptTokenCount": 3,
                "candidatesTokenCount": 2,
                "thoughtsTokenCount": 5,
            },
            Usage(12, 7, reasoning_tokens=5),
        ),
        ({"promptTokenCount": 9, "cachedContentTokenCount": 11}, Usage(9, 0, cached_tokens=9)),
        (
            {
                "promptTokenCount": 9,
                "candidatesTokenCount": 6,
                "cachedContentTokenCount": 4,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 2},
                    {"modality": "AUDIO", "tokenCount": 7},
                ],
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 4}],
                "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 6}],
            },
            Usage(9, 6, cached_tokens=4, prompt_audio_tokens=3, completion_audio_tokens=6),
        ),
    ],
)
def test_counts(counts: dict[str, Any], usage: Usage) -> None:
    assert decode_response(answer({"text": "x"}, usageMetadata=counts)).usage == usage


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"text": "x"}, Text("x")),
        ({"text": "x", "thoughtSignature": "s"}, Text("x", {"thoughtSignature": "s"})),
        ({"text": "", "thoughtSignature": "s"}, Thinking("", "s")),
        ({"text": "x", "thought": True}, Thinking("x")),
        ({"text": "x", "thought": True, "thoughtSignature": "s"}, Thinking("x", "s")),
        (
            {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "s"},
            ToolCall("1", "f", '{"a":1}', signature="s"),
        ),
        ({"inlineData": {"mimeType": "image/png", "data": "iVB"}}, Image(data="iVB", media_type="image/png")),
        (
            {"executableCode": {"code": "1"}, "thoughtSignature": "s"},
            OtherPart("executableCode", {"executableCode": {"code": "1"}, "thoughtSignature": "s"}),
        ),
    ],
)
def test_parts_come_and_go_back(part: dict[str, Any], expected: Part) -> None:
    chat = decode_response(answer(part))

    assert chat.parts == (expected,)
    assert encode_response(chat)["candidates"][0]["content"]["parts"] == [part]


def test_a_whole_answer_for_a_client() -> None:
    usage = Usage(9, 7, cached_tokens=4, reasoning_tokens=5, prompt_audio_tokens=2, completion_audio_tokens=1)
    parts = (Text("x"), ToolCall("1", "f", "oops"), Document(text="no part of answers"))

    body = encode_response(
        Chat(model="m", parts=parts, reason="tool_calls", usage=usage, id="r", created=1751919739)
    )

    assert body == {
        "candidates": [
            {
                "content": {
                    "parts": [
                        {"text": "x"},
                        {"functionCall": {"id": "1", "name": "f", "args": {"arguments": "oops"}}},
                    ],
                    "role": "model",
                },
                "index": 0,
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 9,
            "candidatesTokenCount": 2,
            "totalTokenCount": 16,
            "thoughtsTokenCount": 5,
            "cachedContentTokenCount": 4,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 7},
                {"modality": "AUDIO", "tokenCount": 2},
            ],
            "candidatesTokensDetails": [
                {"modality": "TEXT", "tokenCount": 1},
                {"modality": "AUDIO", "tokenCount": 1},
            ],
        },
        "modelVersion": "m",
        "createTime": "2025-07-07T20:22:19Z",
        "responseId": "r",
    }


def test_calls_without_ids_get_some_that_differ() -> None:
    call = {"functionCall": {"name": "f", "args": {}}}

    first, second = decode_response(answer(call, call)).parts
    other = decode_response(answer(call, responseId="another")).parts[0]

    ids = {part.id for part in (first, second, other) if isinstance(part, ToolCall)}
    assert len(ids) == 3
    assert all(found.startswith("call_") for found in ids)
    assert decode_response(answer(call, call)).parts == (first, second)


def test_other_candidates_are_not_mixed_in() -> None:
    content = {"parts": [{"text": "x"}]}
    candidates = [
        {"index": 1, "content": {"parts": [{"text": "y"}]}},
        {"content": content, "finishReason": "STOP"},
    ]

    chat = decode_response(msgspec.json.encode({"candidates": candidates, "createTime": "soon"}))

    assert chat == Chat(model="", parts=(Text("x"),), reason="stop")
