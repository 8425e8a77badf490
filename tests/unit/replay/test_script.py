"""What is sent of a recorded answer, whole, cut in pieces and with faults."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.recordings import Recording, recording
from tests.support.streams import decoded

from tollhouse.llm.chat import Failed, Finish
from tollhouse.llm.dialogue import FORMS
from tollhouse.replay.script import FAULTS, Manner, script_of, sent_pieces

STREAMS = [
    recording("openai/chat-stream-include-usage-gpt-4o-mini"),
    recording("anthropic/messages-stream-parallel-tools-claude-3-5-sonnet-20240620"),
    recording("gemini/generate-stream-tool-result-gemini-2.5-flash"),
    recording("cohere/chat-stream-parallel-tools"),
]
streams = pytest.mark.parametrize("stored", STREAMS, ids=[stored.provider for stored in STREAMS])
WHOLE = recording("openai/chat-text-gpt-4o-mini")


@streams
@given(size=st.integers(1, 4000))
def test_a_split_changes_no_byte(stored: Recording, size: int) -> None:
    pieces = list(sent_pieces(script_of(stored, Manner(split_bytes=size))))

    assert b"".join(pieces) == stored.content
    assert max(map(len, pieces)) <= size


@streams
def test_pieces_are_those_that_were_recorded(stored: Recording) -> None:
    script = script_of(stored, Manner())

    assert tuple(sent_pieces(script)) == stored.chunks
    assert (script.status, script.chunked, script.ends) == (200, True, "whole")


@streams
@pytest.mark.parametrize("fault", ["cut", "stall"])
def test_half_of_an_answer(stored: Recording, fault: str) -> None:
    script = script_of(stored, Manner(fault=fault))  # type: ignore[arg-type]
    sent = b"".join(sent_pieces(script))

    assert script.ends == fault
    assert stored.content.startswith(sent)
    assert len(sent) == len(stored.content) // 2
    assert isinstance(decoded(FORMS[stored.form], sent)[-1], Failed)


def usage_in(stored: Recording, *pieces: bytes) -> tuple[int, int]:
    finish = next(d for d in decoded(FORMS[stored.form], *pieces) if isinstance(d, Finish))
    assert finish.usage is not None
    return finish.usage.prompt_tokens, finish.usage.completion_tokens


@streams
def test_usage_that_is_wrong(stored: Recording) -> None:
    script = script_of(stored, Manner(fault="wrong-usage"))

    assert usage_in(stored, *sent_pieces(script)) != usage_in(stored, *stored.chunks)


def test_wrong_usage_in_frames_that_are_right() -> None:
    stored = recording("bedrock/converse-stream-text-us.anthropic.claude-haiku-4-")

    script = script_of(stored, Manner(fault="wrong-usage"))

    assert usage_in(stored, *sent_pieces(script)) != usage_in(stored, *stored.chunks)


@streams
def test_a_garbled_event_leaves_the_others(stored: Recording) -> None:
    pieces = script_of(stored, Manner(fault="garble")).pieces

    changed = [i for i, (a, b) in enumerate(zip(pieces, stored.chunks, strict=True)) if a != b]
    assert changed == [len(stored.chunks) // 2]
    assert pieces[changed[0]].endswith((b"\n\n", b"\r\n\r\n"))


def test_a_slow_whole_answer_comes_in_pieces() -> None:
    script = script_of(WHOLE, Manner(fault="slow"))

    assert len(script.pieces) > 4
    assert b"".join(script.pieces) == WHOLE.content
    assert script.delay_seconds > 0


@pytest.mark.parametrize("stored", [WHOLE, *STREAMS], ids=["whole", *(s.provider for s in STREAMS)])
def test_too_many_requests_in_the_form_s_own_words(stored: Recording) -> None:
    script = script_of(stored, Manner(fault="429"))

    assert script.status == 429
    assert dict(script.headers)["retry-after"] == "1"
    problem = FORMS[stored.form].decode_error(429, script.pieces[0], {})
    assert problem.trouble == "rate_limit"


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_of_a_whole_answer(fault: str) -> None:
    script = script_of(WHOLE, Manner(fault=fault))  # type: ignore[arg-type]

    sent = b"".join(sent_pieces(script))
    if fault == "wrong-usage":
        assert msgspec.json.decode(sent)["usage"]["prompt_tokens"] == 127
    else:
        assert (sent == WHOLE.content) == (fault == "slow")
