"""Conversations as Anthropic takes them: parts as blocks, messages as turns."""

from base64 import b64encode
from typing import Any

import pytest

from tollhouse.llm.chat import (
    ChatRequest,
    Document,
    Image,
    Message,
    Part,
    ResponseFormat,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tollhouse.llm.formats.anthropic_messages import encode_request

HELLO = Message("user", (Text("hi"),))
PNG, PDF = "iVBORw0K", "JVBERi0x"


def encoded(*messages: Message, ignored: list[str] | None = None, **members: Any) -> dict[str, Any]:
    members = {"form": "openai_chat", "model": "claude-haiku-4-5", **members}
    chat = ChatRequest(messages=messages or (HELLO,), **members)
    return encode_request(chat, [] if ignored is None else ignored)


def source(kind: str, **members: str) -> dict[str, Any]:
    return {"source": {"type": kind, **members}}


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (Text("a", {"cache_control": {"type": "ephemeral"}}), {"cache_control": {"type": "ephemeral"}}),
        (Text("a", cache="1h"), {"cache_control": {"type": "ephemeral", "ttl": "1h"}}),
        # A picture of the wrong type would be refused: its bytes tell the right one.
        (Image(data=PNG, media_type="image/jpeg"), source("base64", media_type="image/png", data=PNG)),
        (Image(url="https://a/b"), source("url", url="https://a/b")),
        (
            Document(data=PDF, media_type="application/pdf", name="n"),
            source("base64", media_type="application/pdf", data=PDF) | {"title": "n"},
        ),
        (Document(data=PDF), source("base64", media_type="application/pdf", data=PDF)),
        (Document(url="https://a/b"), source("url", url="https://a/b")),
        (Document(text="t"), source("text", media_type="text/plain", data="t")),
        (
            Document(data=b64encode("é".encode()).decode(), media_type="text/csv"),
            source("text", media_type="text/plain", data="é"),
        ),
    ],
)
def test_parts_become_blocks(part: Part, block: dict[str, Any]) -> None:
    ignored: list[str] = []
    (turn,) = encoded(Message("user", (part, Text("?"))), ignored=ignored)["messages"]

    assert {name: turn["content"][0].get(name) for name in block} == block
    assert turn["content"][1] == {"type": "text", "text": "?"}
    assert ignored == []


def call(id_: str, arguments: str = "{}") -> ToolCall:
    return ToolCall(id_, "f", arguments)


def result(id_: str, *parts: Part, **members: Any) -> Message:
    return Message("tool", (ToolResult(id_, parts, **members),))


def use(id_: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": "f", "input": arguments}


def came(id_: str, **members: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, **members}


def said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        # Turns of one role are one; a result goes before what the user says, wherever it came.
        ([HELLO, HELLO], [("user", [said("hi"), said("hi")])]),
        (
            [
                HELLO,
                Message("assistant", (call("1", '{"a":1}'), call("2"))),
                HELLO,
                result("1", Text("r")),
                result("2"),
            ],
            [
                ("user", "hi"),
                ("assistant", [use("1", a=1), use("2")]),
                ("user", [came("1", content="r"), came("2"), said("hi")]),
            ],
        ),
        (
            [
                HELLO,
                Message("assistant", (call("1"),)),
                result("1", Text("r"), Image(data=PNG), is_error=True),
            ],
            [
                ("user", "hi"),
                ("assistant", [use("1")]),
                (
                    "user",
                    [
                        came(
                            "1",
                            is_error=True,
                            content=[
                                said("r"),
                                {"type": "image", **source("base64", media_type="image/png", data=PNG)},
                            ],
                        )
                    ],
                ),
            ],
        ),
        # Ids that Anthropic refuses become others, the same for the call and for its result; those
        # without an id are paired in order.
        (
            [HELLO, Message("assistant", (call(""), call(""))), result("", Text("r")), result("", Text("s"))],
            [
                ("user", "hi"),
                ("assistant", [use("toolu_1"), use("toolu_2")]),
                ("user", [came("toolu_1", content="r"), came("toolu_2", content="s")]),
            ],
        ),
        # Empty turns and texts are refused; thoughts of others as well.
        (
            [
                HELLO,
                Message("assistant", ()),
                Message("assistant", (Text(""), Thinking("t", "s"), Text("x "))),
            ],
            [("user", "hi"), ("assistant", "x")],
        ),
        # The user speaks first.
        ([Message("assistant", (Text("x"),)), HELLO], [("user", "."), ("assistant", "x"), ("user", "hi")]),
        # The system's words in between go to the user's turn, with their mark.
        (
            [HELLO, Message("assistant", (Text("x"),)), Message("system", (Text("s"),)), HELLO],
            [("user", "hi"), ("assistant", "x"), ("user", [said("<system>\ns\n</system>"), said("hi")])],
        ),
        ([Message("system", (Text("s"),))], [("user", "s")]),
    ],
)
def test_conversations_become_turns(messages: list[Message], turns: list[tuple[str, Any]]) -> None:
    body = encoded(*messages)

    assert [(turn["role"], turn["content"]) for turn in body["messages"]] == turns
    assert "system" not in body


def test_ids_that_would_be_refused_become_others() -> None:
    body = encoded(HELLO, Message("assistant", (call("functions.f:0"),)), result("functions.f:0", Text("r")))

    made, answered = body["messages"][1]["content"][0], body["messages"][2]["content"][0]
    assert made["id"] == answered["tool_use_id"]
    assert made["id"].removeprefix("toolu_").isalnum()


def test_the_systems_words_stand_apart_with_what_the_format_asks_for() -> None:
    system = Message("system", (Text("s", cache="5m"),))
    body = encoded(
        system, Message("system", (Text("t"),)), HELLO, response_format=ResponseFormat("json_object")
    )

    first, second, third = body["system"]
    assert first == {"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}
    assert second == said("t")
    assert "JSON object" in third["text"]
    assert encoded(Message("system", (Text("s"),)), HELLO)["system"] == "s"


def test_what_a_model_wrote_wrong_does_not_end_the_conversation() -> None:
    ignored: list[str] = []
    body = encoded(
        HELLO, Message("assistant", (call("1", "{oops"), call("2", "")), {"name": "n"}), ignored=ignored
    )

    assert [block["input"] for block in body["messages"][1]["content"]] == [{}, {}]
    assert ignored == ["messages[1].tool_calls.function.arguments", "messages[1].name"]


def test_a_model_with_a_budget_does_not_go_on_from_a_call_without_its_thoughts() -> None:
    turns = (HELLO, Message("assistant", (call("1"),)), result("1", Text("r")))
    ignored: list[str] = []

    assert "thinking" not in encoded(*turns, effort="low", ignored=ignored)
    assert ignored == ["reasoning_effort"]
    assert "thinking" in encoded(*turns, HELLO, effort="low")
    assert "thinking" in encoded(*turns, effort="low", model="claude-opus-5")


def test_thoughts_stay_where_they_were_if_anthropic_signed_them() -> None:
    parts = (Thinking("t", "sig"), Thinking("", redacted="r"), call("1"), Thinking("unsigned"))
    body = encoded(HELLO, Message("assistant", parts), form="bedrock_converse")

    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "t", "signature": "sig"},
        {"type": "redacted_thinking", "data": "r"},
        use("1"),
    ]
