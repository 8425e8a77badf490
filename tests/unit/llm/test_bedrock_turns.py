"""Conversations for models on Bedrock: turns and parts."""

from typing import Any

import pytest

from tollhouse.llm.chat import (
    ChatRequest,
    Document,
    Image,
    Media,
    Message,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tollhouse.llm.formats.bedrock_converse import encode_request

HELLO = Message("user", (Text("hi"),))
OLD_CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
LLAMA = "meta.llama3-2-1b-instruct-v1:0"
ARN = "arn:aws:bedrock:us-east-1:000000000000:application-inference-profile/abc"


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


CALL = Message("assistant", (ToolCall("1", "f", '{"a": 1}'),))
RESULT = Message("tool", (ToolResult("1", (Text("42"),)),))


def turns(*messages: Message, model: str = OLD_CLAUDE, **members: Any) -> list[Any]:
    return [
        (turn["role"], turn["content"]) for turn in encoded(*messages, model=model, **members)["messages"]
    ]


USED = {"toolUse": {"toolUseId": "1", "name": "f", "input": {"a": 1}}}
GIVEN = {"toolResult": {"toolUseId": "1", "content": [{"text": "42"}]}}
OPENED = ("user", [{"text": "."}])


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ((HELLO, HELLO), [("user", [{"text": "hi"}, {"text": "hi"}])]),
        (
            (HELLO, CALL, RESULT, HELLO),
            [("user", [{"text": "hi"}]), ("assistant", [USED]), ("user", [GIVEN, {"text": "hi"}])],
        ),
        # Results come first in their turn, whatever the client has said before them.
        (
            (HELLO, CALL, HELLO, RESULT),
            [("user", [{"text": "hi"}]), ("assistant", [USED]), ("user", [GIVEN, {"text": "hi"}])],
        ),
        (
            (HELLO, Message("assistant", (Text(""), *CALL.parts)), RESULT),
            [("user", [{"text": "hi"}]), ("assistant", [USED]), ("user", [GIVEN])],
        ),
        ((HELLO, Message("assistant", ()), HELLO), [("user", [{"text": "hi"}, {"text": "hi"}])]),
        ((), [("user", [{"text": "hi"}])]),
        ((Message("user", ()),), [OPENED]),
        ((Message("system", (Text("be"),)),), [OPENED]),
        ((Message("assistant", (Text("{ "),)),), [OPENED, ("assistant", [{"text": "{"}])]),
        ((HELLO, Message("assistant", (Text(" "),))), [("user", [{"text": "hi"}])]),
    ],
)
def test_turns_alternate(messages: tuple[Message, ...], expected: list[Any]) -> None:
    assert turns(*messages) == expected


def test_system_messages_are_gathered_in_their_order() -> None:
    body = encoded(
        Message("system", (Text("a", cache="5m"),)), HELLO, Message("system", (Text("b"),)), model=OLD_CLAUDE
    )

    assert body["system"] == [{"text": "a"}, {"cachePoint": {"type": "default"}}, {"text": "b"}]


def test_calls_of_several_tools_are_answered_in_one_turn() -> None:
    calls = Message("assistant", (ToolCall("1", "f", "{}"), ToolCall("2", "g", "")))
    results = (
        Message("tool", (ToolResult("2", (), is_error=True),)),
        Message("tool", (ToolResult("1", (Text("{}"), Image(data="iVBORw"))),)),
    )

    _, (_, used), (_, given) = turns(HELLO, calls, *results)

    assert used == [
        {"toolUse": {"toolUseId": "1", "name": "f", "input": {}}},
        {"toolUse": {"toolUseId": "2", "name": "g", "input": {}}},
    ]
    picture = {"image": {"format": "png", "source": {"bytes": "iVBORw"}}}
    assert given == [
        {"toolResult": {"toolUseId": "2", "content": [], "status": "error"}},
        {"toolResult": {"toolUseId": "1", "content": [{"text": "{}"}, picture]}},
    ]


def test_a_conversation_with_calls_has_tools_though_the_client_sent_none() -> None:
    again = Message("assistant", (ToolCall("2", "g", ""),))
    result = Message("tool", (ToolResult("2", ()),))

    assert encoded(HELLO, CALL, RESULT, again, result)["toolConfig"] == {"tools": [bare("f"), bare("g")]}


def test_tools_stay_where_the_conversation_has_calls_though_none_may_be_called() -> None:
    ignored: list[str] = []

    body = encoded(HELLO, CALL, RESULT, ignored=ignored, tools=(TOOL,), tool_choice=ToolChoice("none"))

    assert body["toolConfig"] == {"tools": [SPEC]}
    assert ignored == ["tool_choice"]


def test_ids_that_bedrock_refuses_are_replaced_alike_in_calls_and_results() -> None:
    long = "call_" + "x" * 80
    calling = Message("assistant", (ToolCall(long, "f", "{oops"),))
    ignored: list[str] = []

    body = encoded(HELLO, calling, Message("tool", (ToolResult(long, ()),)), ignored=ignored)

    _, called, given = body["messages"]
    use = called["content"][0]["toolUse"]
    assert use["toolUseId"] == given["content"][0]["toolResult"]["toolUseId"] != long
    assert use["input"] == {}
    assert ignored == ["messages[1].tool_calls.function.arguments"]


# Parts


@pytest.mark.parametrize(
    ("part", "blocks"),
    [
        (Text("x"), [{"text": "x"}]),
        (Text("x", cache="1h"), [{"text": "x"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]),
        (Text("", cache="5m"), []),
        (Thinking("x", "s"), [{"reasoningContent": {"reasoningText": {"text": "x", "signature": "s"}}}]),
        (Thinking("", redacted="b3A="), [{"reasoningContent": {"redactedContent": "b3A="}}]),
        (
            Image(data="iVBORw", media_type="image/png"),
            [{"image": {"format": "png", "source": {"bytes": "iVBORw"}}}],
        ),
        # What a picture is goes before what the client says it is.
        (
            Image(data="/9j/4A", media_type="image/png"),
            [{"image": {"format": "jpeg", "source": {"bytes": "/9j/4A"}}}],
        ),
        (
            Image(data="AAAA", media_type="image/jpg"),
            [{"image": {"format": "jpeg", "source": {"bytes": "AAAA"}}}],
        ),
        (
            Image(url="s3://b/x.PNG"),
            [{"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/x.PNG"}}}}],
        ),
        (
            Document(data="JVBERi0", name="a_b.pdf"),
            [{"document": {"format": "pdf", "name": "a b pdf", "source": {"bytes": "JVBERi0"}}}],
        ),
        (
            Document(data="AAAA", name="x.docx"),
            [{"document": {"format": "docx", "name": "x docx", "source": {"bytes": "AAAA"}}}],
        ),
        (
            Document(text="hi"),
            [{"document": {"format": "txt", "name": "document", "source": {"bytes": "aGk="}}}],
        ),
        (Media("audio", "AAAA", "audio/x-wav"), [{"audio": {"format": "wav", "source": {"bytes": "AAAA"}}}]),
        (Media("audio", "AAAA", "audio/mp3"), [{"audio": {"format": "mp3", "source": {"bytes": "AAAA"}}}]),
        (Media("video", "AAAA", "video/mp4"), [{"video": {"format": "mp4", "source": {"bytes": "AAAA"}}}]),
        (
            Media("video", None, "video/3gpp", "s3://b/x"),
            [{"video": {"format": "three_gp", "source": {"s3Location": {"uri": "s3://b/x"}}}}],
        ),
    ],
)
def test_parts_for_a_provider(part: Part, blocks: list[dict[str, Any]]) -> None:
    assert turns(HELLO, Message("assistant", (part,)), HELLO)[1:-1] == (
        [("assistant", blocks)] if blocks else []
    )


@pytest.mark.parametrize(
    ("part", "model", "names"),
    [
        (Thinking("x"), OLD_CLAUDE, ["messages[0].thinking"]),
        (Text("x", {"a": 1}), OLD_CLAUDE, ["messages[0].content.a"]),
        (Image(data="iVBORw", detail="high"), OLD_CLAUDE, ["messages[0].image_url.detail"]),
        (Image(data="iVBORw", detail="auto"), OLD_CLAUDE, []),
        (Text("x", cache="5m"), LLAMA, ["messages[0].cache"]),
        (Text("x", cache="5m"), ARN, []),
        (ToolCall("1", "f", "", {"x": 1}), LLAMA, ["messages[0].tool_calls.x"]),
    ],
)
def test_what_parts_lose_is_told(part: Part, model: str, names: list[str]) -> None:
    ignored: list[str] = []
    more = () if not isinstance(part, ToolCall) else (RESULT,)
    encoded(Message("assistant", (part, Text("y"))), *more, HELLO, ignored=ignored, model=model)

    assert ignored == names


def test_documents_have_names_of_their_own() -> None:
    (_, blocks), *_ = turns(Message("user", (Document(text="a"), Document(text="b"), Document(text="c"))))

    assert [block["document"]["name"] for block in blocks] == ["document", "document 2", "document 3"]
