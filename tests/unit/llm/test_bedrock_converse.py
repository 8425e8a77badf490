"""Answers, errors and paths of Converse."""

import re
from typing import Any, cast

import msgspec
import pytest
from tests.support.recordings import Recording, recording, recordings

from tollhouse.llm.chat import (
    Chat,
    Finish,
    OtherPart,
    Text,
    Thinking,
    ToolCall,
)
from tollhouse.llm.form import Told, Unreadable
from tollhouse.llm.formats.bedrock_converse import (
    decode_error,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    stream_decoder,
)
from tollhouse.llm.formats.bedrock_converse.eventstream import event
from tollhouse.llm.formats.bedrock_converse.path import Asked, path_for, read_path
from tollhouse.pdk.usage import Usage

CALLED = recordings("converse", "converse-stream")
WHOLE = [stored for stored in CALLED if stored.status == 200 and not stored.streamed]
STREAMS = [stored for stored in CALLED if stored.streamed]


def named(found: list[Recording]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("stored", found, ids=[stored.name for stored in found])


def said(blocks: list[dict[str, Any]]) -> tuple[str, str, list[tuple[str, str, Any]]]:
    """What content blocks say, found without the code under test: text, thoughts, calls."""
    text = "".join(block.get("text", "") for block in blocks)
    thoughts = [block["reasoningContent"]["reasoningText"] for block in blocks if "reasoningContent" in block]
    uses = [block["toolUse"] for block in blocks if "toolUse" in block]
    calls = [(use["toolUseId"], use["name"], use["input"]) for use in uses]
    return text, "".join(thought["text"] for thought in thoughts), calls


def said_in(parts: Any) -> tuple[str, str, list[tuple[str, str, Any]]]:
    text = "".join(part.text for part in parts if isinstance(part, Text))
    thoughts = "".join(part.text for part in parts if isinstance(part, Thinking))
    calls = [part for part in parts if isinstance(part, ToolCall)]
    return text, thoughts, [(call.id, call.name, msgspec.json.decode(call.arguments)) for call in calls]


def usage_of(counts: dict[str, Any]) -> Usage:
    read, written = counts.get("cacheReadInputTokens", 0), counts.get("cacheWriteInputTokens", 0)
    usage = Usage(counts["inputTokens"] + read + written, counts["outputTokens"])
    assert usage.total_tokens == counts["totalTokens"]
    usage.cached_tokens, usage.cache_write_tokens = read, written
    return usage


REASONS = {"end_turn": "stop", "tool_use": "tool_calls", "guardrail_intervened": "content_filter"}


@named(WHOLE)
def test_a_recorded_answer_is_read_and_survives(stored: Recording) -> None:
    body = msgspec.json.decode(stored.content)

    chat = decode_response(stored.content)

    assert said_in(chat.parts) == said(body["output"]["message"]["content"])
    assert chat.reason == REASONS[body["stopReason"]]
    assert chat.usage == usage_of(body["usage"])
    assert encode_response(chat)["output"] == body["output"]
    assert decode_response(msgspec.json.encode(encode_response(chat))) == chat


@named(CALLED)
def test_a_recorded_request_goes_on_as_it_came(stored: Recording) -> None:
    ignored: list[str] = []

    chat = decode_request(msgspec.json.encode(stored.request), Told("m", stored.streamed))

    empty: tuple[Any, ...] = ([], {})
    expected = {name: value for name, value in stored.request.items() if value not in empty}
    assert encode_request(chat, ignored) == expected
    assert (chat.model, chat.stream, ignored) == ("m", stored.streamed, [])


# Answers

ANSWER: dict[str, Any] = {
    "output": {"message": {"role": "assistant", "content": [{"text": "x"}]}},
    "stopReason": "end_turn",
}


def read(**members: Any) -> Chat:
    return decode_response(msgspec.json.encode(ANSWER | members))


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("malformed_tool_use", "stop"),
        ("malformed_model_output", "stop"),
        ("something_new", "stop"),
    ],
)
def test_reasons(told: str, reason: str) -> None:
    assert read(stopReason=told).reason == reason
    decoder = stream_decoder()
    decoder.feed(event("messageStop", msgspec.json.encode({"stopReason": told})))
    stopped = "" if told == "stop_sequence" else None
    assert decoder.feed(event("metadata", b"{}"))[-1] == Finish(cast(Any, reason), None, stopped)


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({"output": None, "stopReason": "guardrail_intervened"}, {"parts": (), "reason": "content_filter"}),
        ({"output": {}}, {"parts": ()}),
        ({"usage": None}, {"usage": None}),
        (
            {
                "usage": {
                    "inputTokens": 2,
                    "outputTokens": 5,
                    "totalTokens": 1337,
                    "cacheReadInputTokens": 1000,
                    "cacheWriteInputTokens": 330,
                    "cacheDetails": [{"ttl": "1h", "inputTokens": 300}, {"ttl": "5m", "inputTokens": 30}],
                    "serverToolUsage": {},
                }
            },
            {
                "usage": Usage(
                    1332, 5, cached_tokens=1000, cache_write_tokens=330, cache_write_hour_tokens=300
                )
            },
        ),
        (
            {"stopReason": "stop_sequence", "additionalModelResponseFields": {"stop_sequence": "END"}},
            {"reason": "stop", "stop_sequence": "END"},
        ),
        (
            {"trace": {"promptRouter": {"invokedModelId": "arn:aws:bedrock:r::foundation-model/a.b-v1:0"}}},
            {"model": "a.b-v1:0"},
        ),
    ],
)
def test_what_an_answer_tells(members: dict[str, Any], what: dict[str, Any]) -> None:
    chat = read(**members)

    assert {name: getattr(chat, name) for name in what} == what
    assert decode_response(msgspec.json.encode(encode_response(chat))).parts == chat.parts


@pytest.mark.parametrize(
    "block",
    [
        {"text": ""},
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        {"reasoningContent": {"reasoningText": {"text": "hm"}}},
        {"reasoningContent": {"redactedContent": "b3BhcXVl"}},
        {"citationsContent": {"content": [{"text": "Ruby"}], "citations": [{"title": "facts"}]}},
        {"toolUse": {"toolUseId": "1", "name": "search", "input": {}, "type": "server_tool_use"}},
        {"image": {"format": "png", "source": {"bytes": "iVBO"}}},
        {"somethingNew": {"a": [1]}},
    ],
)
def test_blocks_of_an_answer_survive(block: dict[str, Any]) -> None:
    chat = read(output={"message": {"role": "assistant", "content": [block]}})

    content = encode_response(chat)["output"]["message"]["content"]
    assert content == [block]


def test_text_with_citations_is_text_for_everybody() -> None:
    cited = {"citationsContent": {"content": [{"text": "Ruby"}, {"text": " on"}], "citations": []}}

    (part,) = read(output={"message": {"role": "assistant", "content": [cited]}}).parts

    assert isinstance(part, Text)
    assert part.text == "Ruby on"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "truncated"),
        (b"\xff", "."),
        (b"[]", "Expected `object`"),
        (b"{}", "no stopReason"),
        (b'{"message":"Too many requests"}', "Too many requests"),
        (b'{"stopReason":"end_turn","output":{"message":{"content":[{"text":1}]}}}', "Expected `str`"),
        (b'{"stopReason":"end_turn","output":{"message":{"content":[{"toolUse":{}}]}}}', "toolUseId"),
    ],
)
def test_what_is_no_answer_is_unreadable(body: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        decode_response(body)


def test_a_whole_answer_for_a_client() -> None:
    chat = Chat(
        model="m",
        parts=(Text("x"), ToolCall("1", "f", ""), ToolCall("2", "g", "oops"), OtherPart("image", {"a": 1})),
        reason="tool_calls",
        usage=Usage(
            1332,
            5,
            cached_tokens=1000,
            reasoning_tokens=2,
            cache_write_tokens=330,
            cache_write_hour_tokens=300,
        ),
    )

    assert encode_response(chat) == {
        "output": {
            "message": {
                "role": "assistant",
                "content": [
                    {"text": "x"},
                    {"toolUse": {"toolUseId": "1", "name": "f", "input": {}}},
                    {"toolUse": {"toolUseId": "2", "name": "g", "input": {"arguments": "oops"}}},
                ],
            }
        },
        "stopReason": "tool_use",
        "usage": {
            "inputTokens": 2,
            "outputTokens": 5,
            "totalTokens": 1337,
            "cacheReadInputTokens": 1000,
            "cacheWriteInputTokens": 330,
            "cacheDetails": [{"ttl": "5m", "inputTokens": 30}, {"ttl": "1h", "inputTokens": 300}],
        },
        "metrics": {"latencyMs": 0},
    }


# Errors


@pytest.mark.parametrize(
    ("status", "kind", "body", "trouble"),
    [
        (400, "ValidationException", {"message": "bad"}, "invalid_request"),
        (400, "ValidationException", {"message": "Input is too long for requested model."}, "context_length"),
        (400, "ValidationException", {"message": "The provided model identifier is invalid."}, "not_found"),
        (400, "", {"__type": "com.amazon#ServiceQuotaExceededException", "message": "x"}, "quota"),
        (403, "AccessDeniedException", {"Message": "not for you"}, "permission"),
        (403, "AccessDeniedException", {"Message": "Authentication failed: make sure"}, "upstream_auth"),
        (403, "UnrecognizedClientException:http://internal.amazon.com/", {"message": "x"}, "upstream_auth"),
        (403, "InvalidSignatureException", {"message": "x"}, "upstream_auth"),
        (404, "ResourceNotFoundException", {"message": "x"}, "not_found"),
        (408, "ModelTimeoutException", {"message": "x"}, "timeout"),
        (424, "ModelErrorException", {"message": "x", "originalStatusCode": 500}, "upstream_error"),
        (429, "ThrottlingException", {"message": "x"}, "rate_limit"),
        (429, "ModelNotReadyException", {"message": "x"}, "overloaded"),
        (503, "ServiceUnavailableException", {"message": "x"}, "overloaded"),
        (500, "", b"<html>", "upstream_error"),
        (502, "", b"", "upstream_error"),
    ],
)
def test_errors_are_understood(status: int, kind: str, body: Any, trouble: str) -> None:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)

    problem = decode_error(status, content, {"x-amzn-errortype": kind, "retry-after": "7"})

    assert (problem.trouble, problem.status, problem.retry_after) == (trouble, status, 7)
    assert problem.message


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        ("bedrock/converse-error403-us.amazon.nova-2-lite-v1", "upstream_auth"),
        ("bedrock/count-tokens-error400-does-not-exist-model-v1", "not_found"),
        ("synthetic/bedrock-424-model-error", "upstream_error"),
        ("synthetic/bedrock-429-throttling", "rate_limit"),
        ("synthetic/bedrock-503", "overloaded"),
    ],
)
def test_recorded_errors_are_understood(name: str, trouble: str) -> None:
    stored = recording(name)

    problem = decode_error(stored.status, stored.content, stored.headers)

    assert problem.trouble == trouble
    assert problem.message == msgspec.json.decode(stored.content)["message"]


# Paths

ARN = "arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.anthropic.claude-v1:0"


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/model/a.b-v1%3A0/converse", Asked("converse", Told("a.b-v1:0"))),
        ("/model/a.b-v1:0/converse-stream", Asked("converse-stream", Told("a.b-v1:0", stream=True))),
        ("/prefix/model/m/invoke", Asked("invoke", Told("m"))),
        ("/model/m/invoke-with-response-stream", Asked("invoke-with-response-stream", Told("m", True))),
        ("/model/m/count-tokens", Asked("count-tokens", Told("m"))),
        (f"/model/{ARN}/converse", Asked("converse", Told(ARN))),
        ("/model//converse", None),
        ("/model/m/other", None),
        ("/v1/chat/completions", None),
    ],
)
def test_paths_tell_model_and_stream(path: str, asked: Asked | None) -> None:
    assert read_path(path) == asked


@pytest.mark.parametrize("model", [ARN, "a.b-v1:0", "../x", "a/b?c#d e", "ü"])
def test_a_model_is_one_segment_of_the_path(model: str) -> None:
    path = path_for("/model/{model}/converse", model)

    assert re.fullmatch(r"/model/[A-Za-z0-9._~%-]+/converse", path)
    assert read_path(path) == Asked("converse", Told(model))
