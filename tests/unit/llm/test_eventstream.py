"""Frames of Amazon's event streams, beside botocore's reader."""

import importlib
import struct
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.recordings import Recording, recordings

from tollhouse.errors import PeerError
from tollhouse.llm.formats.bedrock_converse import eventstream
from tollhouse.llm.formats.bedrock_converse.eventstream import Frame, FrameReader, event, exception, frame

STREAMS = recordings("converse-stream")


def read(*pieces: bytes) -> list[Frame]:
    reader = FrameReader()
    frames = [found for piece in pieces for found in reader.feed(piece)]
    assert reader.is_between_frames
    return frames


@pytest.mark.parametrize("stored", STREAMS, ids=lambda stored: stored.name)
def test_recorded_frames_are_read_as_botocore_reads_them_and_written_as_they_came(stored: Recording) -> None:
    theirs = importlib.import_module("botocore.eventstream").EventStreamBuffer()
    theirs.add_data(stored.content)

    frames = read(*stored.chunks)

    assert frames == [Frame(found.headers, found.payload) for found in theirs]
    assert [frame(*found) for found in frames] == list(stored.chunks)


HEADERS = st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=40), max_size=4)
FRAMES = st.lists(st.tuples(HEADERS, st.binary(max_size=60)), min_size=1, max_size=5)


@given(frames=FRAMES, data=st.data())
def test_where_the_network_cuts_frames_changes_nothing(
    frames: list[tuple[dict[str, str], bytes]], data: Any
) -> None:
    content = b"".join(frame(*one) for one in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=6)))

    pieces = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]

    assert read(*pieces) == [Frame(*one) for one in frames]
    assert read(*(content[at : at + 1] for at in range(len(content)))) == read(content)


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_damaged_frame_is_never_taken_for_a_whole_one(at: int, bit: int) -> None:
    first, second = event("a", b'{"text":"hello"}'), event("b", b"{}")
    content = bytearray(first + second)
    content[at % len(content)] ^= 1 << bit
    reader = FrameReader()
    found: list[Frame] = []

    try:
        found += reader.feed(bytes(content))
    except PeerError:
        pass
    else:
        assert not reader.is_between_frames  # a length grew, and the frame waits for its end

    assert found == ([] if at % len(content) < len(first) else read(first))


@pytest.mark.parametrize(
    "content",
    [
        b"HTTP/1.1 502 Bad Gateway\r\n",
        b'{"message":"no stream"}',
        bytes(16),
        struct.pack(">III", 12, 0, crc32(struct.pack(">II", 12, 0))) + bytes(4),
        struct.pack(">III", 2**31, 0, crc32(struct.pack(">II", 2**31, 0))),
        struct.pack(">III", 2**20, 2**19, crc32(struct.pack(">II", 2**20, 2**19))),
    ],
)
def test_what_is_no_frame_is_refused(content: bytes) -> None:
    with pytest.raises(PeerError):
        list(FrameReader().feed(content))


def raw_frame(headers: bytes) -> bytes:
    lengths = struct.pack(">II", 16 + len(headers), len(headers))
    message = lengths + struct.pack(">I", crc32(lengths)) + headers
    return message + struct.pack(">I", crc32(message))


def test_headers_of_other_types_are_passed_over() -> None:
    others = b"".join(
        b"\x01x" + bytes([kind]) + value
        for kind, value in [
            (0, b""),
            (1, b""),
            (2, b"1"),
            (3, b"12"),
            (4, b"1234"),
            (5, b"12345678"),
            (6, b"\x00\x02ab"),
            (8, b"12345678"),
            (9, b"0123456789abcdef"),
        ]
    )

    assert read(raw_frame(others + b"\x01y\x07\x00\x02hi")) == [Frame({"y": "hi"}, b"")]


@pytest.mark.parametrize(
    "headers", [b"\x05ab", b"\x01y\x07\x00\x09hi", b"\x01y\x07\x00\x01\xff", b"\x01y\x07"]
)
def test_headers_that_cannot_be_read_are_refused(headers: bytes) -> None:
    with pytest.raises(PeerError, match="headers"):
        list(FrameReader().feed(raw_frame(headers)))


def test_frames_before_a_broken_one_are_given_first() -> None:
    frames = FrameReader().feed(event("a", b"{}") + bytes(12))

    assert next(frames).headers[":event-type"] == "a"
    with pytest.raises(PeerError):
        next(frames)


def test_strange_headers_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventstream, "_KNOWN_AT_MOST", 2)

    frames = read(*(frame({"n": str(number)}, b"") for number in range(5)))

    assert [found.headers["n"] for found in frames] == ["0", "1", "2", "3", "4"]


def test_events_and_exceptions_are_named_as_amazon_names_them() -> None:
    assert read(event("metadata", b"{}"), exception("throttlingException", b"{}")) == [
        Frame(
            {":event-type": "metadata", ":content-type": "application/json", ":message-type": "event"}, b"{}"
        ),
        Frame(
            {
                ":exception-type": "throttlingException",
                ":content-type": "application/json",
                ":message-type": "exception",
            },
            b"{}",
        ),
    ]
