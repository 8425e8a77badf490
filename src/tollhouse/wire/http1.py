"""HTTP/1.1 message heads and body framing (RFC 9112), sans-I/O and strict.

The same client and the same upstream repeat themselves: nearly every line of a head was seen before,
and often all of its fields together. So each distinct line, and each distinct set of lines, is checked
and taken apart once and then remembered, within bounds. That makes a head cheaper than the callbacks
of a C parser would be (docs/decisions/0002) and lets us be stricter than nginx where two readings of a
message could be played against each other.
"""

import re
from typing import Final, Generic, TypeVar

from tollhouse.errors import BadRequest, PeerError
from tollhouse.wire.headers import NO_FIELDS, FieldBlock, Headers
from tollhouse.wire.uri import Target

#: What is longer is parsed each time, so that remembering is bounded in bytes too.
MEMO_LINE_BYTES: Final = 256
MEMO_BLOCK_BYTES: Final = 2048
MEMO_LINES: Final = 4096
MEMO_BLOCKS: Final = 512
#: field lines of one request; nginx's own bound
MOST_FIELDS: Final = 1000

V = TypeVar("V")

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE: Final = re.compile(rb"(" + _TOKEN + rb") ([!-\"$-~\x80-\xff]+) HTTP/(\d)\.(\d)")
#: Old servers say HTTP/0.9, camera servers RTSP/1.0; what follows is the same, but for persistence.
_STATUS_LINE: Final = re.compile(rb"(?:HTTP|RTSP)/(0\.9|1\.\d) (\d{3})(?: [\t \x21-\x7e\x80-\xff]*)?")
_FIELD: Final = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_NON_ASCII: Final = re.compile(r"[\x80-\xff]")
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]*)(?::\d*)?")
_LENGTH: Final = re.compile(r"\d{1,18}")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")

#: Some readers take `Content_Length` for `Content-Length` (CGI's naming); such a twin is never passed on.
_FRAMING_TWINS: Final = frozenset({"content_length", "transfer_encoding", "host_", "_host"})
_DROPPED: Final = ("", "")

KEEP_ALIVE: Final = "keep-alive"
NO_BODY: Final = 0
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2


class _FieldMemo(dict[bytes, tuple[str, str]]):
    """Field line → (lower-case name, value). A line that is not a field raises."""

    def __init__(self) -> None:
        super().__init__()
        #: name as it was written → in lower case; empty if such fields are dropped
        self._names: dict[bytes, str] = {}

    def __missing__(self, line: bytes) -> tuple[str, str]:
        field = self._parsed(line)
        if len(line) <= MEMO_LINE_BYTES:
            _remember(self, line, field, MEMO_LINES)
        return field

    def block(self, text: bytes) -> FieldBlock:
        """The block of these field lines, which are joined by CRLF."""
        if not text:
            return NO_FIELDS
        lines = text.split(b"\r\n")
        fields = list(map(self.__getitem__, lines))
        if _DROPPED in fields:
            lines = [line for line, field in zip(lines, fields, strict=True) if field is not _DROPPED]
            fields = [field for field in fields if field is not _DROPPED]
        return FieldBlock(lines, fields)

    def _parsed(self, line: bytes) -> tuple[str, str]:
        found = _FIELD.fullmatch(line)
        if found is None:
            raise PeerError(_what_is_wrong(line))
        written, value = found.groups()
        name = self._names.get(written)
        if name is None:
            name = _name_of(written)
            if len(written) <= MEMO_LINE_BYTES:
                _remember(self._names, written, name, MEMO_LINES)
        if not name:
            return _DROPPED
        text = value.rstrip(b" \t").decode("latin-1")
        if name == "host" and _HOST.fullmatch(text) is None:
            raise PeerError("invalid Host header")
        return name, text


def _remember(memo: dict[bytes, V], key: bytes, value: V, most: int) -> None:
    if len(memo) >= most:
        memo.clear()
    memo[key] = value


def _name_of(written: bytes) -> str:
    name = written.decode("ascii").lower()
    return "" if "." in name or name in _FRAMING_TWINS else name


def _what_is_wrong(line: bytes) -> str:
    if line[:1] in (b" ", b"\t"):
        return "a folded header line"
    if b"\n" in line or b"\r" in line:
        return "a bare CR or LF in a header line"
    name, colon, _ = line.partition(b":")
    if not colon:
        return "a header line without a colon"
    return (
        "a header name that is not a token" if re.fullmatch(_TOKEN, name) is None else "a control character"
    )


class RequestHead:
    """A request line and its fields, framing decided.

    `body` is the declared length in bytes, 0 without a body, or `CHUNKED`.
    """

    __slots__ = (
        "body",
        "expects_continue",
        "framing",
        "head_bytes",
        "headers",
        "keep_alive",
        "method",
        "minor",
        "target",
    )

    #: bytes of the head on the wire
    head_bytes: int
    method: str
    target: Target
    minor: int
    headers: Headers
    body: int
    #: the framing field for sending the body on, with CRLF; empty without a body
    framing: str
    keep_alive: bool
    expects_continue: bool


H = TypeVar("H", bound=RequestHead)


class _RequestFields:
    """What a block of request fields means, decided once."""

    __slots__ = ("block", "body", "expects_continue", "framing", "keep_alive")

    def __init__(self, block: FieldBlock, minor: int) -> None:
        if len(block.lines) > MOST_FIELDS:
            raise BadRequest("too many header fields", 494)
        self.block = block
        length = _plain_length(block)
        if length is not None and minor and "host" in block.values:
            self.body = max(length, NO_BODY)
            self.keep_alive = True
        else:
            headers = Headers.of(block)
            _check_host(headers, minor)
            self.body = _request_framing(headers, minor)
            self.keep_alive = _persists(headers, minor)
        self.framing = framing_field(self.body) if self.body or "content-length" in block.values else ""
        # RFC 9110 10.1.1: an expectation from a 1.0 client is ignored.
        expect = block.values.get("expect", "") if minor else ""
        self.expects_continue = expect.lower() == "100-continue"


class RequestReader(Generic[H]):
    """Reads request heads into objects of type `head`. One per worker, for it remembers."""

    def __init__(self, head: type[H]) -> None:
        self._new = head
        self._fields = _FieldMemo()
        self._blocks: tuple[dict[bytes, _RequestFields], ...] = ({}, {})
        self._starts: dict[bytes, tuple[str, Target, int]] = {}

    def read(self, text: bytes) -> H:
        """`text` is the head without its final empty line. Raises `BadRequest`."""
        line, _, fields = text.partition(b"\r\n")
        head = self._new()
        head.method, head.target, minor = self._starts.get(line) or self._start(line)
        known = self._blocks[minor].get(fields) or self._block(fields, minor)
        head.minor = minor
        head.head_bytes = len(text) + 4
        block = known.block
        head.headers = Headers(block, block.values)
        head.body = known.body
        head.framing = known.framing
        head.keep_alive = known.keep_alive
        head.expects_continue = known.expects_continue
        return head

    def _block(self, text: bytes, minor: int) -> _RequestFields:
        try:
            fields = _RequestFields(self._fields.block(text), minor)
        except BadRequest:
            raise
        except PeerError as error:
            raise BadRequest(str(error)) from None
        if len(text) <= MEMO_BLOCK_BYTES:
            _remember(self._blocks[minor], text, fields, MEMO_BLOCKS)
        return fields

    def _start(self, line: bytes) -> tuple[str, Target, int]:
        found = _REQUEST_LINE.fullmatch(line)
        if found is None:
            raise BadRequest("malformed request line")
        if found[3] != b"1":
            raise BadRequest("unsupported HTTP version", 505)
        method = found[1].decode("ascii")
        raw = found[2].decode("latin-1")
        minor = 1 if found[4] != b"0" else 0
        if method == "CONNECT":
            raise BadRequest("CONNECT is not offered")
        if method == "TRACE":
            raise BadRequest("TRACE is not offered", 405)
        if raw == "*" and method != "OPTIONS":
            raise BadRequest("the target * is for OPTIONS only")
        if _NON_ASCII.search(raw):
            _check_utf8(found[2], minor)
        parsed = (method, Target(raw), minor)
        if len(line) <= MEMO_LINE_BYTES:
            _remember(self._starts, line, parsed, MEMO_LINES)
        return parsed


def _check_host(headers: Headers, minor: int) -> None:
    if "host" not in headers.values:
        # RFC 9112 3.2: required of every 1.1 request.
        if minor:
            raise BadRequest("the Host header is missing")
    elif headers.has_repeats and len(headers.get_all("host")) > 1:
        raise BadRequest("more than one Host header")


def _check_utf8(raw: bytes, minor: int) -> None:
    # RFC 3986 has no such bytes. Kong's clients send raw UTF-8 in HTTP/1.1, so that much passes.
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("the request target holds bytes that are not UTF-8") from None
    if not minor:
        raise BadRequest("the request target holds non-ASCII bytes")


def _request_framing(headers: Headers, minor: int) -> int:
    values = headers.values
    if "content-length" not in values and "transfer-encoding" not in values:
        return NO_BODY
    if "transfer-encoding" in values:
        # RFC 9112 6.1: both length fields may be smuggling; a 1.0 message cannot be chunked.
        if "content-length" in values:
            raise BadRequest("both Content-Length and Transfer-Encoding")
        coding = (headers.joined("transfer-encoding") or "").strip(" \t").lower()
        if coding != "chunked":
            status = 501 if coding.endswith(", chunked") and "chunked" not in coding[:-9] else 400
            raise BadRequest(f"unsupported Transfer-Encoding: {coding!r}", status)
        if not minor:
            raise BadRequest("Transfer-Encoding in an HTTP/1.0 request")
        return CHUNKED
    return _content_length(headers)


def _content_length(headers: Headers) -> int:
    text = headers.joined("content-length") or ""
    if _LENGTH.fullmatch(text) is None:
        raise BadRequest("invalid or repeated Content-Length")
    return int(text)


def _plain_length(block: FieldBlock) -> int | None:
    """What most heads are: no field occurs twice, nothing is chunked, the connection stays open. The length
    then, `UNTIL_CLOSE` if none is told; `None` for a head that wants a closer look."""
    values = block.values
    if block.names is not None or "transfer-encoding" in values:
        return None
    if values.get("connection", KEEP_ALIVE) != KEEP_ALIVE:
        return None
    text = values.get("content-length")
    if text is None:
        return UNTIL_CLOSE
    return None if _LENGTH.fullmatch(text) is None else int(text)


def _persists(headers: Headers, minor: int) -> bool:
    connection = headers.joined("connection")
    if connection is None or connection == KEEP_ALIVE:
        return minor == 1 or connection is not None
    tokens = connection_tokens(headers)
    return "close" not in tokens and (minor == 1 or KEEP_ALIVE in tokens)


def framing_field(body: int) -> str:
    """The field, with CRLF, that announces a body of that length, or a chunked one."""
    return "Transfer-Encoding: chunked\r\n" if body == CHUNKED else f"Content-Length: {body}\r\n"


def connection_tokens(headers: Headers) -> frozenset[str]:
    """The lower-case names listed in `Connection`: hop-by-hop fields and options."""
    listed = headers.joined("connection")
    return frozenset(t.strip().lower() for t in listed.split(",")) if listed else frozenset()


def asks_for_websocket(headers: Headers) -> bool:
    """Whether this hop is asked to become a WebSocket, the only protocol that is switched to."""
    protocol = headers.values.get("upgrade", "").lower()
    return protocol == "websocket" and "upgrade" in connection_tokens(headers)


def has_bare_lf(block: bytes) -> bool:
    """Whether a line ends in LF alone, so that waiting for CRLF CRLF would be in vain."""
    return _BARE_LF.search(block) is not None


class ResponseHead:
    """A status line and its fields, framing decided.

    `body` is the declared length in bytes, 0 without a body, `CHUNKED` or `UNTIL_CLOSE`.
    """

    __slots__ = ("body", "headers", "keep_alive", "line", "status")

    status: int
    #: the status line as it is sent on, with CRLF; empty when the status has been changed
    line: bytes
    headers: Headers
    body: int
    keep_alive: bool


class _ResponseFields:
    """What a block of response fields means for a message that may have a body."""

    __slots__ = ("block", "body", "keep_alive")

    def __init__(self, block: FieldBlock, minor: int) -> None:
        self.block = block
        length = _plain_length(block)
        if length is not None and minor:
            self.body = length
            self.keep_alive = True
        else:
            headers = Headers.of(block)
            self.body = _response_framing(headers)
            self.keep_alive = _persists(headers, minor)


R = TypeVar("R", bound=ResponseHead)


class ResponseReader(Generic[R]):
    """Reads response heads into objects of type `head`. One per worker, for it remembers."""

    def __init__(self, head: type[R]) -> None:
        self._new = head
        self._fields = _FieldMemo()
        self._blocks: tuple[dict[bytes, _ResponseFields], ...] = ({}, {})
        self._starts: dict[bytes, tuple[int, bytes, int]] = {}

    def read(self, text: bytes, request_method: str) -> R:
        """`text` is the head without its final empty line. Raises `PeerError`."""
        line, _, fields = text.partition(b"\r\n")
        head = self._new()
        head.status, head.line, minor = self._starts.get(line) or self._start(line)
        known = self._blocks[minor].get(fields) or self._block(fields, minor)
        block = known.block
        head.headers = Headers(block, block.values)
        body = known.body
        status = head.status
        # RFC 9112 6.3: these never have a body, whatever they declare.
        if request_method == "HEAD" or status < 200 or status == 204 or status == 304:
            body = NO_BODY
            if status == 204:
                # RFC 9110 8.6: it must not announce a body that some client would then wait for.
                head.headers.remove("content-length")
        head.body = body
        head.keep_alive = known.keep_alive and body != UNTIL_CLOSE
        return head

    def _block(self, text: bytes, minor: int) -> _ResponseFields:
        fields = _ResponseFields(self._fields.block(text), minor)
        if len(text) <= MEMO_BLOCK_BYTES:
            _remember(self._blocks[minor], text, fields, MEMO_BLOCKS)
        return fields

    def _start(self, line: bytes) -> tuple[int, bytes, int]:
        found = _STATUS_LINE.fullmatch(line)
        if found is None:
            raise PeerError("malformed status line")
        status = int(found[2])
        if status < 100:
            raise PeerError("status below 100")
        reason = line[found.end(2) :] or b" "
        parsed = (status, b"HTTP/1.1 %d%b\r\n" % (status, reason), 1 if found[1] > b"1.0" else 0)
        if len(line) <= MEMO_LINE_BYTES:
            _remember(self._starts, line, parsed, MEMO_LINES)
        return parsed


def _response_framing(headers: Headers) -> int:
    """RFC 9112 6.3, in its order; what could be read in two ways raises `PeerError`."""
    values = headers.values
    if "transfer-encoding" in values:
        if "content-length" in values:
            raise PeerError("both Content-Length and Transfer-Encoding")
        *inner, last = (headers.joined("transfer-encoding") or "").lower().split(",")
        if last.strip() != "chunked":
            return UNTIL_CLOSE
        if inner:
            # The other codings would stay on a body whose field that names them ends here.
            raise PeerError("a transfer coding besides chunked")
        return CHUNKED
    if "content-length" not in values:
        return UNTIL_CLOSE
    text = headers.joined("content-length") or ""
    if _LENGTH.fullmatch(text) is None:
        raise PeerError("invalid or repeated Content-Length")
    return int(text)
