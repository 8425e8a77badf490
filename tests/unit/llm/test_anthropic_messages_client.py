"""Requests of clients that speak Anthropic's form: read, told again unchanged, counted."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.recordings import Recording, recordings

from tollhouse.llm.chat import (
    CacheMark,
    ChatRequest,
    Document,
    Image,
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
from tollhouse.llm.form import Refusal, Told, Unreadable
from tollhouse.llm.formats import openai_chat
from tollhouse.llm.formats.anthropic_messages import (
    decode_count_request,
    decode_count_response,
    decode_request,
    encode_count_request,
    encode_count_response,
    encode_request,
    estimate,
    merged_betas,
)

HI: dict[str, Any] = {"role": "user", "content": "hi"}
EPHEMERAL = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def body(**members: Any) -> dict[str, Any]:
    return {"model": "claude-opus-5", "max_tokens": 5, "messages": [HI], **members}


def read(**members: Any) -> ChatRequest:
    return decode_request(msgspec.json.encode(body(**members)))


def again(given: dict[str, Any]) -> dict[str, Any]:
    """A request that went through the neutral form, as JSON."""
    ignored: list[str] = []
    told = encode_request(decode_request(msgspec.json.encode(given)), ignored)
    assert ignored == []
    return msgspec.json.decode(msgspec.json.encode(told), type=dict[str, Any])


SCHEMA = {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("members", "what"),
    [
        (
            {},
            {"stream": False, "include_usage": True, "form": "anthropic_messages", "model": "claude-opus-5"},
        ),
        ({"stream": True}, {"stream": True}),
        (
            {"temperature": 0.5, "top_p": 1, "top_k": 3, "stop_sequences": ["x"]},
            {"options": Options(max_tokens=5, temperature=0.5, top_p=1, top_k=3, stop=("x",))},
        ),
        ({"max_tokens": None}, {"options": Options()}),
        ({"system": "s"}, {"messages": (Message("system", (Text("s"),)), Message("user", (Text("hi"),)))}),
        (
            {"tools": [{"name": "f", "input_schema": SCHEMA, "cache_control": HOUR, "defer_loading": True}]},
            {"tools": (Tool("f", None, SCHEMA, None, {"defer_loading": True}, "1h"),)},
        ),
        (
            {"tools": [{"name": "f", "type": "custom", "input_schema": SCHEMA, "strict": True}]},
            {"tools": (Tool("f", None, SCHEMA, strict=True),)},
        ),
        (
            {"tools": [{"name": "w", "type": "web_search_20260209"}]},
            {"tools": (OtherTool("web_search_20260209", {"name": "w", "type": "web_search_20260209"}),)},
        ),
        ({"tool_choice": {"type": "auto"}}, {"tool_choice": ToolChoice("auto"), "parallel_tool_calls": None}),
        ({"tool_choice": {"type": "none"}}, {"tool_choice": ToolChoice("none")}),
        (
            {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
            {"tool_choice": ToolChoice("required"), "parallel_tool_calls": False},
        ),
        ({"tool_choice": {"type": "tool", "name": "f"}}, {"tool_choice": ToolChoice("one", "f")}),
        (
            {"output_config": {"effort": "max", "format": {"type": "json_schema", "schema": SCHEMA}}},
            {"effort": "max", "response_format": ResponseFormat("json_schema", SCHEMA, {"name": "answer"})},
        ),
        (
            {"output_format": {"type": "json_schema", "schema": SCHEMA}},
            {"response_format": ResponseFormat("json_schema", SCHEMA, {"name": "answer"})},
        ),
        ({"thinking": {"type": "disabled"}}, {"thinking_tokens": 0, "extra": {}}),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, {"thinking_tokens": 2000, "extra": {}}),
        (
            {"thinking": {"type": "adaptive", "display": "summarized"}},
            {"show_thinking": True, "thinking_tokens": None, "extra": {}},
        ),
        ({"thinking": {"type": "adaptive"}}, {"extra": {"thinking": {"type": "adaptive"}}}),
        ({"thinking": {"type": "between_tools"}}, {"thinking_tokens": 0}),
        ({"metadata": {"user_id": "u"}}, {"user": "u", "extra": {}}),
        (
            {"service_tier": "auto", "cache_control": EPHEMERAL, "speed": None},
            {"extra": {"service_tier": "auto", "cache_control": EPHEMERAL}},
        ),
        ({"mcp_servers": [{}], "container": "c"}, {"own_only": ("mcp_servers", "container")}),
    ],
)
def test_what_a_client_asks_for(members: dict[str, Any], what: dict[str, Any]) -> None:
    chat = read(**members)

    assert {name: getattr(chat, name) for name in what} == what


def test_a_path_may_tell_model_and_stream() -> None:
    chat = decode_request(b'{"messages":[]}', Told("claude-opus-5", stream=True))

    assert (chat.model, chat.stream) == ("claude-opus-5", True)


BASE64 = {"type": "base64", "media_type": "image/png", "data": "iVB"}
CITED = {"citations": {"enabled": True}}


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "text", "text": "a", "cache_control": EPHEMERAL}, Text("a", cache="5m")),
        ({"type": "text", "text": "a", "cache_control": HOUR}, Text("a", cache="1h")),
        (
            {"type": "text", "text": "a", "cache_control": {"type": "new"}},
            Text("a", {"cache_control": {"type": "new"}}),
        ),
        ({"type": "image", "source": BASE64}, Image(data="iVB", media_type="image/png")),
        ({"type": "image", "source": {"type": "url", "url": "u"}}, Image(url="u")),
        (
            {"type": "image", "source": {"type": "file", "file_id": "i"}},
            OtherPart("image", {"type": "image", "source": {"type": "file", "file_id": "i"}}),
        ),
        (
            {"type": "document", "source": BASE64, "title": "t", **CITED},
            Document(data="iVB", media_type="image/png", name="t", extra=CITED),
        ),
        ({"type": "document", "source": {"type": "url", "url": "u"}}, Document(url="u")),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "t"}},
            Document(text="t"),
        ),
        ({"type": "document", "source": {"type": "file", "file_id": "i"}}, Document(file_id="i")),
        (
            {"type": "search_result", "title": "t"},
            OtherPart("search_result", {"type": "search_result", "title": "t"}),
        ),
    ],
)
def test_blocks_become_parts_and_come_back(block: dict[str, Any], part: Part) -> None:
    turn = {"role": "user", "content": [block]}

    assert read(messages=[turn]).messages == (Message("user", (part,)),)
    returned = again(body(messages=[turn]))["messages"][0]["content"]
    assert returned == [block]


def test_results_are_messages_of_their_own() -> None:
    results = [
        {"type": "tool_result", "tool_use_id": "1", "content": "r", "is_error": True},
        {"type": "text", "text": "t"},
        {"type": "tool_result", "tool_use_id": "2", "content": [{"type": "image", "source": BASE64}]},
    ]
    use = {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}}
    assistant = [{"type": "thinking", "thinking": "t", "signature": "s"}, use]
    turns = [{"role": "assistant", "content": assistant}, {"role": "user", "content": results}]

    assert read(messages=turns).messages == (
        Message(
            "assistant",
            (Thinking("t", "s"), ToolCall("1", "f", '{"a":1}', {"caller": {"type": "direct"}})),
        ),
        Message("tool", (ToolResult("1", (Text("r"),), is_error=True),)),
        Message("tool", (ToolResult("2", (Image(data="iVB", media_type="image/png"),)),)),
        Message("user", (Text("t"),)),
    )
    first, second = again(body(messages=turns))["messages"]
    assert first == turns[0]
    assert second == {"role": "user", "content": [results[0], results[2], results[1]]}


def test_thoughts_that_another_provider_left_unsigned_are_left_out() -> None:
    content = [{"type": "thinking", "thinking": "t", "signature": ""}, {"type": "text", "text": "x"}]
    given = body(messages=[{"role": "assistant", "content": content}])

    assert again(given)["messages"] == [{"role": "assistant", "content": "x"}]


@pytest.mark.parametrize(
    "members",
    [
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high", "task_budget": {"total": 9}}},
        {"thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}},
        {"thinking": {"type": "adaptive", "display": "summarized", "block_binding": {"x": 1}}},
        {"thinking": {"type": "between_tools"}},
        {"thinking": {"type": "disabled"}, "metadata": {"user_id": "u", "more": 1}},
        {
            "tool_choice": {"type": "any", "disable_parallel_tool_use": False},
            "tools": [{"name": "f", "x": 1}],
        },
        {"tool_choice": {"type": "tool", "name": "f", "toolset_name": "t"}},
        {"tools": [{"type": "mcp_toolset", "mcp_server_name": "s"}], "mcp_servers": [{"name": "s"}]},
        {"system": [{"type": "text", "text": "s", "cache_control": HOUR}, {"type": "text", "text": "t"}]},
        {"cache_control": HOUR, "context_management": {"edits": []}, "speed": "fast", "unheard_of": [1]},
        {
            "output_config": {"effort": "unheard of"},
            "stop_sequences": [" "],
            "temperature": 0,
            "stream": True,
        },
        {
            "messages": [
                HI,
                {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "d"}]},
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "1", "toolset_name": "t"}],
                },
                {"role": "system", "content": "s"},
                {"role": "user", "content": "hi", "effort": "low"},
            ]
        },
    ],
)
def test_what_came_in_this_form_goes_on_as_it_came(members: dict[str, Any]) -> None:
    assert again(body(**members)) == body(**members)


RECORDED = [r for r in recordings("messages", "messages.count_tokens") if r.request]


@pytest.mark.parametrize("stored", RECORDED, ids=[r.name for r in RECORDED])
def test_a_recorded_request_goes_on_as_it_came(stored: Recording) -> None:
    ignored: list[str] = []
    chat = decode_request(msgspec.json.encode(stored.request))
    told = encode_count_request if "max_tokens" not in stored.request else encode_request

    assert plain(told(chat, ignored)) == plain(stored.request)
    assert ignored == []


def plain(request: dict[str, Any]) -> dict[str, Any]:
    """Without what is said in two ways: one text as a block, defaults, the older name of a member."""
    request = msgspec.json.decode(msgspec.json.encode(request))
    if "output_format" in request:
        request["output_config"] = {"format": request.pop("output_format")}
    if isinstance(request.get("system"), str):
        request["system"] = [{"type": "text", "text": request["system"]}]
    if request.get("stream") is False:
        del request["stream"]
    for turn in request["messages"]:
        turn["content"] = blocks(turn["content"])
        for block in turn["content"]:
            if "content" in block:
                block["content"] = blocks(block["content"])
    return request


def blocks(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("xy", min_size=1), inner, max_size=2),
    max_leaves=4,
)


@given(extra=st.dictionaries(st.text("unknown_", min_size=1, max_size=9), json, max_size=4))
def test_members_that_nobody_knows_are_kept(extra: dict[str, Any]) -> None:
    told = {name: value for name, value in extra.items() if value is not None}

    assert again(body(**extra)) == body(**told)


@given(
    value=json, where=st.sampled_from(["messages", "system", "tools", "tool_choice", "thinking", "metadata"])
)
def test_what_is_no_request_is_refused_and_nothing_worse(value: Any, where: str) -> None:
    content = msgspec.json.encode(body(**{where: value}))
    with suppress(Refusal):
        encode_request(decode_request(content), [])


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"[]",
        b'{"model":"m"}',
        b'{"messages":[{"role":"nobody","content":""}]}',
        b'{"messages":[{"role":"user","content":[{"no":"type"}]}]}',
        b'{"messages":[{"role":"user","content":[{"type":"tool_use","input":7}]}]}',
        b'{"messages":[],"output_config":{"format":{"type":"text"}}}',
        b'{"messages":[{"role":"user","content":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}",
    ],
)
def test_a_malformed_request_is_refused(given: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        decode_request(given)

    assert refused.value.status == 400


@pytest.mark.parametrize("mark", ["5m", "1h"])
def test_a_client_of_anthropic_is_understood_by_openai(mark: CacheMark) -> None:
    ignored: list[str] = []
    control = {"type": "ephemeral", "ttl": mark}
    results = [{"type": "tool_result", "tool_use_id": str(n), "content": f"r{n}"} for n in (1, 2)]
    uses = [{"type": "tool_use", "id": str(n), "name": "f", "input": {}} for n in (1, 2)]
    chat = read(
        system=[{"type": "text", "text": "s", "cache_control": control}],
        messages=[HI, {"role": "assistant", "content": uses}, {"role": "user", "content": results}],
        metadata={"user_id": "u"},
    )

    told = openai_chat.encode_request(chat, ignored)

    assert [turn["role"] for turn in told["messages"]] == ["system", "user", "assistant", "tool", "tool"]
    assert [turn["content"] for turn in told["messages"][3:]] == ["r1", "r2"]
    assert told["user"] == "u"
    assert ignored == []


def test_a_request_is_counted_by_anthropic_or_by_its_words() -> None:
    tool = {"name": "f", "description": "four words are here", "input_schema": SCHEMA}
    picture = {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "image", "source": BASE64}]}
    given = {"model": "m", "messages": [HI], "tools": [tool], "system": "s"}
    chat = decode_count_request(msgspec.json.encode(given))

    assert encode_count_request(chat, []) == given
    words = 2 + 5 + 3  # `type object properties` is the schema
    assert estimate(chat) == round(words * 1.8)
    assert estimate(read(messages=[{"role": "user", "content": [picture]}])) == 1600
    assert estimate(read(messages=[])) == 1
    assert encode_count_response(7) == {"input_tokens": 7}
    assert decode_count_response(b'{"input_tokens":14}') == 14
    with pytest.raises(Unreadable):
        decode_count_response(b"{}")


@pytest.mark.parametrize(
    ("lists", "merged"),
    [((), ""), ((None, ""), ""), (("a, b", "b,c,", None), "a,b,c")],
)
def test_features_are_asked_for_once(lists: tuple[str | None, ...], merged: str) -> None:
    assert merged_betas(*lists) == merged
