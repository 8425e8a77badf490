"""Our reading of requests beside h11's (strict) and llhttp's (httptools).

Whatever both of them accept, we accept with the same fields and the same body, or refuse for one of
the reasons in `STRICTER`. And one message
in is one message: nobody finds a second one in the bytes that we call its body.
"""

import h11
import httptools
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tollhouse.errors import PeerError
from tollhouse.wire.body import body_reader
from tollhouse.wire.http1 import RequestHead, RequestReader
from tollhouse.wire.uri import escape

Reading = tuple[str, str, list[tuple[str, str]], bytes, bytes]
#: what we refuse though both others take it, by a word of our reason
STRICTER = (
    "Host",  # none, several, or not a host
    "invalid or repeated Content-Length",  # `1, 1` and repeated equal values
    "target",  # `..` above the root, bad escapes, forms that are not for a gateway
    "not offered",  # CONNECT and TRACE
    "percent-encoding",
    "HTTP version",
    "Transfer-Encoding",  # in 1.0, or other codings
    "chunk",  # extensions that are no tokens, blanks around sizes
    "trailer",
    "header fields",  # more than a thousand
)
#: fields that we drop and the others keep
HIDDEN = frozenset({"x.dotted", "content_length"})


class _Collector:
    """What llhttp tells of the first message."""

    def __init__(self) -> None:
        self.fields: list[tuple[str, str]] = []
        self.target = b""
        self.body = b""
        self.complete = 0

    def on_url(self, url: bytes) -> None:
        if not self.complete:
            self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.complete:
            self.fields.append((name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")))

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self.body += body

    def on_message_complete(self) -> None:
        self.complete += 1


def ours(data: bytes) -> Reading | str:
    """Method, target, fields, body and what follows; or why not."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return "incomplete"
    try:
        request = RequestReader(RequestHead).read(head)
        body = b""
        if request.body:
            reader = body_reader(request.body)
            body = reader.feed(rest)
            if not reader.done:
                return "incomplete"
            rest = reader.rest
    except PeerError as error:
        return str(error)
    return request.method, request.target.raw, list(request.headers.items()), body, rest


def by_h11(data: bytes) -> Reading | None:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    try:
        head = connection.next_event()
        if not isinstance(head, h11.Request):
            return None
        body = b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += event.data
        if not isinstance(event, h11.EndOfMessage):
            return None
    except h11.RemoteProtocolError:
        return None
    fields = [(name.decode(), value.decode("latin-1")) for name, value in head.headers]
    rest = bytes(connection.trailing_data[0])
    return head.method.decode(), head.target.decode("latin-1"), fields, body, rest


def by_llhttp(data: bytes) -> _Collector | None:
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        return None
    except httptools.HttpParserError:
        return collector if collector.complete else None
    return collector if collector.complete else None


METHODS = st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "HEAD", "PATCH"])
TARGETS = st.sampled_from(
    ["/", "/a?b=c", "/%41", "/a/../b", "//x", "*", "http://h/p", "/..", "/a b", "/\xc3\xa9"]
)
VERSIONS = st.sampled_from(["HTTP/1.1"] * 6 + ["HTTP/1.0", "HTTP/1.2", "http/1.1", "HTTP/1.1 "])
NEWLINES = st.sampled_from(["\r\n"] * 12 + ["\n", "\r", "\r\r\n"])
FIELDS = st.sampled_from(
    [
        "Host: a",
        "Host: a",
        "Host: b:80",
        "Host:",
        "Host : a",
        "X: y",
        "x:y ",
        "X:\t1",
        "X: a\x00b",
        "X: \xe9",
        "Content-Length: 5",
        "Content-Length: 5",
        "Content-Length: 05",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: 0",
        "content-length:5",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: CHUNKED",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        " folded",
        "X_Y: 1",
        "X.Dotted: 1",
        "Content_Length: 3",
        "Connection: close",
        "Connection: keep-alive",
        "TE: trailers",
        "nocolon",
        "Expect: 100-continue",
    ]
)
BODIES = st.sampled_from(
    [
        b"",
        b"hello",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
        b"5\nhello\n0\n\n",
        b"0\r\n\r\n",
        b"00\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloX\r\n",
        b"hello0\r\n\r\n",
        b"05\r\nhello\r\n0\r\n\r\n",
    ]
)
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: s\r\n\r\n"


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    lines = [f"{draw(METHODS)} {draw(TARGETS)} {draw(VERSIONS)}", *draw(st.lists(FIELDS, max_size=5))]
    head = "".join(line + draw(NEWLINES) for line in lines) + draw(NEWLINES)
    return head.encode("latin-1") + draw(BODIES) + SMUGGLED


@settings(max_examples=400)
@given(messages())
@example(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + SMUGGLED)
@example(
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + SMUGGLED
)
def test_what_both_others_accept_we_read_alike_or_refuse_for_a_reason(data: bytes) -> None:
    strict, lenient, own = by_h11(data), by_llhttp(data), ours(data)
    if strict is None or lenient is None:
        return
    if isinstance(own, str):
        assert any(word in own for word in STRICTER), own
        return
    method, target, fields, body, rest = own
    assert (method, body, rest) == (strict[0], strict[3], strict[4])
    assert body == lenient.body
    shown = [pair for pair in strict[2] if pair[0] not in HIDDEN]
    assert fields == [pair for pair in lenient.fields if pair[0] not in HIDDEN]
    # h11 folds equal lengths and lower-cases codings; all else is as it came.
    assert [n for n, _ in fields] == [n for n, _ in shown]
    assert strict[1].endswith(target)


@settings(max_examples=400)
@given(messages())
def test_what_we_accept_has_one_end_for_everybody(data: bytes) -> None:
    own = ours(data)
    if isinstance(own, str):
        return
    strict, lenient = by_h11(data), by_llhttp(data)
    if strict is not None:
        assert (own[3], own[4]) == (strict[3], strict[4])
    if lenient is not None:
        assert own[3] == lenient.body


@settings(max_examples=300)
@given(messages())
def test_what_we_send_on_is_one_message_to_everybody(data: bytes) -> None:
    """The forwarded form: our framing field, the client's lines without theirs, and the body re-framed."""
    own = ours(data)
    if isinstance(own, str):
        return
    request = RequestReader(RequestHead).read(data.partition(b"\r\n\r\n")[0])
    if request.target.raw == "*":
        return
    unwanted = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect"})
    body = own[3]
    line = f"{own[0]} {escape(request.target.normal)} HTTP/1.1\r\n"
    framing = f"Host: up\r\nContent-Length: {len(body)}\r\n"
    sent = (line + framing).encode("latin-1") + request.headers.without(unwanted) + b"\r\n" + body
    strict, lenient = by_h11(sent), by_llhttp(sent)
    if strict is not None:
        assert (strict[3], strict[4]) == (body, b"")
    assert lenient is not None
    assert (lenient.complete, lenient.body) == (1, body)
