"""Streams of events, cut anywhere, in every dialect of line ends."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.errors import PeerError
from tollhouse.wire import sse
from tollhouse.wire.sse import SseEvent, SseReader

STREAM = (
    b": waiting\n\n"
    b"event: start\ndata: {}\n\n"
    b'data: {"text": "h\xc3\xa9"}\r\n\r\n'
    b"retry: 3000\n\n"
    b"data:one\rdata: two\r\r"
    b"data: [DONE]\n\n"
)


def read(*pieces: bytes) -> list[tuple[str, bytes | None]]:
    reader = SseReader()
    events = [event for piece in pieces for event in reader.feed(piece)] + reader.end()
    assert b"".join(event.raw for event in events) == b"".join(pieces)
    return [(event.name, event.data) for event in events]


@pytest.mark.parametrize(
    ("raw", "name", "data"),
    [
        (b"data: x\n\n", "", b"x"),
        (b"data:x\n\n", "", b"x"),
        (b"data:  x\n\n", "", b" x"),
        (b"data\n\n", "", b""),
        (b"data: \n\n", "", b""),
        (b"data: a\ndata: b\n\n", "", b"a\nb"),
        (b"data: a\r\ndata: b\r\n\r\n", "", b"a\nb"),
        (b"event: e\ndata: x\n\n", "e", b"x"),
        (b"event: e\nevent: f\ndata: x\n\n", "f", b"x"),
        (b"id: 7\ndata: x\n\n", "", b"x"),
        (b"\xef\xbb\xbfdata: x\n\n", "", b"x"),
        (b": only a comment\n\n", "", None),
        (b"retry: 10\n\n", "", None),
        (b"\n\n", "", None),
        (b"database: x\n\n", "", None),
        (b" data: x\n\n", "", None),
        (b"data: a\rb\n\n", "", b"a"),
        (b"data: no end", "", b"no end"),
    ],
)
def test_fields_of_a_block(raw: bytes, name: str, data: bytes | None) -> None:
    event = SseEvent(raw)

    assert (event.name, event.data, event.is_comment) == (name, data, data is None)


def test_a_stream_in_all_dialects_at_once() -> None:
    assert read(STREAM) == [
        ("", None),
        ("start", b"{}"),
        ("", b'{"text": "h\xc3\xa9"}'),
        ("", None),
        ("", b"one\ntwo"),
        ("", b"[DONE]"),
    ]


@pytest.mark.parametrize("cut", range(1, len(STREAM)))
def test_where_the_network_cuts_a_stream_changes_nothing(cut: int) -> None:
    assert read(STREAM[:cut], STREAM[cut:]) == read(STREAM)


@given(
    st.lists(st.sampled_from([b"data: x", b"data", b":", b"event: e", b"\n", b"\r", b"\r\n", b"\xff"])),
    st.lists(st.integers(0, 60)),
)
def test_no_byte_is_lost_or_told_twice(pieces: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pieces)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    parts = [stream[start:end] for start, end in pairwise(places)]

    assert read(*parts) == read(stream)


def test_an_event_is_given_out_with_its_last_byte() -> None:
    reader = SseReader()

    assert reader.feed(b"data: x\n") == []
    assert [event.data for event in reader.feed(b"\n")] == [b"x"]
    assert reader.end() == []


@pytest.mark.parametrize("piece", [b"data: ", b"data: \r"])
def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    monkeypatch.setattr(sse, "EVENT_LIMIT_BYTES", 100)
    reader = SseReader()
    reader.feed(piece)

    with pytest.raises(PeerError):
        reader.feed(b"x" * 100)
