"""What providers make of OpenAI's form: each dialect as it was recorded, and where each provider is."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.dialogues import towards
from tests.support.recordings import recording
from tests.support.streams import decoded, encoded, events_in, gathered, said
from tests.unit.llm.exchanges import exchange

from tollhouse.llm.chat import (
    ChatRequest,
    Delta,
    Failed,
    Finish,
    Image,
    Message,
    Start,
    Text,
    ToolCall,
    ToolResult,
)
from tollhouse.llm.credentials import Credentials
from tollhouse.llm.destination import Destinations
from tollhouse.llm.dialogue import FORMS, Sent
from tollhouse.llm.families.mistral import call_id
from tollhouse.llm.form import NOTHING_TOLD, Refusal, Unreadable
from tollhouse.llm.formats import openai_chat, openai_responses
from tollhouse.llm.formats.openai_chat import forward
from tollhouse.llm.overrides import Overrides
from tollhouse.llm.providers import PROVIDERS
from tollhouse.llm.settings import Model, Options
from tollhouse.pdk.usage import Usage

CHAT = FORMS["openai_chat"]


def ended(name: str) -> Delta:
    return decoded(CHAT, recording(name).content)[-1]


@pytest.mark.parametrize(
    "name",
    [
        # Groq: `x_groq.usage`, never asked for
        "groq/chat-stream-text-llama3-8b-8192",
        "groq/chat-stream-tool-call",
        # DeepSeek and Mistral: on the chunk that has the reason
        "deepseek/chat-stream-text-deepseek-chat",
        "mistral/chat-stream-text-mistral-small-latest",
        # OpenRouter: on a chunk that has choices as well
        "openai-compatible/chat-stream-include-usage-claude-sonnet-4.6",
        # Azure: after chunks without choices
        "azure/chat-stream-include-usage-grok-4-1-fast-non-reasoning",
    ],
)
def test_usage_is_found_wherever_a_stream_has_it(name: str) -> None:
    content = recording(name).content
    told = [chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage") for chunk in events_in(content)]
    last = [counts for counts in told if counts][-1]

    end = ended(name)

    assert isinstance(end, Finish)
    assert end.usage is not None
    assert end.usage.prompt_tokens == last["prompt_tokens"]
    assert end.usage.total_tokens == last["total_tokens"]


@pytest.mark.parametrize("name", ["xai/chat-cached", "xai/chat-tool-call", "xai/chat-stream-thinking"])
def test_xai_s_reasoning_is_part_of_what_was_written(name: str) -> None:
    stored = recording(name)
    if stored.streamed:
        end = ended(name)
        assert isinstance(end, Finish)
        usage = end.usage
        counts = [chunk["usage"] for chunk in events_in(stored.content) if chunk.get("usage")][-1]
    else:
        usage = openai_chat.decode_response(stored.content).usage
        counts = msgspec.json.decode(stored.content)["usage"]

    assert usage is not None
    reasoning = counts["completion_tokens_details"]["reasoning_tokens"]
    assert usage.reasoning_tokens == reasoning > 0
    assert usage.completion_tokens == counts["completion_tokens"] + reasoning
    assert usage.total_tokens == counts["total_tokens"]


def test_more_cached_than_sent_is_no_more_than_sent() -> None:
    usage = openai_chat.decode_response(
        recording("azure/chat-cached-grok-4-1-fast-non-reasoning").content
    ).usage

    assert usage is not None
    assert 0 < usage.cached_tokens <= usage.prompt_tokens


@pytest.mark.parametrize(
    "name",
    [
        "groq/chat-thinking",
        "groq/chat-thinking-qwen3-32b",
        "deepseek/chat-thinking",
        "mistral/chat-thinking",
        "mistral/chat-thinking-mistral-small-latest",
    ],
)
def test_thoughts_are_told_from_texts(name: str) -> None:
    parts = openai_chat.decode_response(recording(name).content).parts

    assert any(isinstance(part, Text) for part in parts)
    if name != "groq/chat-thinking-qwen3-32b":  # which has them in its text
        text, thoughts, _ = said(parts)
        assert thoughts
        assert thoughts not in text


@pytest.mark.parametrize("name", ["mistral/chat-stream-thinking", "azure/chat-stream-thinking"])
def test_streamed_thoughts(name: str) -> None:
    text, thoughts, _ = gathered(decoded(CHAT, recording(name).content))

    assert text
    assert thoughts or name.startswith("azure")


def test_azure_s_first_chunk_without_choices_names_no_model() -> None:
    filtered = {"choices": [], "id": "", "model": "", "created": 0, "prompt_filter_results": []}
    chunk = {"id": "x", "model": "gpt-4o", "created": 5}
    hi = chunk | {"choices": [{"index": 0, "delta": {"content": "hi"}}]}
    end = chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    stream = b"".join([b"data: " + msgspec.json.encode(told) + b"\n\n" for told in (filtered, hi, end)])

    assert decoded(CHAT, stream) == [Start("gpt-4o", "x", 5), Text("hi"), Finish("stop")]


@pytest.mark.parametrize(
    ("name", "failed"),
    [
        (
            "openai-compatible/chat-error-in-stream-minimax-m2-free",
            Failed("Token limit reached", "invalid_request", Usage(43, 10, reasoning_tokens=10)),
        ),
        (
            "groq/chat-error-in-stream-gpt-oss-120b",
            Failed("Tool choice is required, but model did not call a tool", "invalid_request"),
        ),
    ],
)
def test_errors_inside_a_stream(name: str, failed: Failed) -> None:
    assert ended(name) == failed


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        ("groq/chat-error400-gpt-oss-120b", "invalid_request"),
        ("groq/chat-error400-gpt-oss-120b-2", "invalid_request"),
        ("deepseek/chat-error400-deepseek-chat", "context_length"),
        ("mistral/chat-error401-mistral-small-latest", "upstream_auth"),
        ("azure/chat-error404-gpt-5-nano", "not_found"),
        ("azure/chat-error429-grok-4-1-fast-non-reasoning", "rate_limit"),
        ("openai-compatible/chat-error429-gemini-2.0-flash-exp-free", "rate_limit"),
        ("synthetic/groq-429", "rate_limit"),
        ("synthetic/groq-413-tpm", "too_large"),
        ("synthetic/mistral-429", "rate_limit"),
        ("synthetic/openai-503-html", "overloaded"),
    ],
)
def test_errors_of_every_dialect(name: str, trouble: str) -> None:
    stored = recording(name)

    problem = openai_chat.decode_error(stored.status, stored.content, stored.headers)

    assert problem.trouble == trouble
    assert problem.message
    assert not problem.message.startswith("{")


@pytest.mark.parametrize(
    ("told", "end"),
    [
        ({"finish_reason": "error"}, Failed("the provider failed to answer")),
        # A call that was cut is no call to be made.
        ({"finish_reason": "length"}, Finish("length")),
        ({"finish_reason": "model_length"}, Finish("length")),
        ({"finish_reason": "stop"}, Finish("tool_calls")),
    ],
)
def test_reasons_of_every_dialect(told: dict[str, Any], end: Delta) -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": "{}"}}
    delta = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, **told}]}
    whole = msgspec.json.encode({"choices": [{"message": {"tool_calls": [call]}, **told}]})

    assert decoded(CHAT, b"data: " + msgspec.json.encode(delta) + b"\n\n")[-1] == end
    if isinstance(end, Finish):
        assert openai_chat.decode_response(whole).reason == end.reason
    else:
        with pytest.raises(Unreadable, match="failed to answer"):
            openai_chat.decode_response(whole)


# Requests that came in another form


def test_results_that_came_in_one_turn_are_messages_of_their_own() -> None:
    png = Image(data="iVB", media_type="image/png")
    messages = (
        Message("assistant", (ToolCall("a", "f", ""), ToolCall("b", "g", "{}"))),
        Message("tool", (ToolResult("a", (Text("1"), png)), ToolResult("b", (Text("2"),)))),
        Message("assistant", (Text("so"),)),
    )
    chat = ChatRequest(form="other", model="m", messages=messages)

    sent = openai_chat.encode_request(chat, [])["messages"]

    assert sent[0]["tool_calls"][0]["function"]["arguments"] == "{}"
    # Pictures in results are shown by the user, after all results.
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVB"}}
    assert sent[1:] == [
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        {"role": "user", "content": [picture]},
        {"role": "assistant", "content": "so"},
    ]
    ended = openai_chat.encode_request(replace(chat, messages=messages[:2]), [])["messages"]
    assert ended == sent[:-1]


@pytest.mark.parametrize(
    ("model", "tokens", "effort"),
    [
        ("gpt-4o", 9000, None),
        ("gpt-5", 0, "none"),
        ("gpt-5", 1024, "minimal"),
        ("gpt-5", 2048, "low"),
        ("gpt-5", 9000, "medium"),
        ("o3", 16000, "high"),
    ],
)
def test_a_budget_to_think_with_becomes_an_effort(model: str, tokens: int, effort: str | None) -> None:
    chat = ChatRequest(form="other", model=model, messages=(), thinking_tokens=tokens)

    assert openai_chat.encode_request(chat, []).get("reasoning_effort") == effort


def test_what_both_of_openai_s_forms_have_keeps_its_meaning() -> None:
    shared = {"metadata": {"a": "b"}, "service_tier": "flex", "prompt_cache_key": "k", "store": True}
    asked = {"model": "m", "input": "hi", "text": {"verbosity": "low"}, **shared}
    ignored: list[str] = []

    body = openai_chat.encode_request(openai_responses.decode_request(msgspec.json.encode(asked)), ignored)

    assert {name: body[name] for name in shared} == shared
    assert body["verbosity"] == "low"
    assert ignored == []
    chosen = asked | {"tool_choice": {"type": "web_search"}}
    with pytest.raises(Refusal, match="tool_choice"):
        openai_chat.encode_request(openai_responses.decode_request(msgspec.json.encode(chosen)), [])


def test_the_model_that_was_asked_for_is_told_where_a_form_does_not_tell_it() -> None:
    stored = recording("cohere/chat-text-command-r7b-12-2024")
    dialogue = towards("cohere_chat")
    members = forward.members_of(b'{"model":"command","messages":[{"role":"user","content":"hi"}]}')

    sent = dialogue.request(members, NOTHING_TOLD, model="command", stream=True)
    got = dialogue.answer(stored.content, sent, "chatcmpl-1", 5)
    passage = dialogue.stream(sent, "chatcmpl-1", 5, keep_text=False)
    streamed = passage.feed(recording("cohere/chat-stream-thinking").content, True)

    assert (got.model, passage.model) == ("command", "command")
    assert msgspec.json.decode(got.content)["model"] == "command"
    assert b'"model":"command"' in streamed
    # What a stream that broke off had used is metered as well.
    broken = dialogue.stream(Sent(b""), "", 0, keep_text=False)
    broken.feed(encoded(FORMS["cohere_chat"], Start("m"), Failed("gone", usage=Usage(9, 2))), True)
    assert broken.usage == Usage(9, 2, billed=(9, 2))


# Mistral


@given(st.text())
def test_a_call_s_id_is_always_nine_letters_and_digits(given_id: str) -> None:
    found = call_id(given_id)

    assert len(found) == 9
    assert found.isascii()
    assert found.isalnum()
    assert call_id(given_id) == found == call_id(found)


def test_mistral_s_own_ids_stay_and_others_differ() -> None:
    assert call_id("vAKGXGFZD") == "vAKGXGFZD"
    assert len({call_id(f"call_{number}") for number in range(1000)}) == 1000


def test_a_conversation_with_foreign_calls_is_made_fit_for_mistral() -> None:
    call = {"id": "call_abc", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [call, call | {"id": "vAKGXGFZD"}]},
        {"role": "tool", "tool_call_id": "call_abc", "content": "1"},
        {"role": "tool", "tool_call_id": "vAKGXGFZD", "content": "2"},
    ]

    sent = overridden("mistral", messages)

    assert [found["id"] for found in sent[1]["tool_calls"]] == [call_id("call_abc"), "vAKGXGFZD"]
    assert [found["tool_call_id"] for found in sent[2:]] == [call_id("call_abc"), "vAKGXGFZD"]
    assert sent[0] == messages[0]
    assert overridden("openai", messages) == messages


@pytest.mark.parametrize(
    "messages",
    ["tool_calls", [{"tool_calls": 7}], [{"tool_calls": [7, {"id": 7}]}], [{"tool_call_id": None}], ["x"]],
)
def test_what_is_no_conversation_is_mistral_s_business(messages: Any) -> None:
    assert overridden("mistral", messages) == messages


def overridden(provider: str, messages: Any) -> Any:
    members = forward.members_of(msgspec.json.encode({"messages": messages}))
    overrides = Overrides(Options(), PROVIDERS[provider])
    overrides.apply(members, "m", msgspec.Raw(b'"m"'), stream=False)
    return msgspec.json.decode(forward.body_of(members))["messages"]


# Azure

AZURE: dict[str, Any] = {
    "azure_instance": "corp",
    "azure_deployment_id": "gpt",
    "azure_api_version": "2024-10-21",
}


def azure(query: str = "", route_type: Any = "llm/v1/chat", **options: Any) -> tuple[Any, str | None]:
    """Address and target of a request that goes to Azure."""
    model = Model(provider="azure", name="m", options=Options(**AZURE, **options))
    provider = PROVIDERS["azure"]
    ex = exchange(f"/?{query}" if query else "/")
    found = Destinations(model, provider, provider.form, route_type, None).of(ex, None)
    found.address(ex, found.endpoint.path, Credentials(None, provider))
    return ex.upstream_address, ex.upstream_target


@pytest.mark.parametrize(
    ("arguments", "host", "target"),
    [
        (
            {},
            "corp.openai.azure.com",
            "/openai/deployments/gpt/chat/completions?api-version=2024-10-21",
        ),
        (
            {"route_type": "llm/v1/completions"},
            "corp.openai.azure.com",
            "/openai/deployments/gpt/completions?api-version=2024-10-21",
        ),
        # The client's own version goes first, as in Kong.
        (
            {"query": "api-version=2099-01-01&x=1"},
            "corp.openai.azure.com",
            "/openai/deployments/gpt/chat/completions?api-version=2099-01-01&x=1",
        ),
        (
            {"upstream_path": "/images"},
            "corp.openai.azure.com",
            "/openai/deployments/gpt/images?api-version=2024-10-21",
        ),
        (
            {"upstream_url": "https://a.test/openai/v1/chat/completions"},
            "a.test",
            "/openai/v1/chat/completions?api-version=2024-10-21",
        ),
    ],
)
def test_where_azure_is(arguments: dict[str, Any], host: str, target: str) -> None:
    assert azure(**arguments) == (("https", host, 443), target)


def test_azure_s_key_has_a_header_of_its_own() -> None:
    assert PROVIDERS["azure"].key is not None
    assert PROVIDERS["azure"].key("k") == ("api-key", "k")


def test_an_instance_that_is_no_name_is_told_to_each_request() -> None:
    model = Model(provider="azure", name="m", options=Options(**{**AZURE, "azure_instance": "a b"}))
    provider = PROVIDERS["azure"]

    with pytest.raises(Refusal, match="not a URL"):
        Destinations(model, provider, provider.form, "llm/v1/chat", None).of(exchange(), None)
