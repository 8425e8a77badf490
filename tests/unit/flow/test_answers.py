"""Kong's words and shapes for errors."""

import pytest

from tollhouse.errors import Reject
from tollhouse.flow import answers
from tollhouse.pdk.messages import Request
from tollhouse.wire.http1 import RequestReader

PAGES = answers.ErrorPages()


def request(fields: str = "") -> Request:
    return RequestReader(Request).read(f"GET / HTTP/1.1\r\nHost: a\r\n{fields}".removesuffix("\r\n").encode())


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Bad request"),
        (413, "Payload too large"),
        (418, "I'm a teapot"),
        (426, "Upgrade required"),
        (494, "Request header or cookie too large"),
        (500, "An unexpected error occurred"),
        (504, "The upstream server is timing out"),
        (599, "The upstream server responded with 599"),
    ],
)
def test_a_status_without_a_message_has_kongs(status: int, message: str) -> None:
    assert answers.message_of(status) == message


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "json"),
        ("", "json"),
        ("text/html", "html"),
        ("text/html;q=0", "json"),
        ("text/html;q=x", "html"),
        ("text/html;q=0.4,text/plain;q=0.5", "plain"),
        ("text/html;level=1;q=0.4,text/plain;q=0.3", "html"),
        ("a/b, */*;q=0.1", "json"),
    ],
)
def test_the_best_known_type_wins(accept: str | None, kind: str) -> None:
    assert answers.negotiate(accept) == kind


def test_client_text_never_becomes_markup() -> None:
    for kind in ("html", "xml"):
        assert b"<script>" not in PAGES.page("<script>&", "id", kind)[1]


def test_494_is_shown_as_400() -> None:
    assert answers.error_page(None, 494, "id", pages=PAGES).status == 400


@pytest.mark.parametrize(
    ("reject", "body", "content_type"),
    [
        (Reject(403, body={"a": 1}), b'{"a":1}', "application/json; charset=utf-8"),
        (Reject(403, body="text"), b"text", None),
        (Reject(418, exact=True), b"", None),
        (Reject(204, exact=True), b"", None),
    ],
)
def test_an_exact_answer_is_exactly_that(reject: Reject, body: bytes, content_type: str | None) -> None:
    response = answers.of_reject(reject, request(), "id", pages=PAGES)

    assert (response.content, response.headers.get("content-type")) == (body, content_type)


def test_an_empty_exact_answer_shows_the_page_that_nginx_would() -> None:
    page = answers.of_reject(Reject(503, exact=True), request(), "id", pages=PAGES)
    small = answers.of_reject(Reject(403, exact=True), request(), "id", pages=PAGES)

    assert page.content == b"The upstream server is currently unavailable\nrequest_id: id\n"
    assert b"<h1>403 Forbidden</h1>" in (small.content or b"")
