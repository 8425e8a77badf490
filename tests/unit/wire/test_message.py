"""HTTP/1.1 messages taken apart for HTTP/2, and HTTP/2 requests written as HTTP/1.1."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.errors import BadRequest
from tollhouse.wire.message import Field, WrittenMessage, as_http1_request

ANSWER = (
    b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2\r\nde\r\n0\r\nGrpc-Status: 0\r\nx-more: a b\r\n\r\n"
)


def taken_apart(message: WrittenMessage, *pieces: bytes) -> tuple[list[bytes], list[Field], bytes]:
    lines, fields, content = [], [], b""
    for piece in pieces:
        heads, found = message.feed(piece)
        lines += [line for line, _ in heads]
        fields += [field for _, each in heads for field in each]
        content += found
    return lines, fields, content


@given(st.lists(st.integers(0, len(ANSWER)), max_size=6))
def test_where_an_answer_is_cut_changes_nothing(cuts: list[int]) -> None:
    message = WrittenMessage()
    places = [0, *sorted(cuts), len(ANSWER)]
    pieces = [ANSWER[start:end] for start, end in itertools.pairwise(places)]

    lines, fields, content = taken_apart(message, *pieces)

    assert lines == [b"HTTP/1.1 100 Continue", b"HTTP/1.1 200 OK"]
    assert fields == [(b"content-type", b"a/b")]
    assert (content, message.done) == (b"abcde", True)
    assert message.trailers == [(b"grpc-status", b"0"), (b"x-more", b"a b")]


@pytest.mark.parametrize(
    ("head", "options", "done"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", {}, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", {"without_body": True}, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", {}, False),
        (b"HTTP/1.1 200 OK\r\n\r\n", {}, False),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", {"is_request": True}, True),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n", {"is_request": True}, False),
    ],
)
def test_a_head_says_whether_content_follows(head: bytes, options: dict[str, bool], done: bool) -> None:
    message = WrittenMessage(**options)

    message.feed(head)

    assert message.done is done


def request_with(*fields: Field, path: bytes = b"/p?q", ended: bool = True) -> list[bytes]:
    pseudo = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a.test"), (b":path", path)]
    return as_http1_request([*pseudo, *fields], ended=ended).split(b"\r\n")


def test_a_request_is_written_as_http1_has_it() -> None:
    assert request_with((b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2"), ended=False) == [
        b"POST /p?q HTTP/1.1",
        b"host: a.test",
        b"x: y",
        b"cookie: a=1; b=2",
        b"transfer-encoding: chunked",
    ]


def test_a_declared_length_is_kept() -> None:
    assert request_with((b"content-length", b"3"), ended=False)[2:] == [b"content-length: 3"]


@pytest.mark.parametrize("value", [b"a\r\nevil: yes", b"a\nb", b"a\0b"])
def test_no_line_can_be_smuggled_in(value: bytes) -> None:
    with pytest.raises(BadRequest):
        request_with((b"x", value))


@pytest.mark.parametrize("path", [b"", b"a", b"http://other.test/", b"/a\r\nb"])
def test_a_path_begins_with_a_slash(path: bytes) -> None:
    with pytest.raises(BadRequest):
        request_with(path=path)
