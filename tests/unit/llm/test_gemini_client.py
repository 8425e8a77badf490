"""Requests of clients that speak Gemini's form, in either case, and what becomes of them."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from tollhouse.llm.form import Refusal, Told
from tollhouse.llm.formats.gemini import decode_request, encode_request

HELLO = {"role": "user", "parts": [{"text": "hi"}]}
SCHEMA = {"type": "object", "properties": {"max_items": {"type": "string"}}}


def read(*contents: Any, **members: Any) -> ChatRequest:
    body = msgspec.json.encode({"contents": contents or [HELLO], **members})
    return decode_request(body, Told("gemini-2.5-flash"))


def config(**members: Any) -> dict[str, Any]:
    return {"generationConfig": members}


def calling(**members: Any) -> dict[str, Any]:
    return {"toolConfig": {"functionCallingConfig": members}}


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({}, {"options": Options(), "include_usage": True, "extra": {}, "own_only": ()}),
        (
            config(maxOutputTokens=5, topP=0.5, topK=3.0, stopSequences=["x"], seed=1, candidateCount=1),
            {"options": Options(max_tokens=5, top_p=0.5, top_k=3, stop=("x",), seed=1, n=1)},
        ),
        (
            {"generation_config": {"max_output_tokens": 5, "response_logprobs": True, "logprobs": 2}},
            {"options": Options(max_tokens=5, logprobs=True, top_logprobs=2)},
        ),
        (config(thinkingConfig={"thinking_budget": 0}), {"thinking_tokens": 0, "effort": "none"}),
        (config(thinkingConfig={"thinkingBudget": 9}), {"thinking_tokens": 9, "effort": None}),
        (
            config(thinkingConfig={"thinkingBudget": -1}),
            {"thinking_tokens": None, "extra": {"generationConfig.thinkingConfig.thinkingBudget": -1}},
        ),
        (config(thinkingConfig={"thinkingLevel": "low"}), {"effort": "low"}),
        (config(thinking_config={"include_thoughts": True}), {"show_thinking": True}),
        (
            config(responseMimeType="application/json"),
            {"response_format": ResponseFormat("json_object")},
        ),
        (config(responseMimeType="text/plain"), {"response_format": None, "extra": {}}),
        (
            config(responseMimeType="application/json", response_json_schema=SCHEMA),
            {"response_format": ResponseFormat("json_schema", SCHEMA, {"name": "answer"})},
        ),
        (
            config(
                response_mime_type="application/json", response_schema={"type": "STRING", "nullable": True}
            ),
            {
                "response_format": ResponseFormat(
                    "json_schema", {"type": ["string", "null"]}, {"name": "answer"}
                )
            },
        ),
        (
            config(responseMimeType="text/x.enum", responseSchema={"type": "STRING", "enum": ["a"]}),
            {
                "response_format": None,
                "extra": {
                    "generationConfig.responseMimeType": "text/x.enum",
                    "generationConfig.responseSchema": {"type": "STRING", "enum": ["a"]},
                },
                "own_only": ("generationConfig.responseMimeType",),
            },
        ),
        (
            {"cached_content": "cachedContents/x", "safetySettings": [], "labels": None},
            {
                "extra": {"cachedContent": "cachedContents/x", "safetySettings": []},
                "own_only": ("cachedContent",),
            },
        ),
        (config(responseModalities=["TEXT"]), {"own_only": ()}),
        (
            config(response_modalities=["TEXT", "IMAGE"], speechConfig={}),
            {"own_only": ("generationConfig.speechConfig", "generationConfig.responseModalities")},
        ),
        (calling(mode="auto"), {"tool_choice": ToolChoice("auto")}),
        (calling(mode="NONE"), {"tool_choice": ToolChoice("none")}),
        (calling(mode="ANY"), {"tool_choice": ToolChoice("required")}),
        (calling(mode="ANY", allowed_function_names=["f"]), {"tool_choice": ToolChoice("one", "f")}),
        (
            calling(mode="ANY", allowed_function_names=["f", "g"]),
            {
                "tool_choice": ToolChoice(
                    "other",
                    raw={"mode": "ANY", "allowedFunctionNames": ["f", "g"]},
                    instead="required",
                    allowed=("f", "g"),
                )
            },
        ),
        (
            calling(mode="VALIDATED"),
            {"tool_choice": ToolChoice("other", raw={"mode": "VALIDATED"}, instead="auto")},
        ),
        (
            {"tool_config": {"retrieval_config": {"a_b": 1}}},
            {"tool_choice": None, "extra": {"toolConfig.retrievalConfig": {"a_b": 1}}},
        ),
        (
            {"tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": SCHEMA}]}]},
            {"tools": (Tool("f", None, SCHEMA),)},
        ),
        (
            {
                "tools": [
                    {"functionDeclarations": [{"name": "f", "behavior": "BLOCKING"}], "google_search": {}}
                ]
            },
            {
                "tools": (
                    Tool("f", extra={"behavior": "BLOCKING"}),
                    OtherTool("googleSearch", {"googleSearch": {}}),
                )
            },
        ),
        (
            {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}]},
            {"tools": (Tool("f", None, {"type": "object"}, extra={"parameters": {"type": "OBJECT"}}),)},
        ),
        (
            {"system_instruction": {"parts": [{"text": "s"}]}},
            {"messages": (Message("system", (Text("s"),)),)},
        ),
        ({"systemInstruction": "s"}, {"messages": (Message("system", (Text("s"),)),)}),
        ({"systemInstruction": {"role": "user"}}, {"messages": ()}),
    ],
)
def test_what_a_request_asks_for(members: dict[str, Any], what: dict[str, Any]) -> None:
    chat = read(**members)
    if "messages" in what:
        what = {**what, "messages": (*what["messages"], Message("user", (Text("hi"),)))}

    assert {name: getattr(chat, name) for name in what} == what


def test_model_and_stream_are_told_by_the_path() -> None:
    body = msgspec.json.encode({"contents": [HELLO], "model": "models/other"})

    assert decode_request(body, Told("m", stream=True)).model == "m"
    assert decode_request(body, Told("m", stream=True)).stream
    assert (decode_request(body).model, decode_request(body).stream) == ("other", False)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"text": "x"}, Text("x")),
        ({"text": "x", "thought_signature": "s"}, Text("x", {"thoughtSignature": "s"})),
        ({"text": "x", "video_metadata": {"a_b": 1}}, Text("x", {"videoMetadata": {"a_b": 1}})),
        ({"text": "x", "thought": True, "thoughtSignature": "s"}, Thinking("x", "s")),
        ({"text": "", "thoughtSignature": "s"}, Thinking("", "s")),
        ({"text": "x", "thought": True, "partMetadata": {}}, Thinking("x", extra={"partMetadata": {}})),
        (
            {"inlineData": {"mime_type": "image/png", "data": "iVB"}},
            Image(data="iVB", media_type="image/png"),
        ),
        (
            {"inline_data": {"mimeType": "audio/wav", "data": "UklG", "display_name": "n"}},
            Media("audio", "UklG", "audio/wav", extra={"inlineData.displayName": "n"}),
        ),
        (
            {"fileData": {"file_uri": "gs://a/b", "mime_type": "video/mp4"}, "videoMetadata": {"fps": 1}},
            Media("video", None, "video/mp4", "gs://a/b", {"videoMetadata": {"fps": 1}}),
        ),
        (
            {"file_data": {"fileUri": "https://a.test/x.pdf", "mimeType": "application/pdf"}},
            Document(None, "application/pdf", "https://a.test/x.pdf"),
        ),
        ({"fileData": {"fileUri": "https://youtu.be/x"}}, Document(url="https://youtu.be/x")),
        (
            {"function_call": {"id": "1", "name": "f", "args": {"a_b": 1}}, "thoughtSignature": "s"},
            ToolCall("1", "f", '{"a_b":1}', {}, "s"),
        ),
        (
            {"functionCall": {"id": "1", "name": "f", "args": {}, "odd": 1}, "even": 2},
            ToolCall("1", "f", "{}", {"even": 2, "functionCall.odd": 1}),
        ),
        (
            {"executable_code": {"language": "PYTHON", "code": "1"}},
            OtherPart("executableCode", {"executableCode": {"language": "PYTHON", "code": "1"}}),
        ),
    ],
)
def test_parts_come_and_go_back(part: dict[str, Any], expected: Part) -> None:
    chat = read(HELLO, {"role": "model", "parts": [part]})

    assert chat.messages[1] == Message("assistant", (expected,))
    (turn,) = encode_request(chat, [])["contents"][1:]
    assert camel(turn["parts"]) == camel([part])


def camel(value: Any) -> Any:
    """All names in camel case, but for those that are a client's own."""
    if isinstance(value, list):
        return [camel(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {name if name == "a_b" else named(name): camel(inner) for name, inner in value.items()}


def named(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))


def call(name: str, **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": {}, **more}}


def result(name: str, response: Any, **more: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": response, **more}}


@pytest.mark.parametrize(
    ("calls", "results", "ids"),
    [
        # by name and order
        ([call("f"), call("g"), call("f")], ["f", "f", "g"], ["call_1_0", "call_1_2", "call_1_1"]),
        # by id, whatever the order
        ([call("f", id="a"), call("f", id="b")], ["f:b", "f:a"], ["b", "a"]),
        # the client leaves ids out, or makes up some
        ([call("f", id="a"), call("g", id="b")], ["g", "f"], ["b", "a"]),
        ([call("f")], ["f:made-up"], ["call_1_0"]),
        ([call("f")], ["h", "h:x"], ["", "x"]),
    ],
)
def test_results_find_their_calls(calls: list[Any], results: list[str], ids: list[str]) -> None:
    told = [one.partition(":") for one in results]
    answers = [result(name, {}, **({"id": id_} if id_ else {})) for name, _, id_ in told]

    chat = read(HELLO, {"role": "model", "parts": calls}, {"role": "user", "parts": answers})

    assert [part.call_id for part in chat.messages[2].parts if isinstance(part, ToolResult)] == ids
    assert chat.messages[2].role == "tool"


@pytest.mark.parametrize(
    ("response", "text", "is_error"),
    [
        ({"result": "x"}, "x", False),
        ({"error": "x"}, "x", True),
        ({"output": "x"}, '{"output":"x"}', False),
        ({"result": {"a": 1}}, '{"result":{"a":1}}', False),
        ({"error": "x", "code": 1}, '{"error":"x","code":1}', False),
        ({}, "{}", False),
    ],
)
def test_results_come_and_go_back(response: Any, text: str, is_error: bool) -> None:
    given = result("f", response, id="1", scheduling="SILENT")
    chat = read({"role": "user", "parts": [given]})

    (part,) = chat.messages[0].parts
    assert part == ToolResult("1", (Text(text),), "f", is_error, extra={"scheduling": "SILENT"})
    assert encode_request(chat, [])["contents"][0]["parts"] == [given]


def test_results_with_files_and_text_between_them() -> None:
    file = {"inlineData": {"mimeType": "image/png", "data": "iVB"}}
    parts = [{"text": "a"}, result("f", {"result": "x"}, parts=[file]), result("g", {}), {"text": "b"}]

    chat = read({"role": "function", "parts": parts})

    assert [message.role for message in chat.messages] == ["user", "tool", "user"]
    picture = Image(data="iVB", media_type="image/png")
    assert chat.messages[1].parts[0] == ToolResult("", (Text("x"), picture), "f")
    assert encode_request(chat, [])["contents"] == [{"role": "user", "parts": parts}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "contents|array"),
        ({"contents": {}}, "array"),
        ({"contents": [7]}, "object"),
        ({"contents": [{"role": "nobody"}]}, r"contents\[0\].role: please use a valid role"),
        ({"contents": [{"role": {}}]}, "str"),
        ({"contents": [{"parts": [7]}]}, "object"),
        ({"contents": [{"parts": [{"text": 7}]}]}, "text"),
        ({"contents": [{"parts": [{"inlineData": {"mimeType": "a/b"}}]}]}, "data"),
        ({"contents": [{"parts": [{"functionCall": {"args": []}}]}]}, "args"),
        ({"contents": [], "generationConfig": [7]}, "object"),
        ({"contents": [], "generationConfig": {"thinkingConfig": 7}}, "thinkingConfig"),
        ({"contents": [], "toolConfig": "x"}, "object"),
        ({"contents": [], "toolConfig": {"functionCallingConfig": [7]}}, "object"),
        ({"contents": [], "tools": [7]}, "object"),
        ({"contents": [], "tools": [{"functionDeclarations": [{}]}]}, "name"),
        ({"contents": [], "systemInstruction": 7}, "text"),
    ],
)
def test_a_malformed_request_is_refused(body: Any, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        decode_request(json.dumps(body).encode())


NAMES = (
    "contents parts text role tools generationConfig thinkingConfig functionCall name args toolConfig "
    "functionResponse response inlineData data functionCallingConfig functionDeclarations parameters "
    "type enum nullable fileData"
)
names = st.sampled_from(NAMES.split())
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "x", "user", "model", "STRING"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=15,
)


@given(members=st.dictionaries(names, anything, max_size=5), contents=anything)
def test_any_json_is_a_request_or_refused(members: dict[str, Any], contents: Any) -> None:
    for body in (members, {**members, "contents": [{"parts": [contents]}]}):
        try:
            chat = decode_request(msgspec.json.encode(body), Told("gemini-2.5-flash"))
            encode_request(chat, [])
        except Refusal:
            pass


def test_one_object_stands_for_a_list_of_it() -> None:
    listed = read(
        HELLO,
        {"role": "model", "parts": [{"text": "yes"}]},
        tools=[{"functionDeclarations": [{"name": "f"}]}],
        systemInstruction={"parts": [{"text": "be brief"}]},
    )
    alone = read(
        {"role": "user", "parts": {"text": "hi"}},
        {"role": "assistant", "parts": {"text": "yes"}},
        tools={"functionDeclarations": {"name": "f"}},
        systemInstruction={"parts": {"text": "be brief"}},
    )
    assert alone == listed
