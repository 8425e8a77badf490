"""What real providers answered, read whole, streamed, and cut at every byte."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.support.dialogues import towards
from tests.support.recordings import Recording, recording, recordings

from tollhouse.llm.chat import (
    Delta,
    Failed,
    Finish,
    Message,
    Start,
    Text,
    Thinking,
    ToolArguments,
    ToolCall,
    ToolResult,
    ToolStart,
)
from tollhouse.llm.dialogue import FORMS, Forwarding, Passage, Sent
from tollhouse.llm.form import Form
from tollhouse.pdk.usage import Usage

ALL = recordings("chat.completions", "ollama.chat")
#: an error that was answered with 200
MISLABELLED = "azure/chat-refusal-openllmetry-testing"
WHOLE = [r for r in ALL if r.status == 200 and not r.streamed and r.name != MISLABELLED]
STREAMS = [r for r in ALL if r.status == 200 and r.streamed]
#: recordings that end in an error, or before there is a reason
BROKEN = {
    "openai-compatible/chat-error-in-stream-minimax-m2-free",
    "groq/chat-error-in-stream-gpt-oss-120b",
}
#: too long to be cut at each of their bytes
CUT_AT_MOST = 3000


def named(found: list[Recording]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("stored", found, ids=[r.name for r in found])


def form_of(stored: Recording) -> Form:
    return FORMS["ollama_chat" if stored.is_ollama else "openai_chat"]


def told_usage(stored: Recording) -> tuple[int, int] | None:
    """The counts in a recording, found without the code under test."""
    found = None
    lines = stored.content.split(b"\n") if stored.streamed else [stored.content]
    for line in lines:
        if not (text := line.removeprefix(b"data:").strip()).startswith(b"{"):
            continue
        body = msgspec.json.decode(text)
        if "eval_count" in body:
            found = (body.get("prompt_eval_count", 0), body["eval_count"])
        counts = body.get("usage") or (body.get("x_groq") or {}).get("usage")
        if counts:
            found = (counts["prompt_tokens"], counts["completion_tokens"])
            details = counts.get("completion_tokens_details") or {}
            reasoning = details.get("reasoning_tokens") or 0
            if reasoning and counts["total_tokens"] == sum(found) + reasoning:
                found = (found[0], found[1] + reasoning)
    return found


def counts(usage: Usage | None) -> tuple[int, int] | None:
    return None if usage is None else (usage.prompt_tokens, usage.completion_tokens)


@named(WHOLE)
def test_a_whole_answer_is_read_and_survives_its_own_form(stored: Recording) -> None:
    form = form_of(stored)

    chat = form.decode_response(stored.content)

    assert counts(chat.usage) == told_usage(stored)
    assert chat.model
    again = form.decode_response(msgspec.json.encode(form.encode_response(chat)))
    assert (again.model, again.reason, counts(again.usage)) == (chat.model, chat.reason, counts(chat.usage))
    assert joined(again.parts) == joined(chat.parts)


def joined(parts: Any) -> tuple[str, str, list[tuple[str, Any]]]:
    """Text, thoughts and calls: which part came first is not kept by every form."""
    text = "".join(part.text for part in parts if isinstance(part, Text))
    thoughts = "".join(part.text for part in parts if isinstance(part, Thinking))
    calls = [(part.name, arguments(part.arguments)) for part in parts if isinstance(part, ToolCall)]
    return text, thoughts, calls


def arguments(text: str) -> Any:
    return msgspec.json.decode(text or "{}")


@named([r for r in WHOLE if not r.is_ollama])
def test_a_forwarded_answer_keeps_every_byte(stored: Recording) -> None:
    got = Forwarding("llm/v1/chat", ask_usage=True).answer(stored.content, Sent(b""), "", 0)

    assert got.content == stored.content
    assert counts(got.usage) == told_usage(stored)


def decoded(stored: Recording, *pieces: bytes) -> list[Delta]:
    decoder = form_of(stored).stream_decoder()
    return [delta for piece in pieces for delta in decoder.feed(piece)] + decoder.end()


def gathered(deltas: list[Delta]) -> tuple[str, str, list[tuple[str, Any]], Any]:
    """A stream as one answer."""
    texts = "".join(delta.text for delta in deltas if isinstance(delta, Text))
    thoughts = "".join(delta.text for delta in deltas if isinstance(delta, Thinking))
    names = {delta.index: delta.name for delta in deltas if isinstance(delta, ToolStart)}
    calls = dict.fromkeys(names, "")
    for delta in deltas:
        if isinstance(delta, ToolArguments):
            calls[delta.index] += delta.fragment
    end = deltas[-1]
    reason = end.reason if isinstance(end, Finish) else end
    return texts, thoughts, [(names[index], arguments(calls[index])) for index in names], reason


@named(STREAMS)
def test_a_stream_is_read_from_start_to_finish(stored: Recording) -> None:
    deltas = decoded(stored, stored.content)

    assert isinstance(deltas[0], Start)
    if stored.name in BROKEN:
        assert isinstance(deltas[-1], Failed)
        return
    end = deltas[-1]
    assert isinstance(end, Finish)
    assert counts(end.usage) == told_usage(stored)
    assert not any(isinstance(delta, Failed) for delta in deltas)


@named(STREAMS)
def test_where_the_network_cuts_a_stream_changes_no_delta(stored: Recording) -> None:
    content = stored.content
    whole = decoded(stored, content)

    for cut in range(1, len(content), max(1, len(content) // 100)):
        assert decoded(stored, content[:cut], content[cut:]) == whole
    assert decoded(stored, *(content[at : at + 1] for at in range(len(content)))) == whole


@named([r for r in STREAMS if r.name not in BROKEN])
def test_a_stream_survives_its_own_form(stored: Recording) -> None:
    form = form_of(stored)
    deltas = decoded(stored, stored.content)
    encoder = form.stream_encoder(include_usage=True)

    again = decoded(stored, b"".join(map(encoder.encode, deltas)))

    assert gathered(again) == gathered(deltas)


@named([r for r in STREAMS if not r.is_ollama])
def test_a_forwarded_stream_keeps_every_byte_and_is_metered(stored: Recording) -> None:
    passage = forwarding(hide_usage=False)

    passed = passage.feed(stored.content, True)

    assert passed == stored.content
    assert counts(passage.usage) == told_usage(stored)
    assert passage.model


def forwarding(*, hide_usage: bool, keep_text: bool = True) -> Passage:
    dialogue = Forwarding("llm/v1/chat", ask_usage=True)
    return dialogue.stream(Sent(b"", hide_usage=hide_usage), "", 0, keep_text=keep_text)


def passed(passage: Passage, *pieces: bytes) -> tuple[bytes, Any, int]:
    *others, last = pieces
    out = b"".join([passage.feed(piece, False) for piece in others]) + passage.feed(last, True)
    return out, counts(passage.usage), passage.written


@named([r for r in STREAMS if not r.is_ollama and len(r.content) < CUT_AT_MOST])
@pytest.mark.parametrize("hide_usage", [True, False])
def test_where_the_network_cuts_a_forwarded_stream_changes_nothing(
    stored: Recording, hide_usage: bool
) -> None:
    content = stored.content
    whole = passed(forwarding(hide_usage=hide_usage), content)

    for cut in range(1, len(content)):
        assert passed(forwarding(hide_usage=hide_usage), content[:cut], content[cut:]) == whole


def test_usage_that_only_the_gateway_asked_for_is_taken_out_again() -> None:
    stored = recording("openai/chat-stream-include-usage-gpt-4o-mini")
    passage = forwarding(hide_usage=True)

    out = passage.feed(stored.content, True)

    chunks = [event[6:] for event in out.split(b"\n\n") if event.startswith(b"data: {")]
    assert all(msgspec.json.decode(chunk)["choices"] for chunk in chunks)
    assert out.endswith(b"data: [DONE]\n\n")
    assert counts(passage.usage) == told_usage(stored)


@pytest.mark.parametrize(
    "name", ["ollama/api-chat-stream-text-llama3", "ollama/api-chat-stream-tool-call-llama3.2"]
)
def test_a_translated_stream_says_what_ollama_said(name: str) -> None:
    stored = recording(name)
    sent = Sent(b"", include_usage=True)
    passage = towards("ollama_chat").stream(sent, "chatcmpl-1", 5, keep_text=True)

    out = passage.feed(stored.content, True)

    said = gathered(decoded(stored, stored.content))
    decoder = FORMS["openai_chat"].stream_decoder()
    deltas = decoder.feed(out) + decoder.end()
    assert gathered(deltas) == said
    assert passage.text == said[0]
    assert counts(passage.usage) == told_usage(stored)
    end = deltas[-1]
    assert isinstance(end, Finish)
    assert counts(end.usage) == told_usage(stored)


@named([r for r in ALL if r.request and "messages" in r.request and isinstance(r.request["messages"], list)])
def test_a_recorded_request_is_understood_and_survives_its_own_form(stored: Recording) -> None:
    form, body = form_of(stored), msgspec.json.encode(stored.request)
    chat = form.decode_request(body)
    ignored: list[str] = []

    again = form.decode_request(msgspec.json.encode(form.encode_request(chat, ignored)))

    assert (again.tools, again.options) == (chat.tools, chat.options)
    assert list(map(unnamed, again.messages)) == list(map(unnamed, chat.messages))


def unnamed(message: Message) -> Message:
    """Without the names of tools beside their results, which the encoder looks up for Ollama."""
    parts = tuple(replace(p, name="") if isinstance(p, ToolResult) else p for p in message.parts)
    return replace(message, parts=parts)
