"""Any conversation, answer and stream, from OpenAI's form to others and back."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollhouse.llm.chat import (
    Chat,
    ChatRequest,
    Delta,
    Failed,
    Finish,
    Image,
    Message,
    Options,
    Reason,
    ResponseFormat,
    Start,
    Text,
    Thinking,
    Tool,
    ToolArguments,
    ToolCall,
    ToolChoice,
    ToolResult,
    ToolStart,
)
from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.form import Form, Refusal, Told, Unreadable
from tollhouse.llm.formats import ollama_chat, openai_chat
from tollhouse.llm.provider import FormName
from tollhouse.pdk.usage import Usage

#: a conversation takes long to make up
few = settings(max_examples=40)
#: the forms that can say all that the requests and answers below do
BOTH: tuple[FormName, ...] = ("openai_chat", "ollama_chat", "gemini")
both = pytest.mark.parametrize("form", [FORMS[name] for name in BOTH], ids=BOTH)

# surrogates are no text
characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters, min_size=1, max_size=12)
names = st.text("abc_", min_size=1, max_size=5)
numbers = st.integers(-(2**53), 2**53)
schemas = st.dictionaries(names, st.one_of(st.none(), st.booleans(), numbers, texts), max_size=3)
json_objects = schemas.map(lambda value: msgspec.json.encode(value).decode())
data = st.binary(min_size=1, max_size=6).map(lambda _: "iVBORw0K")


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """Turns as they can stand in every form; calls have ids of their own, and are answered in order."""
    messages = [Message("system", (Text(draw(texts)),))] if draw(st.booleans()) else []
    count = 0
    for _ in range(draw(st.integers(1, 3))):
        pictures = draw(st.lists(data.map(lambda d: Image(data=d, media_type="image/png")), max_size=1))
        messages.append(Message("user", (Text(draw(texts)), *pictures)))
        calls = []
        for arguments in draw(st.lists(json_objects, max_size=2)):
            count += 1
            calls.append(ToolCall(f"call_{count}", draw(names), arguments))
        thoughts = draw(st.lists(texts.map(Thinking), max_size=1))
        messages.append(Message("assistant", (*thoughts, Text(draw(texts)), *calls)))
        messages += [
            Message("tool", (ToolResult(call.id, (Text(draw(texts)),), call.name),)) for call in calls
        ]
    return tuple(messages)


@st.composite
def requests(draw: st.DrawFn) -> ChatRequest:
    number = st.none() | st.floats(0, 2)
    stops = st.none() | st.lists(texts, min_size=1, max_size=2).map(tuple)
    return ChatRequest(
        form="other",
        model=draw(st.sampled_from(["m", "library/llama3:8b"])),
        messages=draw(conversations()),
        stream=draw(st.booleans()),
        options=Options(
            max_tokens=draw(st.none() | st.integers(1, 9999)),
            temperature=draw(number),
            top_p=draw(number),
            top_k=draw(st.none() | st.integers(1, 100)),
            stop=draw(stops),
            seed=draw(st.none() | st.integers(0, 9)),
            presence_penalty=draw(number),
            frequency_penalty=draw(number),
        ),
        tools=tuple(
            draw(st.lists(st.builds(Tool, names, st.none() | texts, schemas.filter(bool)), max_size=2))
        ),
        response_format=draw(st.none() | st.just(ResponseFormat("json_object"))),
        effort=draw(st.none() | st.sampled_from(["none", "low", "medium", "high"])),
    )


def again(form: Form, chat: ChatRequest, ignored: list[str]) -> ChatRequest:
    told = Told(chat.model, chat.stream)  # for forms that have it in their paths
    return form.decode_request(msgspec.json.encode(form.encode_request(chat, ignored)), told)


def said(messages: Sequence[Message]) -> list[tuple[Any, ...]]:
    """What was said, without names of tools beside results: not every form has them."""
    return [
        (message.role, part.call_id, part.parts) if isinstance(part, ToolResult) else (message.role, part)
        for message in messages
        for part in message.parts
    ]


@both
@few
@given(chat=requests())
def test_a_request_says_the_same_in_every_form(form: Form, chat: ChatRequest) -> None:
    ignored: list[str] = []

    got = again(form, chat, ignored)

    assert ignored == []
    assert said(got.messages) == said(chat.messages)
    assert (got.model, got.stream, got.options, got.tools) == (
        chat.model,
        chat.stream,
        chat.options,
        chat.tools,
    )
    assert (got.response_format, got.effort) == (chat.response_format, chat.effort)
    assert got.extra == {}


@few
@given(chat=requests())
def test_a_request_of_openai_s_survives_the_way_through_ollama_s(chat: ChatRequest) -> None:
    first = again(openai_chat, chat, [])

    back = again(openai_chat, again(ollama_chat, first, []), [])

    assert said(back.messages) == said(first.messages)
    assert (back.options, back.tools) == (first.options, first.tools)


usages = st.builds(Usage, st.integers(0, 9999), st.integers(0, 9999))
reasons: st.SearchStrategy[Reason] = st.sampled_from(["stop", "length"])


@st.composite
def answers(draw: st.DrawFn) -> Chat:
    thoughts = draw(st.lists(texts.map(Thinking), max_size=1))
    said = draw(st.lists(texts.map(Text), max_size=1))
    arguments = draw(st.lists(json_objects, max_size=2))
    calls = [ToolCall(f"call_{place}", draw(names), text) for place, text in enumerate(arguments)]
    return Chat(
        model="m",
        parts=(*thoughts, *said, *calls),
        reason="tool_calls" if calls else draw(reasons),
        usage=draw(st.none() | usages),
        created=draw(st.integers(1, 2**33)),
    )


@both
@few
@given(chat=answers())
def test_an_answer_says_the_same_in_every_form(form: Form, chat: Chat) -> None:
    assert form.decode_response(msgspec.json.encode(form.encode_response(chat))) == chat


@st.composite
def streams(draw: st.DrawFn) -> list[Delta]:
    """An answer in pieces, calls whole and in order."""
    chat = draw(answers())
    deltas: list[Delta] = [Start("m", created=chat.created)]
    deltas += [part for part in chat.parts if isinstance(part, Text | Thinking)]
    calls = [part for part in chat.parts if isinstance(part, ToolCall)]
    for place, call in enumerate(calls):
        deltas += [ToolStart(place, call.id, call.name), ToolArguments(place, call.arguments)]
    return [*deltas, Finish(chat.reason, chat.usage)]


def decoded(form: Form, *pieces: bytes) -> list[Delta]:
    decoder = form.stream_decoder()
    return [delta for piece in pieces for delta in decoder.feed(piece)] + decoder.end()


def encoded(form: Form, deltas: Sequence[Delta]) -> bytes:
    encoder = form.stream_encoder(include_usage=True)
    return b"".join([encoder.encode(delta) for delta in deltas])


@both
@few
@given(deltas=streams(), cut=st.integers(0, 10**6))
def test_a_stream_says_the_same_in_every_form_wherever_it_is_cut(
    form: Form, deltas: list[Delta], cut: int
) -> None:
    stream = encoded(form, deltas)
    cut %= len(stream)

    assert decoded(form, stream[:cut], stream[cut:]) == deltas


@both
@few
@given(deltas=streams(), kept=st.integers(0, 10**6))
def test_a_stream_that_is_broken_off_never_looks_complete(form: Form, deltas: list[Delta], kept: int) -> None:
    """Unless what is missing is only how the form ends its streams."""
    stream = encoded(form, deltas)
    got = decoded(form, stream[: kept % len(stream)])

    assert isinstance(got[-1], Failed | Finish)
    if isinstance(got[-1], Finish):
        assert got[:-1] == deltas[:-1]
    assert sum(isinstance(delta, Failed | Finish) for delta in got) == 1


@both
@given(garbage=st.binary(max_size=60), cut=st.integers(0, 60))
def test_garbage_is_a_failure_and_never_an_exception(form: Form, garbage: bytes, cut: int) -> None:
    for stream in (garbage, b"data: " + garbage + b"\n\n", garbage + b"\n"):
        got = decoded(form, stream[:cut], stream[cut:])
        assert isinstance(got[-1], Failed | Finish)
    with pytest.raises(Unreadable):
        form.decode_response(b"<" + garbage)
    with pytest.raises(Refusal):
        form.decode_request(b"<" + garbage)


@both
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"messages":7}',
        b'{"model":"m","messages":[{"content":"no role"}]}',
        b'{"model":"m","messages":[{"role":"nobody","content":""}]}',
        b'{"model":"m","messages":[{"role":"user","content":{"a":1}}]}',
        b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}',
        b'{"model":"m","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model":7,"messages":[]}',
        b'{"model":"m","messages":[],"stream":"yes"}',
    ],
)
def test_a_malformed_request_is_refused_and_never_an_exception(form: Form, body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        form.decode_request(body)

    assert refused.value.status == 400


def test_a_call_that_must_be_made_cannot_be_promised_by_ollama() -> None:
    request = ChatRequest(
        form="x", model="m", messages=(), tools=(Tool("f"),), tool_choice=ToolChoice("one", "f")
    )

    with pytest.raises(Refusal, match="tool_choice"):
        ollama_chat.encode_request(request, [])
