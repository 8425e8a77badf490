"""Our answers, streams and errors in Anthropic's form, read by Anthropic's own SDK."""

from typing import Any, get_args

import msgspec
import pytest
from anthropic import APIStatusError, AsyncAnthropic, OverloadedError, RateLimitError
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.recordings import Recording, recording, recordings
from tests.support.servers import answering
from tests.support.streams import decoded, encoded, events_in

from tollhouse.llm.chat import (
    Chat,
    Delta,
    Failed,
    Finish,
    Ping,
    Start,
    Text,
    Thinking,
    ToolArguments,
    ToolCall,
    ToolStart,
    Trouble,
)
from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.form import Problem
from tollhouse.llm.formats.anthropic_messages import (
    STREAM_TYPE,
    decode_error,
    encode_error,
    encode_response,
    stream_encoder,
)
from tollhouse.pdk.usage import Usage

FORM = FORMS["anthropic_messages"]
STREAMS = [r for r in recordings("messages") if r.streamed and r.status == 200]
streamed = pytest.mark.parametrize("stored", STREAMS, ids=[r.name for r in STREAMS])
USED = Usage(15, 2, cached_tokens=5, cache_write_tokens=7, cache_write_hour_tokens=4)
HI: Any = [{"role": "user", "content": "hi"}]


def written(deltas: list[Delta]) -> bytes:
    return encoded(FORM, *deltas)


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9)
objects = st.dictionaries(st.text("ab", min_size=1), st.integers(-9, 9), max_size=2)


@st.composite
def streams(draw: st.DrawFn) -> list[Delta]:
    """Thoughts, text and calls, whose pieces may come in turns."""
    deltas: list[Delta] = []
    for kind in draw(st.lists(st.sampled_from(["text", "thought", "ping"]), max_size=4)):
        if kind == "text":
            deltas.append(Text(draw(texts)))
        elif kind == "thought":
            deltas += [Thinking(draw(texts)), Thinking("", draw(texts))]
        else:
            deltas.append(Ping())
    calls = [msgspec.json.encode(arguments).decode() for arguments in draw(st.lists(objects, max_size=3))]
    queues: list[list[Delta]] = []
    for index, arguments in enumerate(calls):
        cut = draw(st.integers(0, len(arguments)))
        pieces = [ToolArguments(index, arguments[:cut]), ToolArguments(index, arguments[cut:])]
        queues.append([ToolStart(index, f"call_{index}", "f"), *pieces])
    # The next call begins after the one before it; else they come as they like.
    begun = 1
    while any(queues[:begun]):
        at = draw(st.sampled_from([index for index in range(begun) if queues[index]]))
        deltas.append(queues[at].pop(0))
        begun = max(begun, min(len(queues), at + 2))
    return [Start("m", "msg_1"), *deltas, Finish("tool_calls" if calls else "stop", USED)]


def client_at(url: str) -> AsyncAnthropic:
    return AsyncAnthropic(base_url=url, api_key="k", max_retries=0)


async def understood(stream: bytes) -> Any:
    async with (
        answering(stream, STREAM_TYPE) as url,
        client_at(url) as client,
        client.messages.stream(model="claude-opus-5", max_tokens=9, messages=HI) as answer,
    ):
        return await answer.get_final_message()


def pieces_of(deltas: list[Delta], index: int) -> list[str]:
    return [delta.fragment for delta in deltas if isinstance(delta, ToolArguments) and delta.index == index]


async def check(deltas: list[Delta]) -> None:
    message = await understood(written(deltas))
    end = deltas[-1]
    assert isinstance(end, Finish)

    blocks = message.content
    called = [(block.id, block.input) for block in blocks if block.type == "tool_use"]
    assert called == [
        (delta.id, msgspec.json.decode("".join(pieces_of(deltas, delta.index))))
        for delta in deltas
        if isinstance(delta, ToolStart)
    ]
    text = "".join(block.text for block in blocks if block.type == "text")
    assert text == "".join(delta.text for delta in deltas if isinstance(delta, Text))
    thoughts = [block for block in blocks if block.type == "thinking"]
    signatures = [delta.signature for delta in deltas if isinstance(delta, Thinking) and delta.signature]
    assert [block.signature for block in thoughts if block.signature] == signatures
    thought = "".join(block.thinking for block in thoughts)
    assert thought == "".join(delta.text for delta in deltas if isinstance(delta, Thinking))
    usage = message.usage
    assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (
        end.usage and end.usage.cached_tokens,
        end.usage and end.usage.cache_write_tokens,
    )
    assert usage.output_tokens == (end.usage and end.usage.completion_tokens)
    full = usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens
    assert full == (end.usage and end.usage.prompt_tokens)


async def test_the_sdk_puts_together_what_was_streamed() -> None:
    @settings(max_examples=15)
    @given(deltas=streams())
    def collect(deltas: list[Delta]) -> None:
        found.append(deltas)

    found: list[list[Delta]] = []
    collect()
    for deltas in found:
        await check(deltas)


@streamed
async def test_the_sdk_understands_what_we_understood(stored: Recording) -> None:
    await check(decoded(FORM, stored.content))
    await check([delta for delta in decoded(FORM, stored.content) if not isinstance(delta, Start)])


@pytest.mark.parametrize(
    ("deltas", "kinds"),
    [
        ([Thinking("a"), Thinking("b"), Text("c"), Text("d")], ["thinking", "text"]),
        ([Thinking("a", "s"), Thinking("b", "t")], ["thinking", "thinking"]),
        (
            [Thinking("", "s"), Thinking("", redacted="d"), Text("x")],
            ["thinking", "redacted_thinking", "text"],
        ),
        ([ToolStart(0, "a", "f"), ToolArguments(0, "{}"), Text("x")], ["tool_use", "text"]),
        ([ToolStart(0, "a", "f"), ToolStart(1, "b", "f"), Text("x")], ["tool_use", "tool_use", "text"]),
        ([Text("")], []),
    ],
)
def test_blocks_follow_one_another(deltas: list[Delta], kinds: list[str]) -> None:
    events = events_in(written([Start("m", "i"), *deltas, Finish("stop")]))

    begun = [found for found in events if found["type"] == "content_block_start"]
    assert [found["content_block"]["type"] for found in begun] == kinds
    assert [found["index"] for found in begun] == list(range(len(kinds)))
    order = [found["type"] for found in events if found["type"].endswith(("start", "stop"))]
    blocks = ["content_block_start", "content_block_stop"] * len(kinds)
    assert order == ["message_start", *blocks, "message_stop"]
    assert events[0]["message"]["usage"] == {"input_tokens": 0, "output_tokens": 0}


def test_a_call_that_is_whole_makes_room_for_the_next_at_once() -> None:
    encoder = stream_encoder(include_usage=True)
    first: list[Delta] = [
        Start("m"),
        ToolStart(0, "a", "f"),
        ToolArguments(0, '{"a":1}'),
        ToolStart(1, "b", "f"),
    ]
    assert b'"id":"b"' in b"".join(map(encoder.encode, first))

    # A piece for the first one after that would change what the client may have done already.
    failed = encoder.encode(ToolArguments(0, "x"))

    assert events_in(failed)[0]["error"]["type"] == "api_error"
    assert encoder.encode(Finish("stop")) == b""


def test_calls_whose_pieces_come_in_turns_are_told_one_after_the_other() -> None:
    deltas: list[Delta] = [Start("m"), ToolStart(0, "a", "f"), ToolArguments(0, ""), ToolStart(1, "b", "f")]
    deltas += [
        ToolArguments(1, "{"),
        ToolArguments(0, '{"a":'),
        ToolArguments(1, "}"),
        ToolArguments(0, "1}"),
    ]

    again = decoded(FORM, written([*deltas, Finish("tool_calls", USED)]))

    assert ["".join(pieces_of(again, index)) for index in (0, 1)] == ['{"a":1}', "{}"]
    assert isinstance(again[-1], Finish)


async def test_an_error_in_a_stream_reaches_the_clients_code() -> None:
    with pytest.raises(APIStatusError) as raised:
        await understood(written([Start("m", "i"), Text("x"), Failed("busy", "overloaded")]))

    assert (raised.value.type, raised.value.api_message) == ("overloaded_error", "busy")


async def test_the_sdk_reads_a_whole_answer() -> None:
    parts = (Thinking("t"), Text("x"), ToolCall("1", "f", '{"a":1}'))
    chat = Chat(model="m", parts=parts, reason="tool_calls", usage=USED, id="i")
    body = msgspec.json.encode(encode_response(chat))

    async with answering(body, "application/json") as url, client_at(url) as client:
        message = await client.messages.create(model="claude-opus-5", max_tokens=9, messages=HI)

    assert message.to_dict(mode="json") == encode_response(chat)
    assert message.usage.cache_creation is not None
    assert message.usage.cache_creation.ephemeral_1h_input_tokens == 4
    assert message.usage.input_tokens == 3


@pytest.mark.parametrize("trouble", get_args(Trouble))
def test_every_trouble_is_told_and_understood(trouble: Trouble) -> None:
    told = encode_error(Problem(trouble, "what went wrong"))

    got = decode_error(told.status, told.body, {})

    # A gateway's trouble with its own key is none that the client could do anything about.
    seen: dict[Trouble, Trouble] = {
        "auth": "upstream_auth",
        "upstream_auth": "upstream_error",
        "content_filter": "invalid_request",
    }
    assert got.trouble == seen.get(trouble, trouble)
    assert got.message.endswith("what went wrong")
    assert (told.headers == {"x-should-retry": "false"}) == (trouble == "quota")


async def test_the_sdk_raises_what_it_raises_for_anthropics_errors() -> None:
    wanted: list[tuple[Trouble, type[APIStatusError]]] = [
        ("rate_limit", RateLimitError),
        ("overloaded", OverloadedError),
    ]
    for trouble, kind in wanted:
        told = encode_error(Problem(trouble, "slowly"))
        async with answering(told.body, "application/json", told.status) as url, client_at(url) as client:
            with pytest.raises(kind, match="slowly") as raised:
                await client.messages.create(model="claude-opus-5", max_tokens=9, messages=HI)
        assert (raised.value.status_code, raised.value.api_message) == (told.status, "slowly")


def envelope(kind: str, message: str) -> bytes:
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})


@pytest.mark.parametrize(
    ("status", "body", "trouble"),
    [
        (400, envelope("invalid_request_error", "bad"), "invalid_request"),
        (
            400,
            envelope("invalid_request_error", "prompt is too long: 9 tokens > 5 maximum"),
            "context_length",
        ),
        (400, envelope("invalid_request_error", "Your credit balance is too low"), "quota"),
        (401, envelope("authentication_error", "invalid x-api-key"), "upstream_auth"),
        (409, b"", "invalid_request"),
        (502, b"<html>", "upstream_error"),
        (529, b"[]", "overloaded"),
    ],
)
def test_what_errors_of_anthropic_mean(status: int, body: bytes, trouble: Trouble) -> None:
    assert decode_error(status, body, {}).trouble == trouble


@pytest.mark.parametrize(
    ("name", "trouble", "wait"),
    [
        ("synthetic/anthropic-429", "rate_limit", 12),
        ("synthetic/anthropic-500", "upstream_error", None),
        ("synthetic/anthropic-529-overloaded", "overloaded", None),
        ("anthropic/messages-count_tokens-error404-claude-does-not-exist", "not_found", None),
    ],
)
def test_recorded_errors_are_understood(name: str, trouble: Trouble, wait: float | None) -> None:
    stored = recording(name)

    problem = decode_error(stored.status, stored.content, stored.headers)

    assert (problem.trouble, problem.retry_after, problem.status) == (trouble, wait, stored.status)
