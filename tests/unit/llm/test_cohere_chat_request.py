"""Cohere's requests, of clients and for the provider; and its reranking."""

from typing import Any

import msgspec
import pytest
from cohere import AsyncClientV2
from tests.support.recordings import Recording, recording, recordings
from tests.support.servers import answering

from tollhouse.llm.chat import (
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
from tollhouse.llm.formats.cohere_chat import decode_request, encode_request, rerank
from tollhouse.pdk.usage import Usage

HELLO = Message("user", (Text("hi"),))
RECORDED = [r for r in recordings("cohere.chat") if r.request]


@pytest.mark.parametrize("stored", RECORDED, ids=[r.name for r in RECORDED])
def test_a_recorded_request_survives_its_own_form(stored: Recording) -> None:
    chat = decode_request(msgspec.json.encode(stored.request))
    ignored: list[str] = []

    body = encode_request(chat, ignored)

    assert decode_request(msgspec.json.encode(body)) == chat
    assert ignored == []
    others = {name: value for name, value in stored.request.items() if name != "messages"}
    assert {name: body.get(name) for name in others} == others


def test_what_only_cohere_has_survives_its_own_form() -> None:
    asked = {
        "model": "m",
        "stream": True,
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "hi", "x": 1}]},
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "so"}],
                "tool_plan": "I will",
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                "citations": [{"start": 1}],
            },
            {
                "role": "tool",
                "tool_call_id": "c",
                "content": [{"type": "document", "document": {"data": "42"}}],
            },
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": "REQUIRED",
        "strict_tools": True,
        "documents": ["a"],
        "citation_options": {"mode": "FAST"},
        "safety_mode": "OFF",
        "thinking": {"type": "enabled", "token_budget": 9},
        "response_format": {"type": "json_object", "json_schema": {"a": 1}},
        "max_tokens": 5,
        "stop_sequences": ["x"],
        "k": 3,
        "p": 0.5,
        "seed": 0,
        "temperature": 0.1,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "logprobs": True,
        "priority": 2,
    }

    chat = decode_request(msgspec.json.encode(asked))

    assert msgspec.json.decode(msgspec.json.encode(encode_request(chat, []))) == asked
    # Without its documents the answer would be another one.
    assert chat.own_only == ("documents",)


def read(**members: Any) -> ChatRequest:
    messages = [{"role": "user", "content": "hi"}]
    return decode_request(msgspec.json.encode({"model": "m", "messages": messages, **members}))


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({}, {"messages": (HELLO,), "stream": False, "include_usage": True, "own_only": ()}),
        ({"k": 5, "p": 0.5}, {"options": Options(top_k=5, top_p=0.5)}),
        ({"tool_choice": "NONE"}, {"tool_choice": ToolChoice("none")}),
        ({"thinking": {"type": "disabled"}}, {"effort": "none"}),
        ({"thinking": {"type": "enabled"}}, {"effort": "high"}),
        ({"thinking": {"type": "enabled", "token_budget": 7}}, {"thinking_tokens": 7, "effort": None}),
        ({"response_format": {"type": "json_object"}}, {"response_format": ResponseFormat("json_object")}),
        (
            {"response_format": {"type": "json_object", "schema": {"a": 1}}},
            {"response_format": ResponseFormat("json_schema", {"a": 1}, {"name": "answer"})},
        ),
        ({"response_format": {"type": "text"}}, {"response_format": ResponseFormat("text")}),
        ({"documents": []}, {"own_only": ()}),
    ],
)
def test_requests_of_a_client(members: dict[str, Any], what: dict[str, Any]) -> None:
    chat = read(**members)

    assert {name: getattr(chat, name) for name in what} == what


def test_pieces_of_messages() -> None:
    png = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVB", "detail": "low"}}
    web = {"type": "image_url", "image_url": {"url": "https://a/b"}}
    other = {"type": "hologram"}
    chat = read(messages=[{"role": "user", "content": [png, web, other]}])

    (message,) = chat.messages
    assert message.parts == (
        Image(data="iVB", media_type="image/png", detail="low"),
        Image(url="https://a/b"),
        OtherPart("hologram", other),
    )
    assert encode_request(chat, [])["messages"][0]["content"] == [png, web, other]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"model":"m"}',
        b'{"model":7,"messages":[]}',
        b'{"model":"m","messages":["x"]}',
        b'{"model":"m","messages":[{"role":"nobody","content":""}]}',
        b'{"model":"m","messages":[{"role":"user","content":[{"type":7}]}]}',
        b'{"model":"m","messages":[],"tool_choice":"MAYBE"}',
        b'{"model":"m","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_a_malformed_request_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal, match="not a Cohere chat request"):
        decode_request(body)


# For the provider


def put(*messages: Message, ignored: list[str] | None = None, **members: Any) -> dict[str, Any]:
    chat = ChatRequest(form="openai_chat", model="m", messages=messages or (HELLO,), **members)
    return encode_request(chat, [] if ignored is None else ignored)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, {"model": "m", "stream": False, "messages": [{"role": "user", "content": "hi"}]}),
        ({"stream": True}, {"stream": True}),
        (
            {"options": Options(max_tokens=5, temperature=0, top_k=3, top_p=0.5, stop=("x",), seed=1)},
            {"max_tokens": 5, "temperature": 0, "k": 3, "p": 0.5, "stop_sequences": ("x",), "seed": 1},
        ),
        # All tokens is the default of other forms, and refused here.
        ({"options": Options(top_p=1)}, {"p": 0.99}),
        (
            {"tools": (Tool("f", "d"),)},
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "f",
                            "description": "d",
                            "parameters": {"type": "object", "properties": {}},
                        },
                    }
                ]
            },
        ),
        ({"tools": (Tool("f"),), "tool_choice": ToolChoice("required")}, {"tool_choice": "REQUIRED"}),
        ({"tools": (Tool("f"),), "tool_choice": ToolChoice("none")}, {"tool_choice": "NONE"}),
        ({"tools": (Tool("f", strict=True),)}, {"strict_tools": True}),
        ({"response_format": ResponseFormat("json_object")}, {"response_format": {"type": "json_object"}}),
        (
            {"response_format": ResponseFormat("json_schema", {"a": 1}, {"name": "x"})},
            {"response_format": {"type": "json_object", "json_schema": {"a": 1}}},
        ),
        ({"effort": "none"}, {"thinking": {"type": "disabled"}}),
        ({"effort": "low"}, {"thinking": {"type": "enabled", "token_budget": 2048}}),
        ({"effort": "high"}, {"thinking": {"type": "enabled"}}),
        ({"thinking_tokens": 7}, {"thinking": {"type": "enabled", "token_budget": 7}}),
    ],
)
def test_requests_for_the_provider(members: dict[str, Any], expected: dict[str, Any]) -> None:
    body = put(**members)

    assert {name: body[name] for name in expected} == expected


def test_one_function_is_forced_by_giving_no_other() -> None:
    body = put(tools=(Tool("f"), Tool("g")), tool_choice=ToolChoice("one", "g"))

    assert [tool["function"]["name"] for tool in body["tools"]] == ["g"]
    assert body["tool_choice"] == "REQUIRED"
    assert "tool_choice" not in put(tools=(Tool("f"),), tool_choice=ToolChoice("auto"))


def test_a_conversation_of_another_form() -> None:
    ignored: list[str] = []
    body = put(
        Message("system", (Text("be brief"),)),
        Message("user", (Text("hi"), Image(data="iVB", media_type="image/png")), {"name": "n"}),
        Message("assistant", (Thinking("hm"), Text("no"))),
        Message("assistant", (Thinking("plan"), ToolCall("c", "f", ""))),
        Message("tool", (ToolResult("c", (Text("42"),)), ToolResult("d", ()))),
        ignored=ignored,
    )

    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "hi"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVB"}},
            ],
        },
        {"role": "assistant", "content": "no"},
        {
            "role": "assistant",
            "tool_plan": "plan",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "42"},
        {"role": "tool", "tool_call_id": "d", "content": ""},
    ]
    assert ignored == ["messages[1].name", "messages[2].thinking"]


def test_what_changes_little_is_left_out_and_told() -> None:
    ignored: list[str] = []

    put(
        user="u",
        parallel_tool_calls=False,
        tools=(Tool("f", strict=True), Tool("g")),
        options=Options(top_logprobs=2),
        extra={"metadata": {}, "logit_bias": {}, "store": False},
        ignored=ignored,
    )

    assert ignored == [
        "top_logprobs",
        "tools.function.strict",
        "parallel_tool_calls",
        "user",
        "metadata",
        "store",
    ]


@pytest.mark.parametrize(
    ("messages", "members", "words"),
    [
        ((), {"options": Options(n=2)}, "n is not supported"),
        ((), {"extra": {"logit_bias": {"1": 2}}}, "logit_bias is not supported"),
        ((), {"tools": (OtherTool("web_search", {}),)}, "'web_search' is not supported"),
        ((), {"tool_choice": ToolChoice("other", raw={})}, "tool_choice"),
        ((), {"tool_choice": ToolChoice("one", "f")}, "there is no tool 'f'"),
        ((Message("user", (Media("audio", "x", "audio/wav"),)),), {}, r"messages\[0\]: .*'audio'"),
        ((Message("user", (Document(text="x"),)),), {}, "'Document'"),
        ((Message("user", (OtherPart("x", {}),)),), {}, "'x'"),
    ],
)
def test_what_would_change_the_answer_is_refused(
    messages: tuple[Message, ...], members: dict[str, Any], words: str
) -> None:
    with pytest.raises(Refusal, match=words):
        put(*messages, **members)


# Reranking


def test_a_recorded_reranking_is_read_and_survives_its_form() -> None:
    stored = recording("cohere/rerank-rerank-rerank-english-v3.0")

    asked = rerank.decode_request(msgspec.json.encode(stored.request))
    answer = rerank.decode_response(stored.content)

    assert rerank.encode_request(asked) == stored.request
    assert [(found.index, found.score) for found in answer.results] == [
        (3, 0.999071),
        (4, 0.7779754),
        (1, 0.08882029),
    ]
    assert (answer.search_units, answer.usage) == (1, None)
    body = rerank.encode_response(answer)
    assert body == msgspec.json.decode(stored.content)
    other = recording("openai-compatible/rerank-rerank-rerank-2.5-lite")
    assert rerank.decode_response(other.content).usage == Usage(17)


def test_documents_of_the_first_version_are_texts() -> None:
    body = {"model": "m", "query": "q", "documents": [{"text": "a"}, "b"], "max_tokens_per_doc": 9}

    asked = rerank.decode_request(msgspec.json.encode(body))

    assert rerank.encode_request(asked) == body | {"documents": ["a", "b"]}
    with pytest.raises(Refusal, match="not a rerank request"):
        rerank.decode_request(b'{"model":"m"}')
    with pytest.raises(Unreadable):
        rerank.decode_response(b"{}")


async def test_the_sdk_reads_a_reranking() -> None:
    told = rerank.RerankAnswer(results=(rerank.Ranked(1, 0.5),), id="x", usage=Usage(7))
    async with answering(msgspec.json.encode(rerank.encode_response(told)), "application/json") as address:
        client = AsyncClientV2(api_key="k", base_url=address)
        answer = await client.rerank(model="m", query="q", documents=["a", "b"])

    assert [(found.index, found.relevance_score) for found in answer.results] == [(1, 0.5)]
    assert answer.meta is not None
    assert answer.meta.billed_units is not None
    assert answer.meta.billed_units.input_tokens == 7
