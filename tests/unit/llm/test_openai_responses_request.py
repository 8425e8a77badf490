"""Requests for responses, of clients and for providers."""

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
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tollhouse.llm.form import Refusal
from tollhouse.llm.formats import ollama_chat, openai_chat
from tollhouse.llm.formats.openai_responses import (
    decode_request,
    encode_request,
)

# Requests of a client


def read(**members: Any) -> ChatRequest:
    return decode_request(msgspec.json.encode({"model": "m", "input": "hi", **members}))


FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({}, {"messages": (Message("user", (Text("hi"),)),), "include_usage": True, "stream": False}),
        (
            {"instructions": "be brief"},
            {"messages": (Message("system", (Text("be brief"),)), Message("user", (Text("hi"),)))},
        ),
        (
            {"max_output_tokens": 5, "temperature": 1, "top_p": 0.5, "top_logprobs": 2},
            {"options": Options(max_tokens=5, temperature=1, top_p=0.5, top_logprobs=2)},
        ),
        ({"tools": [FUNCTION]}, {"tools": (Tool("f", None, {"type": "object"}, True),)}),
        (
            {"tools": [{"type": "web_search", "x": 1}]},
            {"tools": (OtherTool("web_search", {"type": "web_search", "x": 1}),)},
        ),
        ({"tool_choice": "required"}, {"tool_choice": ToolChoice("required")}),
        ({"tool_choice": {"type": "function", "name": "f"}}, {"tool_choice": ToolChoice("one", "f")}),
        (
            {"tool_choice": {"type": "web_search"}},
            {"tool_choice": ToolChoice("other", raw={"type": "web_search"})},
        ),
        (
            {
                "text": {
                    "format": {"type": "json_schema", "name": "x", "schema": {"a": 1}},
                    "verbosity": "low",
                }
            },
            {
                "response_format": ResponseFormat("json_schema", {"a": 1}, {"name": "x"}),
                "extra": {"text.verbosity": "low"},
            },
        ),
        ({"text": {"format": {"type": "json_object"}}}, {"response_format": ResponseFormat("json_object")}),
        (
            {"reasoning": {"effort": "high", "summary": "auto"}},
            {"effort": "high", "show_thinking": True, "extra": {"reasoning.summary": "auto"}},
        ),
        ({"parallel_tool_calls": False, "user": "u"}, {"parallel_tool_calls": False, "user": "u"}),
        ({"store": False, "unheard_of": 1}, {"extra": {"store": False, "unheard_of": 1}, "own_only": ()}),
        ({"previous_response_id": "resp_1", "input": None}, {"own_only": ("previous_response_id",)}),
        ({"previous_response_id": "", "background": False, "conversation": None}, {"own_only": ()}),
        ({"conversation": "c"}, {"own_only": ("conversation",)}),
        ({"background": True}, {"own_only": ("background",)}),
        ({"prompt": {"id": "p"}}, {"own_only": ("prompt",)}),
    ],
)
def test_requests_of_a_client(members: dict[str, Any], what: dict[str, Any]) -> None:
    chat = read(**members)

    assert {name: getattr(chat, name) for name in what} == what


def test_what_a_model_did_at_a_stretch_is_one_turn() -> None:
    messages = read(
        input=[
            {"role": "developer", "content": "rules"},
            {"role": "user", "content": [{"type": "input_text", "text": "hi", "mark": 1}]},
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "a"}],
                "encrypted_content": "p",
            },
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "x", "annotations": []}],
            },
            {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "web_search_call", "id": "ws_1"},
            {"type": "function_call_output", "call_id": "c", "output": "42"},
            {"type": "reasoning", "summary": [], "encrypted_content": "q"},
        ]
    ).messages

    assert messages == (
        Message("system", (Text("rules"),)),
        Message("user", (Text("hi", {"mark": 1}),)),
        Message(
            "assistant",
            (
                Thinking(
                    "a",
                    "p",
                    extra={"id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}]},
                ),
                Text("x", {"item": {"id": "msg_1"}}),
                ToolCall("c", "f", "{}", {"id": "fc_1"}),
                OtherPart("web_search_call", {"type": "web_search_call", "id": "ws_1"}),
            ),
        ),
        Message("tool", (ToolResult("c", (Text("42"),)),)),
        Message("assistant", (Thinking("", redacted="q", extra={"summary": []}),)),
    )


PIECES: list[tuple[dict[str, Any], Part]] = [
    ({"type": "input_text", "text": "a", "x": 1}, Text("a", {"x": 1})),
    (
        {"type": "input_image", "image_url": "data:image/png;base64,iVB", "detail": "low"},
        Image(data="iVB", media_type="image/png", detail="low"),
    ),
    ({"type": "input_image", "image_url": "https://a/b"}, Image(url="https://a/b")),
    (
        {"type": "input_image", "file_id": "f"},
        OtherPart("input_image", {"type": "input_image", "file_id": "f"}),
    ),
    (
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVB"},
        Document("JVB", "application/pdf", name="a.pdf"),
    ),
    ({"type": "input_file", "file_url": "https://a/b.pdf"}, Document(url="https://a/b.pdf")),
    ({"type": "input_file", "file_id": "f"}, Document(file_id="f")),
    (
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
        Media("audio", "UklG", "audio/wav"),
    ),
]


@pytest.mark.parametrize(("piece", "part"), PIECES)
def test_pieces_of_a_message_come_and_go(piece: dict[str, Any], part: Part) -> None:
    chat = read(input=[{"role": "user", "content": [piece]}])

    assert chat.messages == (Message("user", (part,)),)
    assert encode_request(chat, [])["input"] == [{"role": "user", "content": [piece]}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not a request for a response"),
        (b"[]", "not a request for a response"),
        (b'{"model":7,"input":"x"}', "model"),
        (b'{"model":"m"}', "input: required"),
        (b'{"model":"m","input":[{"role":"nobody","content":""}]}', r"input\[0\]: unknown role"),
        (b'{"model":"m","input":["x"]}', r"\$.input\[0\]"),
        (b'{"model":"m","input":[{"type":"function_call_output"}]}', r"input\[0\]: .*call_id"),
        (b'{"model":"m","input":[{"role":"user","content":[{"type":7}]}]}', r"input\[0\]: "),
        (b'{"model":"m","input":"x","reasoning":{"effort":"mad"}}', "unknown effort"),
        (b'{"model":"m","input":"x","text":{"format":{"type":"xml"}}}', "text.format"),
        (b'{"model":"m","input":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not a request"),
    ],
)
def test_a_malformed_request_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        decode_request(body)


# Requests for a provider

HELLO = Message("user", (Text("hi"),))


def put(*messages: Message, ignored: list[str] | None = None, **members: Any) -> dict[str, Any]:
    chat = ChatRequest(form="openai_chat", model="gpt-4o", messages=messages or (HELLO,), **members)
    return encode_request(chat, [] if ignored is None else ignored)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, {"model": "gpt-4o", "store": False, "input": [{"role": "user", "content": "hi"}]}),
        ({"stream": True}, {"stream": True}),
        ({"options": Options(max_tokens=5, temperature=2)}, {"max_output_tokens": 5, "temperature": 2}),
        (
            {"options": Options(logprobs=True, top_logprobs=3)},
            {"include": ["message.output_text.logprobs"], "top_logprobs": 3},
        ),
        # Strict by default here, not in chat completions.
        (
            {"tools": (Tool("f", "d", {"type": "object"}),)},
            {
                "tools": [
                    {
                        "type": "function",
                        "name": "f",
                        "description": "d",
                        "parameters": {"type": "object"},
                        "strict": False,
                    }
                ]
            },
        ),
        (
            {"tools": (Tool("f"),), "tool_choice": ToolChoice("one", "f")},
            {"tool_choice": {"type": "function", "name": "f"}},
        ),
        ({"tool_choice": ToolChoice("none")}, {"tool_choice": "none"}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"response_format": ResponseFormat("json_object")}, {"text": {"format": {"type": "json_object"}}}),
        (
            {"response_format": ResponseFormat("json_schema", {"a": 1}), "extra": {"verbosity": "low"}},
            {
                "text": {
                    "format": {"type": "json_schema", "name": "answer", "schema": {"a": 1}},
                    "verbosity": "low",
                }
            },
        ),
        (
            {"effort": "low", "show_thinking": True},
            {"reasoning": {"effort": "low", "summary": "auto"}},
        ),
        ({"thinking_tokens": 0}, {"reasoning": {"effort": "none"}}),
        ({"thinking_tokens": 8000}, {"reasoning": {"effort": "medium"}}),
        ({"thinking_tokens": 32000}, {"reasoning": {"effort": "high"}}),
        (
            {"user": "u", "extra": {"metadata": {"a": "b"}, "service_tier": "flex", "store": True}},
            {"user": "u", "metadata": {"a": "b"}, "service_tier": "flex", "store": True},
        ),
    ],
)
def test_requests_for_a_provider(members: dict[str, Any], expected: dict[str, Any]) -> None:
    body = put(**members)

    assert {name: body[name] for name in expected} == expected


def test_proofs_are_asked_of_reasoning_models_alone() -> None:
    chat = ChatRequest(form="openai_chat", model="gpt-5-mini", messages=(HELLO,))

    assert encode_request(chat, [])["include"] == ["reasoning.encrypted_content"]
    assert "include" not in put()


def test_a_conversation_of_another_form_becomes_items() -> None:
    ignored: list[str] = []
    body = put(
        Message("system", (Text("a"), Text("b"))),
        Message("user", (Text("hi"), Document(text="plain"))),
        Message(
            "assistant",
            (
                Thinking("hm"),
                Thinking("seen", "p"),
                Thinking("", redacted="q"),
                Text("x", {"citations": []}),
                ToolCall("c", "f", ""),
            ),
        ),
        Message(
            "tool",
            (ToolResult("c", (Text("42"),)), ToolResult("d", (Image(data="iVB", media_type="image/png"),))),
        ),
        Message("system", (Text("later"),)),
        ignored=ignored,
    )

    assert body["instructions"] == "a\n\nb"
    assert body["input"] == [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "hi"},
                {
                    "type": "input_file",
                    "filename": "document",
                    "file_data": "data:text/plain;base64,cGxhaW4=",
                },
            ],
        },
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "seen"}],
            "encrypted_content": "p",
        },
        {"type": "reasoning", "summary": [], "encrypted_content": "q"},
        {"role": "assistant", "content": "x"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""},
        {"type": "function_call_output", "call_id": "c", "output": "42"},
        {
            "type": "function_call_output",
            "call_id": "d",
            "output": [{"type": "input_image", "image_url": "data:image/png;base64,iVB"}],
        },
        {"role": "system", "content": "later"},
    ]
    assert ignored == ["messages[2].thinking"]


def test_what_changes_little_is_left_out_and_told() -> None:
    ignored: list[str] = []

    put(
        options=Options(seed=0, top_k=5, presence_penalty=0, frequency_penalty=1),
        extra={"safety_settings": 1, "logit_bias": {}, "modalities": ["text"]},
        ignored=ignored,
    )

    assert ignored == ["top_k", "seed", "frequency_penalty", "safety_settings"]


@pytest.mark.parametrize(
    ("messages", "members", "words"),
    [
        ((), {"options": Options(stop=("x",))}, "stop is not supported"),
        ((), {"options": Options(n=2)}, "n is not supported"),
        ((), {"extra": {"logit_bias": {"1": 2}}}, "logit_bias is not supported"),
        ((), {"extra": {"web_search_options": {}}}, "web_search_options is not supported"),
        ((), {"tools": (OtherTool("custom", {}),)}, "'custom' is not supported"),
        ((), {"tool_choice": ToolChoice("other", raw={})}, "tool_choice"),
        ((Message("user", (Media("video", url="x"),)),), {}, r"messages\[0\]: content of type 'video'"),
        ((Message("user", (OtherPart("x", {}),)),), {}, r"messages\[0\]: content of type 'x'"),
        ((Message("user", (Document(file_id="f"),)),), {}, "not known to another"),
    ],
)
def test_what_would_change_the_answer_is_refused(
    messages: tuple[Message, ...], members: dict[str, Any], words: str
) -> None:
    with pytest.raises(Refusal, match=words):
        put(*messages, **members)


def test_hosted_tools_are_refused_by_other_forms() -> None:
    chat = read(tools=[{"type": "web_search"}])

    for form in (openai_chat, ollama_chat):
        with pytest.raises(Refusal, match="web_search"):
            form.encode_request(chat, [])


def test_a_request_of_this_form_goes_to_another_and_its_answer_comes_back() -> None:
    chat = read(
        instructions="be brief",
        input=[
            {"role": "user", "content": "hi"},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call", "call_id": "b", "name": "g", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "1"},
            {"type": "function_call_output", "call_id": "b", "output": "2"},
        ],
        reasoning={"effort": "low"},
        tools=[FUNCTION],
    )

    body = openai_chat.encode_request(chat, [])

    assert [message["role"] for message in body["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
    ]
    assert [call["id"] for call in body["messages"][2]["tool_calls"]] == ["a", "b"]
    assert body["reasoning_effort"] == "low"
    assert body["tools"][0]["function"]["strict"] is True
