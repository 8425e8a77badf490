"""Body framing: readers that turn a connection's bytes into a message's content.

A reader is fed what arrives. `feed` returns the content found in it; afterwards `done` says whether
the message is complete and `rest` holds the bytes that belong to the next one.
"""

import re
from typing import Final, Protocol

from tollhouse.errors import PeerError
from tollhouse.wire.http1 import CHUNKED, UNTIL_CLOSE

_LINE_LIMIT: Final = 4096
_TRAILER_LIMIT: Final = 16384
_CHAR: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_QUOTED: Final = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
# RFC 9112 7.1.1. Sixteen hex digits hold 2**64; fifteen are enough and cannot overflow anybody.
_SIZE_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[ \t]*"
    + _CHAR
    + rb"+(?:[ \t]*=[ \t]*(?:"
    + _CHAR
    + rb"+|"
    + _QUOTED
    + rb"))?)*"
)
_TRAILER: Final = re.compile(_CHAR + rb"+:[^\x00-\x08\x0a-\x1f\x7f]*")


class BodyReader(Protocol):
    """`feed(data)` returns content; `done` and `rest` then say where the message ended."""

    done: bool
    rest: bytes

    def feed(self, data: bytes) -> bytes: ...

    def eof(self) -> None:
        """The peer closed. Raises `PeerError` if the message was not complete."""


def body_reader(framing: int) -> BodyReader:
    """The reader for a head's `body` value."""
    if framing == CHUNKED:
        return ChunkedReader()
    return UntilCloseReader() if framing == UNTIL_CLOSE else LengthReader(framing)


class LengthReader:
    """A body of a declared number of bytes."""

    __slots__ = ("_missing", "done", "rest")

    def __init__(self, length: int) -> None:
        self._missing = length
        self.done = length == 0
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        if len(data) < self._missing:
            self._missing -= len(data)
            return data
        content = data[: self._missing]
        self.rest = data[self._missing :]
        self._missing = 0
        self.done = True
        return content

    def eof(self) -> None:
        if not self.done:
            raise PeerError(f"closed {self._missing} bytes before the end of the body")


class UntilCloseReader:
    """A response body that ends with the connection."""

    __slots__ = ("done", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        return data

    def eof(self) -> None:
        self.done = True


class ChunkedReader:
    """A chunked body (RFC 9112 7.1). Extensions and trailers are checked and dropped."""

    __slots__ = ("_buffer", "_in_trailers", "_missing", "_trailer_bytes", "done", "rest")

    def __init__(self) -> None:
        self._buffer = b""
        self._missing = 0  # bytes of the current chunk with its CRLF; 0 between chunks
        self._in_trailers = False
        self._trailer_bytes = 0
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        pieces: list[bytes] = []
        place = 0
        while not self.done:
            if self._missing:
                after = self._content(data, place, pieces)
            elif self._in_trailers:
                after = self._trailer(data, place)
            else:
                after = self._size(data, place)
            if after < 0:
                break
            place = after
        if self.done:
            self.rest = data[place:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _line_end(self, data: bytes, place: int) -> int:
        end = data.find(b"\r\n", place)
        if (len(data) if end < 0 else end) - place > _LINE_LIMIT:
            raise PeerError("a line in a chunked body is too long")
        if end < 0:
            waiting = data[place:]
            if b"\n" in waiting or b"\r" in waiting[:-1]:
                raise PeerError("malformed line in a chunked body")
            self._buffer = waiting
        return end

    def _size(self, data: bytes, place: int) -> int:
        end = self._line_end(data, place)
        if end < 0:
            return -1
        found = _SIZE_LINE.fullmatch(data, place, end)
        if found is None:
            raise PeerError("malformed chunk size")
        size = int(found[1], 16)
        if size:
            self._missing = size + 2
        else:
            self._in_trailers = True
        return end + 2

    def _content(self, data: bytes, place: int, pieces: list[bytes]) -> int:
        available = len(data) - place
        if available >= self._missing:
            end = place + self._missing
            if data[end - 2 : end] != b"\r\n":
                raise PeerError("chunk data not followed by CRLF")
            if self._missing > 2:
                pieces.append(data[place : end - 2])
            self._missing = 0
            return end
        content = min(available, self._missing - 2)
        if content > 0:
            pieces.append(data[place : place + content])
            self._missing -= content
        # What is left is at most one byte of the CRLF, judged when both are here.
        self._buffer = data[place + content :]
        if self._buffer and self._buffer != b"\r":
            raise PeerError("chunk data not followed by CRLF")
        return -1

    def _trailer(self, data: bytes, place: int) -> int:
        end = self._line_end(data, place)
        if end < 0:
            return -1
        self._trailer_bytes += end - place
        if end == place:
            self.done = True
        elif _TRAILER.fullmatch(data, place, end) is None or self._trailer_bytes > _TRAILER_LIMIT:
            raise PeerError("malformed trailer field")
        return end + 2

    def eof(self) -> None:
        if not self.done:
            raise PeerError("closed inside a chunked body")


def chunk(content: bytes) -> bytes:
    """One chunk on the wire; `content` must not be empty, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(content), content)


LAST_CHUNK: Final = b"0\r\n\r\n"
