"""Details of Gemini's form: requests for a provider."""

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
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tollhouse.llm.form import Refusal
from tollhouse.llm.formats.gemini import encode_request

HELLO = Message("user", (Text("hi"),))
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
SKIP = "skip_thought_signature_validator"


def encoded(
    *messages: Message, ignored: list[str] | None = None, model: str = "gemini-2.5-flash", **members: Any
) -> dict[str, Any]:
    members = {"form": "openai_chat", **members}
    chat = ChatRequest(model=model, messages=messages or (HELLO,), **members)
    return encode_request(chat, [] if ignored is None else ignored)


def config(**members: Any) -> dict[str, Any]:
    return {"generationConfig": members}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, {}),
        ({"stream": True}, {}),
        (
            {"options": Options(max_tokens=5, temperature=0, top_p=0.5, top_k=3, stop=("x",), seed=1)},
            config(maxOutputTokens=5, temperature=0, topP=0.5, topK=3, stopSequences=("x",), seed=1),
        ),
        (
            {"options": Options(presence_penalty=1, frequency_penalty=2, logprobs=True, top_logprobs=4)},
            config(presencePenalty=1, frequencyPenalty=2, responseLogprobs=True, logprobs=4),
        ),
        ({"options": Options(n=1)}, config(candidateCount=1)),
        ({"effort": "none"}, config(thinkingConfig={"thinkingBudget": 0})),
        ({"effort": "high"}, config(thinkingConfig={"thinkingBudget": 24_576})),
        ({"effort": "high", "model": "gemini-3-flash"}, config(thinkingConfig={"thinkingLevel": "HIGH"})),
        ({"thinking_tokens": 2000}, config(thinkingConfig={"thinkingBudget": 2000})),
        ({"show_thinking": True}, config(thinkingConfig={"includeThoughts": True})),
        ({"show_thinking": True, "model": "gemini-2.0-flash"}, {}),
        ({"response_format": ResponseFormat("text")}, {}),
        ({"response_format": ResponseFormat("json_object")}, config(responseMimeType="application/json")),
        (
            {"response_format": ResponseFormat("json_schema", SCHEMA, {"name": "n"})},
            config(responseMimeType="application/json", responseJsonSchema=SCHEMA),
        ),
        (
            {"response_format": ResponseFormat("json_schema", SCHEMA), "model": "models/gemini-2.0-flash"},
            config(
                responseMimeType="application/json",
                responseSchema={"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
            ),
        ),
        (
            {"tools": (Tool("f", "d", SCHEMA),)},
            {
                "tools": [
                    {
                        "functionDeclarations": [
                            {"name": "f", "description": "d", "parametersJsonSchema": SCHEMA}
                        ]
                    }
                ]
            },
        ),
        (
            {"tools": (Tool("f", None, {"type": "object"}), Tool("g")), "model": "gemini-1.5-pro"},
            {
                "tools": [
                    {"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}, {"name": "g"}]}
                ]
            },
        ),
        ({"extra": {"service_tier": "default"}}, {"serviceTier": "standard"}),
        ({"extra": {"modalities": ["image", "text"]}}, config(responseModalities=["IMAGE", "TEXT"])),
        ({"extra": {"service_tier": "auto", "store": False, "logit_bias": {}, "modalities": ["text"]}}, {}),
    ],
)
def test_requests_for_a_provider(members: dict[str, Any], expected: dict[str, Any]) -> None:
    ignored: list[str] = []

    body = encoded(ignored=ignored, **members)

    assert body == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], **expected}
    assert ignored == []


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("one", "f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_which_function_to_call(choice: ToolChoice, calling: dict[str, Any]) -> None:
    body = encoded(tools=(Tool("f"),), tool_choice=choice)

    assert body["toolConfig"] == {"functionCallingConfig": calling}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def model(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def result(name: str, response: Any, **more: Any) -> dict[str, Any]:
    return {"functionResponse": {**more, "name": name, "response": response}}


CALLS = Message("assistant", (ToolCall("1", "f", '{"a": 1}'), ToolCall("2", "g", "")))
CALLED = model(
    {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}},
    {"functionCall": {"id": "2", "name": "g", "args": {}}},
)


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        # turns of one role are joined, empty text is left out
        ([HELLO, Message("user", (Text(""), Text("b")))], [user({"text": "hi"}, {"text": "b"})]),
        # results stand in one turn of the user's, by name
        (
            [
                HELLO,
                CALLS,
                Message("tool", (ToolResult("1", (Text("42"),)),)),
                Message("tool", (ToolResult("2", (Text('{"b": [1]}'),)),)),
                Message("user", (Text("and?"),)),
            ],
            [
                user({"text": "hi"}),
                CALLED,
                user(
                    result("f", {"result": "42"}, id="1"), result("g", {"b": [1]}, id="2"), {"text": "and?"}
                ),
            ],
        ),
        (
            [HELLO, Message("tool", (ToolResult("9", (Text("no"),), "h", is_error=True),))],
            [user({"text": "hi"}, result("h", {"error": "no"}, id="9"))],
        ),
        # thoughts and signatures
        (
            [HELLO, Message("assistant", (Thinking("t", "s"), Thinking("u"), Text("x"), Thinking("", "e")))],
            [
                user({"text": "hi"}),
                model(
                    {"text": "t", "thought": True, "thoughtSignature": "s"},
                    {"text": "u", "thought": True},
                    {"text": "x"},
                    {"text": "", "thoughtSignature": "e"},
                ),
            ],
        ),
        (
            [HELLO, Message("assistant", (ToolCall("1", "f", "{}", {}, "s"),))],
            [
                user({"text": "hi"}),
                model({"functionCall": {"id": "1", "name": "f", "args": {}}, "thoughtSignature": "s"}),
            ],
        ),
        # a conversation begins with the user
        ([Message("assistant", (Text("x"),))], [user({"text": " "}), model({"text": "x"})]),
        ([Message("system", (Text("s"),))], [user({"text": "s"})]),
        # instructions in the middle are told by the user
        ([HELLO, Message("system", (Text("s"),))], [user({"text": "hi"}, {"text": "s"})]),
        # files
        (
            [
                Message(
                    "user",
                    (
                        Image(data="iVB", media_type="image/png"),
                        Image(url="https://a.test/x.PNG?y"),
                        Document(data="JVB", media_type="application/pdf", name="n"),
                        Document(text="x"),
                        Document(url="gs://b/y", media_type="text/csv"),
                        Media("audio", "UklG", "audio/wav"),
                        Media("video", url="https://youtu.be/x"),
                    ),
                )
            ],
            [
                user(
                    {"inlineData": {"data": "iVB", "mimeType": "image/png"}},
                    {"fileData": {"fileUri": "https://a.test/x.PNG?y", "mimeType": "image/png"}},
                    {"inlineData": {"data": "JVB", "mimeType": "application/pdf"}},
                    {"inlineData": {"data": "eA==", "mimeType": "text/plain"}},
                    {"fileData": {"fileUri": "gs://b/y", "mimeType": "text/csv"}},
                    {"inlineData": {"data": "UklG", "mimeType": "audio/wav"}},
                    {"fileData": {"fileUri": "https://youtu.be/x"}},
                )
            ],
        ),
    ],
)
def test_conversations_for_a_provider(messages: list[Message], turns: list[dict[str, Any]]) -> None:
    assert encoded(*messages)["contents"] == turns


def test_instructions_stand_apart() -> None:
    body = encoded(Message("system", (Text("a"),)), Message("system", (Text("b"),)), HELLO)

    assert body["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}
    assert body["contents"] == [user({"text": "hi"})]


@pytest.mark.parametrize(
    ("name", "form", "signature", "expected"),
    [
        ("gemini-3-pro-preview", "openai_chat", None, [SKIP, None]),
        ("gemini-3-pro-preview", "openai_chat", "s", ["s", None]),
        ("gemini-2.5-pro", "openai_chat", None, [None, None]),
        ("my-own", "openai_chat", None, [None, None]),
        # whoever speaks this form knows what it does
        ("gemini-3-pro-preview", "gemini", None, [None, None]),
    ],
)
def test_newer_models_want_the_first_call_of_a_turn_signed(
    name: str, form: str, signature: str | None, expected: list[str | None]
) -> None:
    calls = Message("assistant", (ToolCall("1", "f", "{}", signature=signature), ToolCall("2", "g", "{}")))

    body = encoded(HELLO, calls, model=name, form=form)

    assert [part.get("thoughtSignature") for part in body["contents"][1]["parts"]] == expected


@pytest.mark.parametrize(("name", "inside"), [("gemini-3-flash-preview", True), ("gemini-2.5-flash", False)])
def test_pictures_in_results(name: str, inside: bool) -> None:
    picture = Image(data="iVB", media_type="image/png")
    found = Message("tool", (ToolResult("1", (Text("x"), picture), "f"),))

    (turn,) = encoded(found, model=name)["contents"]

    shown = {"inlineData": {"data": "iVB", "mimeType": "image/png"}}
    if inside:
        assert turn["parts"] == [result("f", {"result": "x"}, id="1", parts=[shown])]
    else:
        assert turn["parts"] == [result("f", {"result": "x"}, id="1"), shown]


@pytest.mark.parametrize(
    ("details", "resolution", "names"),
    [
        (("low", "low"), "MEDIA_RESOLUTION_LOW", []),
        (("high",), "MEDIA_RESOLUTION_HIGH", []),
        (("auto", None), None, []),
        (("low", "high"), None, ["messages.content.image_url.detail"]),
    ],
)
def test_how_closely_to_look(
    details: tuple[str | None, ...], resolution: str | None, names: list[str]
) -> None:
    pictures: tuple[Part, ...] = tuple(Image(data="iVB", media_type="image/png", detail=d) for d in details)
    ignored: list[str] = []

    body = encoded(Message("user", pictures), ignored=ignored)

    assert body.get("generationConfig", {}).get("mediaResolution") == resolution
    assert ignored == names


@pytest.mark.parametrize(
    ("members", "names"),
    [
        ({"user": "u", "extra": {"metadata": {}}}, ["user", "metadata"]),
        ({"parallel_tool_calls": False}, ["parallel_tool_calls"]),
        ({"parallel_tool_calls": True}, []),
        ({"tools": (Tool("f", strict=True),)}, ["tools.function.strict"]),
        ({"tools": (Tool("f", cache="5m"),)}, ["cache_control"]),
        # models that cannot stop thinking, or cannot think
        ({"effort": "none", "model": "gemini-2.5-pro"}, ["reasoning_effort"]),
        ({"effort": "none", "model": "gemini-3-flash"}, ["reasoning_effort"]),
        ({"effort": "low", "model": "gemini-2.0-flash"}, ["reasoning_effort"]),
        ({"thinking_tokens": 5, "model": "gemini-2.0-flash"}, ["thinking"]),
    ],
)
def test_what_changes_little_is_left_out_and_told(members: dict[str, Any], names: list[str]) -> None:
    ignored: list[str] = []
    encoded(ignored=ignored, **members)

    assert ignored == names


def test_what_changes_little_in_messages_is_told_with_its_place() -> None:
    ignored: list[str] = []

    encoded(
        Message("user", (Text("x", {"y": 1}, "5m"),), {"name": "n"}),
        Message("assistant", (Thinking("", redacted="r"), ToolCall("1", "f", "{oops"))),
        ignored=ignored,
    )

    assert ignored == [
        "messages[0].name",
        "messages[0].content.y",
        "cache_control",
        "messages[1].content.redacted_thinking",
        "messages[1].tool_calls.function.arguments",
    ]


@pytest.mark.parametrize(
    ("messages", "members", "words"),
    [
        ((), {"options": Options(n=2)}, "n is not supported"),
        ((), {"options": Options(stop=tuple("abcdef"))}, "stop: Gemini models know 5"),
        ((), {"extra": {"logit_bias": {"1": 2}}}, "logit_bias is not supported"),
        ((), {"extra": {"modalities": ["text", "audio"]}}, "modalities is not supported"),
        ((), {"extra": {"store": True}}, "store is not supported"),
        ((), {"tools": (OtherTool("custom", {}),)}, "'custom' is not supported"),
        ((), {"tools": (Tool("f"),), "tool_choice": ToolChoice("other")}, "tool_choice"),
        ((Message("user", (OtherPart("odd", {}),)),), {}, r"messages\[0\]: content of type 'odd'"),
        ((Message("user", (Document(file_id="f"),)),), {}, "files by their id"),
        ((Message("tool", (ToolResult("9", ()),)),), {}, "a call that is not in the conversation"),
        (
            (),
            {
                "model": "gemini-1.5-pro",
                "tools": (Tool("f", None, {"properties": {"a": {"$ref": "#"}}}),),
            },
            "tools: f: a schema that contains itself",
        ),
    ],
)
def test_what_would_change_the_answer_is_refused(
    messages: tuple[Message, ...], members: dict[str, Any], words: str
) -> None:
    with pytest.raises(Refusal, match=words):
        encoded(*messages, **members)
