"""Takes messages apart that are written as HTTP/1.1, for a protocol that frames them in another way."""

from collections.abc import Iterable
from typing import Final

from tollhouse.errors import BadRequest
from tollhouse.wire.body import BodyReader, ChunkedReader, LengthReader, UntilCloseReader

#: lower-case name and value
Field = tuple[bytes, bytes]
#: a start line and its fields, hop-by-hop ones left out
Head = tuple[bytes, list[Field]]

_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
#: RFC 9110 6.5.1: what frames, routes, authenticates or describes a message stands before its content. So
#: does what upstreams believe because it is the gateway that says it.
_NOT_IN_TRAILERS: Final = _HOP_BY_HOP | frozenset(
    {
        b"host", b"te", b"trailer", b"content-length", b"content-type", b"content-encoding", b"content-range",
        b"authorization", b"proxy-authorization", b"cookie", b"cache-control", b"expect", b"max-forwards",
        b"via", b"forwarded", b"x-real-ip", b"x-anonymous-consumer",
    }
)  # fmt: skip
_NOT_IN_TRAILERS_PREFIXES: Final = (b":", b"x-forwarded-", b"x-consumer-", b"x-credential-", b"x-kong-")
_WITHOUT_BODY: Final = frozenset({b"204", b"304"})


class WrittenMessage:
    """One message that the flow writes: interim answers, head, content, trailers.

    `without_body` is for answers to HEAD, which announce a body that does not come.
    """

    __slots__ = ("_buffer", "_is_request", "_reader", "_without_body", "done")

    def __init__(self, *, is_request: bool = False, without_body: bool = False) -> None:
        self._buffer = b""
        self._reader: BodyReader | None = None
        self._is_request = is_request
        self._without_body = without_body
        self.done = False

    def feed(self, data: bytes) -> tuple[list[Head], bytes]:
        """Heads that are complete with these bytes, and the content in them."""
        heads: list[Head] = []
        data = self._buffer + data
        while self._reader is None:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return heads, b""
            heads.append(self._head(data[:end]))
            data = data[end + 4 :]
        self._buffer = b""
        content = self._reader.feed(data)
        self.done = self._reader.done
        return heads, content

    @property
    def trailers(self) -> list[Field]:
        """The fields after the content; known when `done`."""
        return self._reader.trailers if isinstance(self._reader, _Chunked) else []

    def _head(self, text: bytes) -> Head:
        line, *lines = text.split(b"\r\n")
        fields = list(map(_field, lines))
        status = line.split(b" ", 2)[1]
        if self._is_request or not status.startswith(b"1"):
            self._reader = self._reader_of(status, fields)
        return line, [field for field in fields if field[0] not in _HOP_BY_HOP]

    def _reader_of(self, status: bytes, fields: Iterable[Field]) -> BodyReader:
        values = dict(fields)
        if self._without_body or status in _WITHOUT_BODY:
            return LengthReader(0)
        if b"transfer-encoding" in values:
            return _Chunked()
        if b"content-length" in values:
            return LengthReader(int(values[b"content-length"]))
        return LengthReader(0) if self._is_request else UntilCloseReader()


class _Chunked(ChunkedReader):
    """Keeps the trailers."""

    __slots__ = ("trailers",)

    def __init__(self) -> None:
        super().__init__()
        self.trailers: list[Field] = []

    def _trailer(self, data: bytes, place: int) -> int:
        after = super()._trailer(data, place)
        if after > place + 2:
            self.trailers.append(_field(data[place : after - 2]))
        return after


def _field(line: bytes) -> Field:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip(b" \t")


class FramedReader:
    """The reader of a body whose end is told by others."""

    __slots__ = ("done", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        return data

    def eof(self) -> None:
        self.done = True


def request_trailers(fields: Iterable[Field]) -> list[Field]:
    """Those of a client's trailers that a target may get."""
    return [
        (name, value)
        for name, value in fields
        if name not in _NOT_IN_TRAILERS and not name.startswith(_NOT_IN_TRAILERS_PREFIXES)
    ]


def as_http1_request(fields: Iterable[Field], *, ended: bool) -> bytes:
    """A request's fields as they come in HTTP/2 (RFC 9113 8.3), written as the head of an HTTP/1.1 request
    without its final empty line. It has the same rules to pass then. Raises `BadRequest`."""
    pseudo: dict[bytes, bytes] = {}
    lines: list[bytes] = []
    cookies: list[bytes] = []
    has_length = False
    host = b""
    for name, value in fields:
        if b"\r" in value or b"\n" in value or b"\0" in value or b"\n" in name or b"\r" in name:
            raise BadRequest("a control character in a header field")
        if name.startswith(b":"):
            pseudo[name] = value
        elif name == b"host":
            host = value
        elif name == b"cookie":
            cookies.append(value)  # RFC 9113 8.2.3: may be split, HTTP/1.1 has it in one field
        else:
            has_length |= name == b"content-length"
            lines.append(b"%b: %b" % (name, value))
    path = pseudo.get(b":path", b"")
    if not path.startswith(b"/") and path != b"*":
        raise BadRequest("the path does not begin with /")
    if cookies:
        lines.append(b"cookie: " + b"; ".join(cookies))
    if not ended and not has_length:
        lines.append(b"transfer-encoding: chunked")
    host = pseudo.get(b":authority") or host
    return b"\r\n".join((b"%b %b HTTP/1.1" % (pseudo.get(b":method", b""), path), b"host: " + host, *lines))
