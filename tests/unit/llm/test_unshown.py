"""Pages that an answer is from, and what a client's form has no place for."""

from typing import Final

import msgspec
import pytest
from tests.support.streams import decoded, encoded

from tollhouse.llm.chat import Chat, Citation, Delta, Finish, Image, OtherPart, Start, Text
from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.provider import FormName
from tollhouse.llm.unshown import CITING, unshown_in

PAGE: Final = Citation("https://example.org/a", "A page")
CITED: Final = Chat(model="m", id="x", created=1, parts=(Text("Said. "), PAGE, Text("More.")), reason="stop")
CITING_FORMS: Final[list[FormName]] = sorted(CITING)


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

    assert unshown_in(chat, "openai_chat") == ("server_tool_use", "image", "citations")
    assert unshown_in(chat, "gemini") == ("server_tool_use", "citations")
    assert unshown_in(CITED, "openai_chat") == ()
    assert unshown_in(CITED, "cohere_chat") == ("citations",)
