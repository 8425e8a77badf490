"""How answers are compared, whole and streamed."""

import pytest
from tests.support.recordings import Recording, recordings

from tollhouse.llm.chat import (
    Delta,
    Failed,
    Finish,
    Start,
    Text,
    Thinking,
    ToolArguments,
    ToolCall,
    ToolStart,
)
from tollhouse.llm.conformity import (
    CASES,
    FORM_NAMES,
    Said,
    assembled,
    deltas_of,
    difference,
    request_of,
    said_streamed,
    through,
)
from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.provider import FormName
from tollhouse.pdk.usage import Usage

STREAMS = [stored for stored in recordings() if stored.streamed and stored.status == 200]
DELTAS: list[Delta] = [
    Start("m", "id"),
    Thinking("hm"),
    Thinking("", "sig"),
    Text("a"),
    ToolStart(0, "1", "f"),
    ToolStart(1, "2", "g"),
    ToolArguments(1, '{"b":'),
    ToolArguments(0, "{}"),
    ToolArguments(1, "1}"),
    Text("b"),
    Finish("tool_calls", Usage(3, 4)),
]


@pytest.mark.parametrize("form", FORM_NAMES)
@pytest.mark.parametrize("stored", STREAMS, ids=[stored.name for stored in STREAMS])
def test_recorded_streams_are_in_every_form_what_they_are_whole(stored: Recording, form: FormName) -> None:
    deltas = deltas_of(FORMS[stored.form], stored.chunks)

    if said_streamed(deltas).failed:
        assert "stream failed" in through(FORMS[form], deltas)
    else:
        assert through(FORMS[form], deltas) == ""


@pytest.mark.parametrize("form", FORM_NAMES)
@pytest.mark.parametrize("case", CASES)
def test_every_case_can_be_asked_in_every_form(case: str, form: FormName) -> None:
    for stream in (False, True):
        body = FORMS[form].encode_request(request_of(case, "m", stream=stream), [])  # type: ignore[arg-type]
        assert body


def test_parts_stand_in_the_order_in_which_they_began() -> None:
    chat = assembled(DELTAS)

    assert not isinstance(chat, Failed)
    assert chat.parts == (
        Thinking("hm", "sig"),
        Text("a"),
        ToolCall("1", "f", "{}"),
        ToolCall("2", "g", '{"b":1}'),
        Text("b"),
    )
    assert said_streamed(DELTAS).case == "thinking and tool"
    assert said_streamed(DELTAS[:-1]).failed == "the stream has no end"
    assert said_streamed([*DELTAS[:-1], Failed("gone")]).failed == "gone"


@pytest.mark.parametrize(
    ("streamed", "told"),
    [
        (Said("a", reason="stop", tokens=(1, 2)), ""),
        (Said("b", reason="stop", tokens=(1, 2)), "text"),
        (Said("a", "t", reason="stop", tokens=(1, 2)), "thinking"),
        (Said("a", calls=(("f", {}),), reason="stop", tokens=(1, 2)), "calls"),
        (Said("a", reason="length", tokens=(1, 2)), "reason"),
        (Said("a", reason="stop"), "usage"),
        (Said(failed="cut"), "the stream failed: cut"),
    ],
)
def test_what_differs_is_named(streamed: Said, told: str) -> None:
    whole = Said("a", reason="stop", tokens=(1, 2))

    assert difference(whole, streamed).startswith(told)
    assert bool(difference(whole, streamed)) == bool(told)


def test_other_words_of_the_same_kind() -> None:
    one = Said("a", calls=(("f", 1), ("g", 2)), reason="tool_calls", tokens=(1, 2))
    other = Said("", "hm", (("g", 3), ("f", 4), ("f", 5)), "tool_calls", (5, 6))

    assert difference(one, other, same_words=False) == ""
    assert difference(one, Said("b", reason="tool_calls"), same_words=False).startswith("calls")
