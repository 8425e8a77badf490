"""Pages that an answer is from, pictures in it, and what a client's form has no place for."""

from base64 import b64encode
from dataclasses import replace
from typing import Any, Final

import msgspec
import pytest
from tests.support.streams import decoded, encoded

from tollhouse.llm.chat import Chat, Citation, Delta, Finish, Image, OtherPart, Start, Text, Unshown
from tollhouse.llm.dialogue import FORMS, Sent
from tollhouse.llm.formats.bedrock_converse.eventstream import event
from tollhouse.llm.provider import FormName
from tollhouse.llm.translation import StreamTranslation
from tollhouse.llm.unshown import unshown_in

PAGE: Final = Citation("https://example.org/a", "A page")
CITED: Final = Chat(model="m", id="x", created=1, parts=(Text("Said. "), PAGE, Text("More.")), reason="stop")
CITING_FORMS: Final[tuple[FormName, ...]] = (
    "openai_chat",
    "openai_responses",
    "anthropic_messages",
    "gemini",
)
PICTURING_FORMS: Final[tuple[FormName, ...]] = (
    "openai_chat",
    "openai_responses",
    "gemini",
    "bedrock_converse",
    "ollama_chat",
)
#: what is there of a picture is only its beginning
PICTURE: Final = Image(data=b64encode(b"\x89PNG\r\n\x1a\n").decode(), media_type="image/png")
DRAWN: Final = Chat(model="m", id="x", created=1, parts=(Text("Here: "), PICTURE, PICTURE), reason="stop")
LINKED: Final = Chat(model="m", parts=(Image(url="https://example.org/a.png"),), reason="stop")


@pytest.mark.parametrize("name", CITING_FORMS)
def test_pages_survive_whole_answers(name: FormName) -> None:
    form = FORMS[name]
    read = form.decode_response(msgspec.json.encode(form.encode_response(CITED)))

    assert "".join(part.text for part in read.parts if isinstance(part, Text)) == "Said. More."
    assert [part for part in read.parts if isinstance(part, Citation)] == [PAGE]


@pytest.mark.parametrize("name", CITING_FORMS)
def test_pages_survive_streams(name: FormName) -> None:
    deltas: list[Delta] = [Start("m", "x", 1), Text("Said. "), PAGE, Text("More."), Finish("stop")]
    read = decoded(FORMS[name], encoded(FORMS[name], *deltas))

    assert "".join(delta.text for delta in read if isinstance(delta, Text)) == "Said. More."
    assert [delta for delta in read if isinstance(delta, Citation)] == [PAGE]
    assert isinstance(read[-1], Finish)


@pytest.mark.parametrize("name", PICTURING_FORMS)
def test_pictures_survive_whole_answers(name: FormName) -> None:
    form = FORMS[name]
    read = form.decode_response(msgspec.json.encode(form.encode_response(DRAWN)))

    assert read.parts == DRAWN.parts
    assert unshown_in(DRAWN, name) == ()


@pytest.mark.parametrize("name", PICTURING_FORMS)
def test_pictures_survive_streams(name: FormName) -> None:
    deltas: list[Delta] = [Start("m", "x", 1), Text("Here: "), PICTURE, PICTURE, Finish("stop")]
    read = decoded(FORMS[name], encoded(FORMS[name], *deltas))

    assert [delta for delta in read if isinstance(delta, Text | Image)] == deltas[1:-1]
    assert isinstance(read[-1], Finish)


@pytest.mark.parametrize("client", ["anthropic_messages", "cohere_chat"])
def test_a_form_without_pictures_says_that_they_are_missing(client: FormName) -> None:
    deltas: list[Delta] = [Start("m", "x", 1), Text("Here: "), PICTURE, Finish("stop")]
    stream = StreamTranslation(FORMS["gemini"], FORMS[client], Sent(b"", model="m"), "x", 1, keep_text=False)

    shown = stream.feed(encoded(FORMS["gemini"], *deltas), True)

    assert shown == encoded(FORMS[client], *(delta for delta in deltas if delta is not PICTURE))
    assert stream.unshown == unshown_in(DRAWN, client) == ("image",)


def test_a_picture_of_a_kind_that_bedrock_does_not_know_is_named() -> None:
    drawn = Image(data=PICTURE.data, media_type="image/svg+xml")

    assert unshown_in(replace(DRAWN, parts=(drawn,)), "bedrock_converse") == ("image",)
    assert unshown_in(replace(DRAWN, parts=(drawn,)), "gemini") == ()
    assert encoded(FORMS["bedrock_converse"], drawn) == b""


def test_sound_of_google_is_no_picture() -> None:
    sound = {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "AAAA"}}
    answer = {"candidates": [{"content": {"parts": [sound]}, "finishReason": "STOP"}]}
    form = FORMS["gemini"]

    chat = form.decode_response(msgspec.json.encode(answer))
    read = decoded(form, b"data: %b\r\n\r\n" % msgspec.json.encode(answer))

    assert unshown_in(chat, "openai_chat") == ("inlineData",)
    assert form.encode_response(chat)["candidates"][0]["content"]["parts"] == [sound]
    assert Unshown("inlineData") in read


@pytest.mark.parametrize("odd", [["https://example.org/a.png"], [{}], "a", {"a": 1}])
def test_pictures_in_another_shape_spoil_no_answer(odd: Any) -> None:
    message = {"content": "Here.", "images": odd}
    body = {"model": "m", "choices": [{"message": message, "finish_reason": "stop"}]}

    assert FORMS["openai_chat"].decode_response(msgspec.json.encode(body)).parts[0] == Text("Here.")


def test_a_picture_that_is_elsewhere_is_linked_where_that_can_be() -> None:
    form = FORMS["openai_chat"]

    assert form.decode_response(msgspec.json.encode(form.encode_response(LINKED))).parts == LINKED.parts
    assert unshown_in(LINKED, "openai_chat") == ()
    assert unshown_in(LINKED, "gemini") == ("image",)
    assert encoded(FORMS["ollama_chat"], Start("m"), *LINKED.parts) == b""  # type: ignore[arg-type]


def test_a_picture_of_bedrock_comes_in_pieces_that_are_encoded_one_by_one() -> None:
    pieces = [b"\x89PNG", b"\r\n\x1a\n"]
    events = [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {"image": {"format": "png"}}}),
        *(
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"image": {"source": {"bytes": piece}}}})
            for piece in pieces
        ),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"image": {"source": {"bytes": "?"}}}}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}}),
    ]
    decoder = FORMS["bedrock_converse"].stream_decoder()

    read = decoder.feed(b"".join(event(kind, msgspec.json.encode(body)) for kind, body in events))

    assert [delta for delta in read if isinstance(delta, Image)] == [PICTURE]
    assert decoder.skipped == 1  # what is no base64


def test_openai_is_told_which_text_is_from_a_page() -> None:
    told = FORMS["openai_chat"].encode_response(CITED)["choices"][0]["message"]["annotations"]

    assert told == [
        {
            "type": "url_citation",
            "url_citation": {"url": PAGE.url, "title": PAGE.title, "start_index": 0, "end_index": 6},
        }
    ]


def test_what_has_no_place_is_named() -> None:
    of_document = {"type": "char_location", "cited_text": "Said."}
    chat = Chat(
        model="m",
        parts=(
            OtherPart("server_tool_use", {}),
            OtherPart("server_tool_use", {}),
            Image(data="aGk=", media_type="image/png"),
            Text("Said.", {"citations": [of_document]}),
            PAGE,
        ),
        reason="stop",
    )

    assert unshown_in(chat, "openai_chat") == ("server_tool_use", "citations")
    assert unshown_in(chat, "anthropic_messages") == ("server_tool_use", "image", "citations")
    assert unshown_in(chat, "gemini") == ("server_tool_use", "citations")
    assert unshown_in(CITED, "openai_chat") == ()
    assert unshown_in(CITED, "cohere_chat") == ("citations",)
