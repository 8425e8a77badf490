"""Bodies: whatever way the network cuts them, the same content and the same end."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.errors import PeerError
from tollhouse.wire.body import LAST_CHUNK, BodyReader, body_reader, chunk
from tollhouse.wire.http1 import CHUNKED, UNTIL_CLOSE

SOME = b'5;a=b;c="d;\\"e"\r\nhello\r\n1\r\n \r\n0A\r\n0123456789\r\n000;x\r\nX-T: 1\r\nY: \t2\r\n\r\n'


def read(framing: int, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """Content and what is left for the next message."""
    reader = body_reader(framing)
    content = b""
    for place, piece in enumerate(pieces):
        content += reader.feed(piece)
        if reader.done:
            return content, reader.rest + b"".join(pieces[place + 1 :])
    reader.eof()
    return content, b""


def outcome(framing: int, pieces: list[bytes]) -> tuple[bytes, bytes] | str:
    try:
        return read(framing, pieces)
    except PeerError:
        return "refused"


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize("place", range(len(SOME) + 4))
def test_one_cut_anywhere_changes_nothing(place: int) -> None:
    data = SOME + b"GET "

    assert read(CHUNKED, [data[:place], data[place:]]) == (b"hello 0123456789", b"GET ")


def test_byte_by_byte_changes_nothing() -> None:
    assert read(CHUNKED, [bytes([byte]) for byte in SOME + b"GET "]) == (b"hello 0123456789", b"GET ")


@pytest.mark.parametrize(
    "body",
    [
        b"5 \r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhelloo\r\n0\r\n\r\n",
        b"5;\r\nhello\r\n0\r\n\r\n",
        b"5;a=\r\nhello\r\n0\r\n\r\n",
        b"5;a\x00\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b'5;a="b\r\nhello\r\n0\r\n\r\n',
        b"g\r\n\r\n0\r\n\r\n",
        b"-1\r\n\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\n",
        b"5_0\r\nhello\r\n0\r\n\r\n",
        b"0\r\n X: folded\r\n\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\nX: a\nb\r\n\r\n",
        b"5\r\r\nhello\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"0\r\nX: 1\r\r\n\r\n",
        b"5",
        b"5\r\nhel",
        b"0\r\n",
        b"",
        b"1;" + b"a" * 5000 + b"\r\nx\r\n0\r\n\r\n",
        b"0\r\nX: " + b"a" * 5000 + b"\r\n\r\n",
        b"0\r\n" + b"X: %b\r\n" % (b"a" * 1000) * 17 + b"\r\n",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_chunked_body_that_could_be_read_in_two_ways_is_refused(body: bytes) -> None:
    assert outcome(CHUNKED, [body]) == "refused"
    assert outcome(CHUNKED, [bytes([byte]) for byte in body]) == "refused"


@given(st.binary(max_size=80), st.lists(st.integers(0, 500), max_size=6))
def test_any_bytes_mean_the_same_however_they_are_cut(data: bytes, places: list[int]) -> None:
    assert outcome(CHUNKED, cut(data, places)) == outcome(CHUNKED, [data])


@given(
    st.lists(
        st.sampled_from([b"5", b"\r\n", b"hello", b";a", b"=b", b"0", b"X: y", b"\n", b"\r", b" "]),
        max_size=14,
    ),
    st.lists(st.integers(0, 500), max_size=6),
)
def test_nearly_chunked_bytes_mean_the_same_however_they_are_cut(
    parts: list[bytes], places: list[int]
) -> None:
    data = b"".join(parts)

    assert outcome(CHUNKED, cut(data, places)) == outcome(CHUNKED, [data])


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.lists(st.integers(0, 5000), max_size=10))
def test_what_is_chunked_is_read_back(pieces: list[bytes], places: list[int]) -> None:
    data = b"".join(map(chunk, pieces)) + LAST_CHUNK

    assert read(CHUNKED, cut(data + b"next", places)) == (b"".join(pieces), b"next")


@given(st.binary(max_size=200), st.binary(max_size=50), st.lists(st.integers(0, 5000), max_size=6))
def test_a_declared_length_is_kept_to(content: bytes, rest: bytes, places: list[int]) -> None:
    reader = body_reader(len(content))
    if not content:
        assert reader.done
        return

    assert read(len(content), cut(content + rest, places)) == (content, rest)


def test_a_body_until_close_ends_with_the_connection() -> None:
    reader: BodyReader = body_reader(UNTIL_CLOSE)

    assert reader.feed(b"a") + reader.feed(b"b") == b"ab"
    assert not reader.done
    reader.eof()
    assert reader.done


def test_a_short_body_is_noticed() -> None:
    reader = body_reader(3)
    reader.feed(b"ab")

    with pytest.raises(PeerError):
        reader.eof()
