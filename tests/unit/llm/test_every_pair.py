"""Every pair of forms: an answer says the same whole and streamed, whoever answers and whoever asked."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec
import pytest
from tests.support.recordings import Recording, recording, recordings

from tollhouse.llm.chat import (
    Chat,
    Delta,
    Failed,
    Finish,
    Start,
    Text,
    Thinking,
    ToolArguments,
    ToolStart,
)
from tollhouse.llm.conformity import FORM_NAMES, Said, assembled, deltas_of, said_in, said_streamed
from tollhouse.llm.dialogue import FORMS, Forwarding, Sent
from tollhouse.llm.fixed import Fixed
from tollhouse.llm.form import Form
from tollhouse.llm.passing import Passing
from tollhouse.llm.provider import FormName
from tollhouse.llm.settings import Options
from tollhouse.pdk.usage import Usage

START: Final = Start("m", "id", 1)
CALLED: Final = Finish("tool_calls", Usage(30, 12))
PARIS: Final = ('{"city": ', '"Paris"}')
CASES: Final[dict[str, list[Delta]]] = {
    "text": [START, Text("Hel"), Text("lo é\n"), Finish("stop", Usage(3, 2))],
    "text that was cut": [START, Text("Hel"), Finish("length", Usage(3, 1))],
    "one tool": [START, ToolStart(0, "call_a", "f"), *(ToolArguments(0, text) for text in PARIS), CALLED],
    "parallel tools": [
        START,
        ToolStart(0, "call_a", "f"),
        *(ToolArguments(0, text) for text in PARIS),
        ToolStart(1, "call_b", "g"),
        ToolArguments(1, "{}"),
        CALLED,
    ],
    "text and tool": [
        START,
        Text("I "),
        Text("look."),
        ToolStart(0, "call_a", "f"),
        ToolArguments(0, "{}"),
        CALLED,
    ],
    "thinking and tool": [
        START,
        Thinking("Which "),
        Thinking("city?"),
        ToolStart(0, "call_a", "f"),
        *(ToolArguments(0, text) for text in PARIS),
        CALLED,
    ],
    "arguments only at the end": [
        START,
        Text("Two."),
        ToolStart(0, "call_a", "f"),
        ToolStart(1, "call_b", "g"),
        ToolArguments(0, "".join(PARIS)),
        ToolArguments(1, '{"deep": {"list": [1, null]}}'),
        CALLED,
    ],
}
ENDPOINTS: Final = (
    *("chat.completions", "responses", "messages", "generateContent", "streamGenerateContent"),
    *("converse", "converse-stream", "cohere.chat", "ollama.chat"),
)
#: what came with 200 all the same: an error, and an answer that was to be asked for again
NO_ANSWERS: Final = ("azure/chat-refusal-openllmetry-testing", "openai-responses/responses-text-gpt-4o")
ANSWERS: Final = [
    stored for stored in recordings(*ENDPOINTS) if stored.status == 200 and stored.name not in NO_ANSWERS
]
#: streams that end in an error
BROKEN: Final = (
    "groq/chat-error-in-stream-gpt-oss-120b",
    "openai-compatible/chat-error-in-stream-minimax-m2-free",
)
WHOLE: Final = [stored for stored in ANSWERS if stored.name not in BROKEN]
#: forms that cannot leave out how much was used
COUNTING: Final = ("anthropic_messages", "bedrock_converse")
clients = pytest.mark.parametrize("client", FORM_NAMES)


def each_of(stored: list[Recording]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("stored", stored, ids=[one.name for one in stored])


def streamed_by(form: Form, deltas: Sequence[Delta]) -> list[Delta]:
    """A stream, written and read in that form."""
    encoder = form.stream_encoder(include_usage=True)
    return deltas_of(form, [encoder.encode(delta) for delta in deltas])


def told_by(form: Form, chat: Chat) -> Chat:
    """A whole answer, written and read in that form."""
    return form.decode_response(msgspec.json.encode(form.encode_response(chat)))


def whole(deltas: Sequence[Delta]) -> Chat:
    chat = assembled(deltas)
    assert isinstance(chat, Chat)
    return chat


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("provider", FORM_NAMES)
@clients
def test_whole_and_streamed_say_the_same_between_every_two_forms(
    client: FormName, provider: FormName, case: str
) -> None:
    deltas, asked, answers = CASES[case], FORMS[client], FORMS[provider]
    said = said_in(whole(deltas))

    assert said_streamed(streamed_by(asked, streamed_by(answers, deltas))) == said
    assert said_in(told_by(asked, told_by(answers, whole(deltas)))) == said


def recorded(stored: Recording) -> Chat:
    """What was recorded, read in its own form."""
    form = FORMS[stored.form]
    return whole(deltas_of(form, stored.chunks)) if stored.streamed else form.decode_response(stored.content)


def as_told_in(client: FormName, said: Said) -> Said:
    """But for what a form cannot say otherwise."""
    if client == "ollama_chat" and said.reason == "content_filter":
        return replace(said, reason="stop")
    if client in COUNTING and said.tokens is None:
        return replace(said, tokens=(0, 0))
    return said


@clients
@each_of(WHOLE)
def test_a_recorded_answer_says_the_same_in_every_form(stored: Recording, client: FormName) -> None:
    chat, form = recorded(stored), FORMS[client]
    said = as_told_in(client, said_in(chat))

    assert said_in(told_by(form, chat)) == said
    if stored.streamed:
        assert said_streamed(streamed_by(form, deltas_of(FORMS[stored.form], stored.chunks))) == said


@clients
@pytest.mark.parametrize("name", BROKEN)
def test_a_recorded_stream_that_ends_in_an_error_does_so_in_every_form(name: str, client: FormName) -> None:
    stored = recording(name)
    deltas = deltas_of(FORMS[stored.form], stored.chunks)

    assert isinstance(deltas[-1], Failed)
    assert said_streamed(streamed_by(FORMS[client], deltas)).failed


@each_of(ANSWERS)
def test_a_recorded_answer_passes_its_own_form_byte_for_byte(stored: Recording) -> None:
    form = stored.form
    passing = (
        Forwarding("llm/v1/chat", ask_usage=True)
        if form == "openai_chat"
        else Passing(FORMS[form], Fixed(form, Options()), model_in_path=False)
    )
    if stored.streamed:
        passage = passing.stream(Sent(b""), "", 0, keep_text=False)
        passed, usage = passage.feed(stored.content, True), passage.usage
    else:
        got = passing.answer(stored.content, Sent(b""), "", 0)
        passed, usage = got.content, got.usage

    assert passed == stored.content
    if stored.name not in BROKEN:
        counted = None if usage is None else (usage.prompt_tokens, usage.completion_tokens)
        assert counted == said_in(recorded(stored)).tokens
