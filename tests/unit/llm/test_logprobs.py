"""How likely tokens were, in each form that tells it, and who is told that it was left out."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
import pytest
from tests.support.recordings import recording

from tollhouse.llm.carrying import carried
from tollhouse.llm.chat import Chat, Delta, Finish, Likely, Logprobs, Start, Text
from tollhouse.llm.conformity import assembled, deltas_of
from tollhouse.llm.dialogue import FORMS, Sent
from tollhouse.llm.form import Form
from tollhouse.llm.provider import FormName
from tollhouse.llm.translation import StreamTranslation
from tollhouse.llm.unshown import unshown_in
from tollhouse.pdk.usage import Usage

HELLO: Final = (
    Likely("Hel", -0.5, (Likely("Hel", -0.5), Likely("Good", -1.5))),
    Likely("lo é", -0.25, (Likely("lo é", -0.25),)),
)
FORMS_THAT_TELL: Final[tuple[FormName, ...]] = ("openai_chat", "openai_responses", "gemini", "ollama_chat")
FORMS_THAT_DO_NOT: Final[tuple[FormName, ...]] = ("anthropic_messages", "bedrock_converse", "cohere_chat")
#: a streamed answer, where each piece of text comes with its tokens
STREAMED: Final[tuple[Delta, ...]] = (
    Start("m", "id-1", 1_700_000_000),
    Logprobs(HELLO[:1]),
    Text("Hel"),
    Logprobs(HELLO[1:]),
    Text("lo é"),
    Finish("stop", Usage(prompt_tokens=3, completion_tokens=2)),
)


def told_by(form: Form, chat: Chat) -> Any:
    return msgspec.json.decode(msgspec.json.encode(form.encode_response(chat)))


@pytest.mark.parametrize("form", FORMS_THAT_TELL)
def test_they_survive_every_form_that_tells_them(form: FormName) -> None:
    chat = Chat(model="m", parts=(Text("Hello é"),), reason="stop", logprobs=HELLO)

    body = told_by(FORMS[form], chat)

    assert FORMS[form].decode_response(msgspec.json.encode(body)).logprobs == HELLO
    assert unshown_in(chat, form) == ()


@pytest.mark.parametrize("form", FORMS_THAT_DO_NOT)
def test_a_form_without_them_says_that_they_are_missing(form: FormName) -> None:
    chat = Chat(model="m", parts=(Text("Hello"),), reason="stop", logprobs=HELLO)

    assert unshown_in(chat, form) == ("logprobs",)


def test_google_s_are_openai_s() -> None:
    chat = FORMS["gemini"].decode_response(recording("vertex/generate-logprobs-gemini-2.5-flash").content)

    (choice,) = told_by(FORMS["openai_chat"], chat)["choices"]

    (first,) = choice["logprobs"]["content"]
    assert (first["token"], first["bytes"]) == ("Hello", [72, 101, 108, 108, 111])
    assert first["logprob"] == pytest.approx(-6.7947026e-06)
    assert [other["token"] for other in first["top_logprobs"]] == ["Hello", '"']
    assert unshown_in(chat, "openai_chat") == ()


@pytest.mark.parametrize("odd", [b'{"tokens":["a"],"token_logprobs":[-1]}', b"[1]", b"7", b"null"])
def test_what_compatible_servers_tell_otherwise_spoils_no_answer(odd: bytes) -> None:
    body = b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop","logprobs":' + odd + b"}]}"

    assert FORMS["openai_chat"].decode_response(body).logprobs == ()


# Streams


def written(form: FormName, deltas: Iterable[Delta]) -> bytes:
    encoder = FORMS[form].stream_encoder(include_usage=True)
    return b"".join(map(encoder.encode, deltas))


def translated(stream: bytes, form: FormName, client: FormName) -> tuple[bytes, tuple[str, ...]]:
    """The stream for a client of another form, and what is told to be missing."""
    server = FORMS[form]
    passage = StreamTranslation(server, FORMS[client], Sent(b"", True, model="m"), "id-1", 0, keep_text=False)
    return passage.feed(stream, True), passage.unshown


@pytest.mark.parametrize("client", FORMS_THAT_TELL)
@pytest.mark.parametrize("form", FORMS_THAT_TELL)
def test_streams_tell_them_beside_the_text_that_they_are_of(form: FormName, client: FormName) -> None:
    stream, missing = translated(written(form, STREAMED), form, client)

    told = [delta for delta in deltas_of(FORMS[client], [stream]) if isinstance(delta, Text | Logprobs)]
    assert told == list(STREAMED[1:-1])
    assert missing == ()


@pytest.mark.parametrize("client", FORMS_THAT_DO_NOT)
@pytest.mark.parametrize("form", FORMS_THAT_TELL)
def test_streams_without_them_are_the_same_and_say_so(form: FormName, client: FormName) -> None:
    without = [delta for delta in STREAMED if not isinstance(delta, Logprobs)]

    stream, missing = translated(written(form, STREAMED), form, client)

    assert (stream, ()) == translated(written(form, without), form, client)
    assert missing == ("logprobs",)


@pytest.mark.parametrize("form", FORMS_THAT_TELL)
def test_an_answer_put_together_of_a_stream_has_them_all(form: FormName) -> None:
    whole = assembled(deltas_of(FORMS[form], [written(form, STREAMED)]))

    assert isinstance(whole, Chat)
    assert whole.logprobs == HELLO


@pytest.mark.parametrize("client", FORMS_THAT_TELL)
def test_those_of_no_text_come_with_the_end(client: FormName) -> None:
    last = Logprobs(HELLO[1:])

    whole = assembled(deltas_of(FORMS[client], [written(client, [*STREAMED[:3], last, STREAMED[-1]])]))

    assert isinstance(whole, Chat)
    # A response has them in its pieces of text alone.
    assert whole.logprobs == (HELLO[:1] if client == "openai_responses" else HELLO)


def test_a_piece_of_a_character_keeps_its_bytes() -> None:
    """As OpenAI streams a character of several tokens: the text comes when it is whole."""
    chunks: list[dict[str, Any]] = [
        {"delta": {"content": ""}, "logprobs": {"content": [token("\\xf0\\x9f", [0xF0, 0x9F])]}},
        {"delta": {"content": "🙂"}, "logprobs": {"content": [token("\\x99\\x82", [0x99, 0x82])]}},
        {"delta": {}, "logprobs": None, "finish_reason": "stop"},
    ]
    stream = b"".join(
        b"data: %b\n\n" % msgspec.json.encode({"model": "m", "choices": [{"index": 0, **chunk}]})
        for chunk in chunks
    )

    shown, _ = translated(stream + b"data: [DONE]\n\n", "openai_chat", "ollama_chat")

    first, *_ = map(msgspec.json.decode, shown.splitlines())
    assert first["message"]["content"] == "🙂"
    assert [one["bytes"] for one in first["logprobs"]] == [[0xF0, 0x9F], [0x99, 0x82]]


def token(text: str, data: list[int]) -> dict[str, Any]:
    return {"token": text, "logprob": -0.5, "bytes": data, "top_logprobs": []}


@pytest.mark.parametrize(
    ("include", "left"),
    [
        (["message.output_text.logprobs"], {}),
        (
            ["message.output_text.logprobs", "reasoning.encrypted_content"],
            {"include": ["reasoning.encrypted_content"]},
        ),
    ],
)
def test_clients_of_responses_ask_for_them_by_what_is_included(
    include: list[str], left: dict[str, Any]
) -> None:
    body = {"model": "m", "input": "hi", "include": include, "top_logprobs": 2}

    chat = carried(FORMS["openai_responses"].decode_request(msgspec.json.encode(body)))

    assert (chat.options.logprobs, chat.options.top_logprobs) == (True, 2)
    assert chat.extra == left
