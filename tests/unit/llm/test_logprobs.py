"""How likely tokens were, in each form that tells it, and who is told that it was left out."""

from typing import Any, Final

import msgspec
import pytest
from tests.support.recordings import recording

from tollhouse.llm.chat import Chat, Likely, Text
from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.form import Form
from tollhouse.llm.provider import FormName
from tollhouse.llm.unshown import unshown_in

HELLO: Final = (
    Likely("Hel", -0.5, (Likely("Hel", -0.5), Likely("Good", -1.5))),
    Likely("lo é", -0.25, (Likely("lo é", -0.25),)),
)
TELLING: Final[tuple[FormName, ...]] = ("openai_chat", "gemini", "ollama_chat")


def told_by(form: Form, chat: Chat) -> Any:
    return msgspec.json.decode(msgspec.json.encode(form.encode_response(chat)))


@pytest.mark.parametrize("form", TELLING)
def test_they_survive_every_form_that_tells_them(form: FormName) -> None:
    chat = Chat(model="m", parts=(Text("Hello é"),), reason="stop", logprobs=HELLO)

    body = told_by(FORMS[form], chat)

    assert FORMS[form].decode_response(msgspec.json.encode(body)).logprobs == HELLO
    assert unshown_in(chat, form) == ()


@pytest.mark.parametrize(
    "form", ["anthropic_messages", "bedrock_converse", "cohere_chat", "openai_responses"]
)
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
