"""Heads of requests and responses: what is read, what is refused and with which status."""

import pytest

from tollhouse.errors import BadRequest, PeerError
from tollhouse.wire.headers import Headers
from tollhouse.wire.http1 import (
    CHUNKED,
    MOST_FIELDS,
    NO_BODY,
    UNTIL_CLOSE,
    RequestHead,
    RequestReader,
    ResponseHead,
    ResponseReader,
    asks_for_websocket,
    has_bare_lf,
)


def request(text: str | bytes) -> RequestHead:
    data = text.encode("latin-1") if isinstance(text, str) else text
    return RequestReader(RequestHead).read(data)


def response(text: str, method: str = "GET") -> ResponseHead:
    return ResponseReader(ResponseHead).read(text.encode("latin-1"), method)


def get(fields: str, version: str = "1.1") -> RequestHead:
    return request(f"GET / HTTP/{version}\r\nHost: a\r\n{fields}".removesuffix("\r\n"))


def test_a_request_head_is_taken_apart() -> None:
    head = request("POST /a%20b?c=d&e HTTP/1.1\r\nHost: x.test:80\r\nContent-Length: 3\r\nX-A:\t 1 \t")

    assert (head.method, head.minor, head.body, head.keep_alive) == ("POST", 1, 3, True)
    assert (head.target.raw, head.target.path, head.target.query) == ("/a%20b?c=d&e", "/a%20b", "c=d&e")
    assert head.target.normal == "/a b"
    assert list(head.headers.items()) == [("host", "x.test:80"), ("content-length", "3"), ("x-a", "1")]
    assert head.framing == "Content-Length: 3\r\n"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        (" GET / HTTP/1.1", 400),
        ("GET\t/ HTTP/1.1", 400),
        ("GET / http/1.1", 400),
        ("GET / HTTP/1.10", 400),
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/0.9", 505),
        ("G\x00T / HTTP/1.1", 400),
        ("GE(T / HTTP/1.1", 400),
        ("GET /a b HTTP/1.1", 400),
        ("GET /a#b HTTP/1.1", 400),
        ('GET /a"b HTTP/1.1', 200),
        ("GET /\x7f HTTP/1.1", 400),
        ("GET a HTTP/1.1", 400),
        ("GET *a HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("OPTIONS * HTTP/1.1", 200),
        ("CONNECT a:1 HTTP/1.1", 400),
        ("TRACE / HTTP/1.1", 405),
        ("GET http://h/p HTTP/1.1", 200),
        ("GET HTTPS://h?q HTTP/1.1", 200),
        ("GET ftp://h/p HTTP/1.1", 400),
        ("GET http:///p HTTP/1.1", 400),
        ("GET http://u@h/p HTTP/1.1", 400),
        ("GET //h/p HTTP/1.1", 200),
        ("get / HTTP/1.1", 200),
        ("QUERY / HTTP/1.1", 200),
        ("GET /\xc3\xa9 HTTP/1.1", 200),
        ("GET /\xe9 HTTP/1.1", 400),
        ("GET /%zz HTTP/1.1", 400),
        ("GET /%00 HTTP/1.1", 400),
        ("GET /a/../../b HTTP/1.1", 400),
        ("", 400),
    ],
)
def test_a_request_line_is_read_or_refused(line: str, status: int) -> None:
    text = f"{line}\r\nHost: a"
    if status == 200:
        assert request(text).method == line.partition(" ")[0]
        return
    with pytest.raises(BadRequest) as refusal:
        request(text)
    assert refusal.value.status == status


@pytest.mark.parametrize(
    "field",
    [
        " folded",
        "\tfolded",
        "no colon",
        "A : b",
        ": empty",
        "A b: c",
        "A(: c",
        "A\x00: b",
        "A: \x00",
        "A: \x01",
        "A: a\x7f",
        "A: a\rb",
        "A: a\nb",
        "\xe9: b",
        "Host: b c",
        "Host: [::1",
        "Host: a/b",
        "Host: u@h",
        "Host: a",
        "Content-Length: -1",
        "Content-Length: +1",
        "Content-Length: 1 1",
        "Content-Length: 1, 1",
        "Content-Length: 0x1",
        "Content-Length:",
        "Content-Length: 1_0",
        "Content-Length: \xb2",
        "Content-Length: 9999999999999999999",
        "Content-Length: 1\r\nContent-Length: 1",
        "Content-Length: 1\r\nContent-Length: 2",
        "Transfer-Encoding: chunked\r\nContent-Length: 1",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding:",
        "Transfer-Encoding: chunked;q=1",
        'Transfer-Encoding: "chunked"',
    ],
)
def test_a_field_that_could_be_read_in_two_ways_is_refused(field: str) -> None:
    with pytest.raises(BadRequest):
        get(field)


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ("", NO_BODY),
        ("Content-Length: 0", 0),
        ("Content-Length: 007", 7),
        ("content-length:\t5\t", 5),
        ("Transfer-Encoding: chunked", CHUNKED),
        ("Transfer-Encoding: Chunked ", CHUNKED),
    ],
)
def test_the_body_is_framed_in_one_way(fields: str, body: int) -> None:
    assert get(fields).body == body


def test_codings_that_are_not_known_are_501() -> None:
    with pytest.raises(BadRequest) as refusal:
        get("Transfer-Encoding: gzip, chunked")
    assert refusal.value.status == 501


def test_a_1_0_request_may_not_be_chunked_and_needs_no_host() -> None:
    assert request("GET / HTTP/1.0").headers.get("host") is None
    with pytest.raises(BadRequest):
        request("POST / HTTP/1.0\r\nTransfer-Encoding: chunked")
    with pytest.raises(BadRequest):
        request("GET / HTTP/1.1")


@pytest.mark.parametrize(
    ("version", "fields", "keeps"),
    [
        ("1.1", "", True),
        ("1.1", "Connection: close", False),
        ("1.1", "Connection: CLOSE", False),
        ("1.1", "Connection: x, close", False),
        ("1.1", "Connection: keep-alive\r\nConnection: close", False),
        ("1.0", "", False),
        ("1.0", "Connection: keep-alive", True),
        ("1.0", "Connection: Keep-Alive, x", True),
        ("1.0", "Connection: x\r\nConnection: keep-alive", True),
        ("1.0", "Connection: keep-alive, close", False),
    ],
)
def test_whether_the_connection_stays(version: str, fields: str, keeps: bool) -> None:
    assert get(fields, version).keep_alive is keeps
    assert (
        response(f"HTTP/{version} 200 OK\r\nContent-Length: 0\r\n{fields}".removesuffix("\r\n")).keep_alive
        is keeps
    )


@pytest.mark.parametrize(
    ("version", "value", "expects"),
    [
        ("1.1", "100-continue", True),
        ("1.1", "100-Continue", True),
        ("1.1", "x", False),
        ("1.0", "100-continue", False),
    ],
)
def test_an_expectation_is_one_of_1_1(version: str, value: str, expects: bool) -> None:
    assert get(f"Expect: {value}", version).expects_continue is expects


@pytest.mark.parametrize("name", ["X.Y", "Content_Length", "transfer_encoding", "Host_", "_Host"])
def test_names_that_others_confuse_are_dropped(name: str) -> None:
    head = get(f"{name}: 1\r\nX-A: 2")

    assert list(head.headers.items()) == [("host", "a"), ("x-a", "2")]
    assert b"1" not in head.headers.without(frozenset())


def test_there_is_a_most_of_fields() -> None:
    assert get("X: 1\r\n" * (MOST_FIELDS - 1)).headers.get("x") == "1"
    with pytest.raises(BadRequest) as refusal:
        get("X: 1\r\n" * MOST_FIELDS)
    assert refusal.value.status == 494


def test_what_is_remembered_of_one_request_does_not_reach_the_next() -> None:
    reader = RequestReader(RequestHead)
    text = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1"
    first = reader.read(text)
    first.headers.set("X-A", "changed")
    first.headers.add("X-B", "2")
    first.headers.remove("host")

    assert list(reader.read(text).headers.items()) == [("host", "a"), ("x-a", "1")]


def test_the_version_is_part_of_what_is_remembered() -> None:
    reader = RequestReader(RequestHead)

    assert reader.read(b"GET / HTTP/1.1\r\nHost: a").keep_alive
    assert not reader.read(b"GET / HTTP/1.0\r\nHost: a").keep_alive


# Responses


@pytest.mark.parametrize(
    ("head", "method", "body"),
    [
        ("HTTP/1.1 200 OK", "GET", UNTIL_CLOSE),
        ("HTTP/1.1 200", "GET", UNTIL_CLOSE),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5", "GET", 5),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5", "HEAD", NO_BODY),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "GET", CHUNKED),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "HEAD", NO_BODY),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip", "GET", UNTIL_CLOSE),
        ("HTTP/1.1 204 No\r\nContent-Length: 5", "GET", NO_BODY),
        ("HTTP/1.1 304 No\r\nContent-Length: 5", "GET", NO_BODY),
        ("HTTP/1.1 304 No\r\nTransfer-Encoding: chunked", "GET", NO_BODY),
        ("HTTP/1.1 103 Early", "GET", NO_BODY),
    ],
)
def test_a_response_body_ends_as_rfc_9112_says(head: str, method: str, body: int) -> None:
    assert response(head, method).body == body


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/2 200 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 099 Low",
        "",
        "garbage",
        "HTTP/1.1 200 O\x00K",
        "HTTP/1.1\t200 OK",
        "http/1.1 200 OK",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2",
        "HTTP/1.1 200 OK\r\nContent-Length: x",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "HTTP/1.1 200 OK\r\n folded: x",
        "HTTP/1.1 200 OK\r\nA b: c",
        "HTTP/1.1 200 OK\r\nA: b\nC: d",
    ],
)
def test_a_response_that_could_be_read_in_two_ways_is_refused(head: str) -> None:
    with pytest.raises(PeerError):
        response(head)


def test_a_status_line_goes_on_as_1_1_with_its_own_reason() -> None:
    assert response("HTTP/1.0 299 Quite Odd").line == b"HTTP/1.1 299 Quite Odd\r\n"
    assert response("HTTP/1.1 299").line == b"HTTP/1.1 299 \r\n"


def test_a_204_loses_its_length_but_a_304_keeps_it() -> None:
    assert "content-length" not in response("HTTP/1.1 204 No\r\nContent-Length: 5").headers
    assert response("HTTP/1.1 304 No\r\nContent-Length: 5").headers["content-length"] == "5"


@pytest.mark.parametrize(
    ("fields", "asks"),
    [
        ([("Connection", "Upgrade"), ("Upgrade", "websocket")], True),
        ([("Connection", "keep-alive"), ("Connection", "upgrade"), ("Upgrade", "WebSocket")], True),
        ([("Upgrade", "websocket")], False),
        ([("Connection", "Upgrade"), ("Upgrade", "h2c")], False),
        ([("Connection", "Upgrade")], False),
    ],
)
def test_websocket_is_asked_for_by_both_fields(fields: list[tuple[str, str]], asks: bool) -> None:
    assert asks_for_websocket(Headers.new(fields)) is asks


def test_a_bare_lf_is_seen() -> None:
    assert has_bare_lf(b"GET / HTTP/1.1\nHost")
    assert not has_bare_lf(b"GET / HTTP/1.1\r\nHost: a\r\n")
