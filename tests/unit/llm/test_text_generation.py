"""Servers that go on with a text: requests, whole answers, and streams that may be cut anywhere."""

from typing import Any

import pytest

from tollhouse.llm.chat import ChatRequest, Delta, Failed, Finish, Image, Message, Options, Start, Text
from tollhouse.llm.form import Refusal, Unreadable
from tollhouse.llm.formats.text_generation import HUGGING_FACE, LLAMA_RAW, TextGeneration
from tollhouse.pdk.usage import Usage

SYSTEM, ASKED = Message("system", (Text("be brief"),)), Message("user", (Text("1 + 1?"),))
SAID, AGAIN = Message("assistant", (Text("2"),)), Message("user", (Text("and 3?"),))


def request(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest(form="openai_chat", model="m", messages=messages, **more)


def test_a_conversation_is_written_as_llama_was_taught_it() -> None:
    chat = request(SYSTEM, ASKED, SAID, AGAIN, options=Options(max_tokens=5, top_k=3, stop=("x",)))

    assert LLAMA_RAW.encode_request(chat, []) == {
        "inputs": "<s>[INST] <<SYS>> be brief <</SYS>> 1 + 1? [/INST] 2 </s> <s>[INST] and 3? [/INST]",
        "parameters": {"max_new_tokens": 5, "top_k": 3, "stop": ("x",), "stream": False},
    }


def test_a_prompt_stays_as_it_is() -> None:
    ignored: list[str] = []
    chat = request(ASKED, stream=True, options=Options(presence_penalty=1), user="ann")

    sent = HUGGING_FACE.encode_request(chat, ignored)

    assert sent == {"inputs": "1 + 1?", "parameters": {}, "stream": True, "model": "m"}
    assert ignored == ["presence_penalty", "user"]


@pytest.mark.parametrize(
    "chat",
    [
        request(Message("user", (Image(url="http://a.test/b.png"),))),
        request(ASKED, options=Options(n=2)),
    ],
)
def test_what_is_more_than_a_text_is_refused(chat: ChatRequest) -> None:
    with pytest.raises(Refusal):
        LLAMA_RAW.encode_request(chat, [])


@pytest.mark.parametrize(
    ("form", "body", "text"),
    [
        (HUGGING_FACE, b'[{"generated_text": " a [/INST] b"}]', " a [/INST] b"),
        (HUGGING_FACE, b'{"generated_text": "a \\"data\\" b"}', 'a "data" b'),
        (LLAMA_RAW, b'{"data": [{"generated_text": "<s>[INST] 1? [/INST]\\n\\nTwo. "}]}', "Two."),
        (LLAMA_RAW, b'{"data": [{"generated_text": "Two."}]}', "Two."),
    ],
)
def test_a_whole_answer_is_what_follows_the_prompt(form: TextGeneration, body: bytes, text: str) -> None:
    assert form.decode_response(body).parts == (Text(text),)


def test_counts_and_the_reason_are_told_if_the_server_tells_them() -> None:
    details = b'{"finish_reason": "length", "generated_tokens": 2, "prefill": [{}, {}, {}]}'
    chat = HUGGING_FACE.decode_response(b'{"generated_text": "a", "details": %b}' % details)
    assert (chat.reason, chat.usage) == ("length", Usage(3, 2))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data": []}', b"<html>", b'{"generated_text": 5}'])
def test_what_is_no_answer_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable, match="generated_text"):
        HUGGING_FACE.decode_response(body)


STREAM = (
    b'data:{"token":{"text":"Tw","special":false},"generated_text":null,"details":null}\n\n'
    b'data:{"token":{"text":"o","special":false},"generated_text":null}\n\n'
    b'data:{"token":{"text":"</s>","special":true},"generated_text":"Two",'
    b'"details":{"finish_reason":"eos_token","generated_tokens":3}}\n\n'
)


def read(*pieces: bytes) -> list[Delta]:
    decoder = HUGGING_FACE.stream_decoder()
    return [delta for piece in pieces for delta in decoder.feed(piece)] + decoder.end()


@pytest.mark.parametrize("cut", range(0, len(STREAM), 7))
def test_where_a_stream_is_cut_changes_nothing(cut: int) -> None:
    assert read(STREAM[:cut], STREAM[cut:]) == [Start(""), Text("Tw"), Text("o"), Finish("stop", None)]


def test_a_stream_without_its_end_has_failed() -> None:
    assert isinstance(read(STREAM[:100])[-1], Failed)
    assert read(b'data:{"error":"overloaded"}\n\n') == [Failed("overloaded")]
