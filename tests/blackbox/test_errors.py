"""The shape of errors: by Accept, by where they come from, and for gRPC clients."""

import asyncio
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import AsyncIterator
from html.parser import HTMLParser

import pytest
from tests.support.client import connected
from tests.support.gateway import Gateway, Reply
from tests.support.upstream import Received, Upstream, answer_ok

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  retries: 0
  routes:
  - {{name: ok, paths: [/ok]}}
  - {{name: secure, paths: [/secure], protocols: [https]}}
  - {{name: moved, paths: [/moved], protocols: [https], https_redirect_status_code: 308}}
- name: down
  url: http://127.0.0.1:1
  retries: 0
  routes: [{{name: down, paths: [/down]}}]
routes:
- {{name: bare, paths: [/bare]}}
- {{name: rpc, paths: [/rpc], protocols: [grpc]}}
"""
NO_ROUTE = "no Route matched with those values"
BROKEN = "An invalid response was received from the upstream server"


class Page(HTMLParser):
    """The pieces of text that a browser would show."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []

    def handle_data(self, data: str) -> None:
        self.shown.append(data)


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(
        CONFIG.format(url=upstream.url), environment={"KONG_CLIENT_MAX_BODY_SIZE": "10"}
    )
    yield gateway
    await gateway.stop()


async def ask(node: Gateway, path: str, fields: str = "", method: str = "GET", body: str = "") -> Reply:
    async with connected(node.proxy) as client:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        client.send(f"{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}{length}\r\n{body}")
        return await client.reply(head_only=method == "HEAD")


def kind(reply: Reply) -> str:
    return reply.headers["content-type"]


JSON = "application/json; charset=utf-8"
PLAIN = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
XML = "application/xml; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("application/json", JSON),
        ("text/plain", PLAIN),
        ("text/html", HTML),
        ("application/xml", XML),
        ("*/*", JSON),
        ("application/*", JSON),
        ("text/*", PLAIN),
        ("image/png", JSON),
        ("image/png, text/html", HTML),
        ("text/html;q=0.5, application/xml;q=0.9", XML),
        ("text/html;q=0.9, application/xml;q=0.9", HTML),
        ("text/html;q=0", JSON),
        ("text/html ; q=0.2 , text/plain ; q=0.1", HTML),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML),
        ("", JSON),
        (";;;q=,,", JSON),
    ],
)
async def test_accept_chooses_the_shape(node: Gateway, accept: str | None, expected: str) -> None:
    reply = await ask(node, "/nowhere", "" if accept is None else f"Accept: {accept}\r\n")

    assert (reply.status, kind(reply)) == (404, expected)
    assert int(reply.headers["content-length"]) == len(reply.body)


async def test_json_is_kongs_to_the_byte(node: Gateway) -> None:
    reply = await ask(node, "/nowhere")

    request_id = reply.headers["x-kong-request-id"]
    assert reply.body == f'{{\n  "message":"{NO_ROUTE}",\n  "request_id":"{request_id}"\n}}'.encode()
    assert json.loads(reply.body)["message"] == NO_ROUTE


async def test_plain_text_is_two_lines(node: Gateway) -> None:
    reply = await ask(node, "/nowhere", "Accept: text/plain\r\n")

    assert reply.body.decode() == f"{NO_ROUTE}\nrequest_id: {reply.headers['x-kong-request-id']}\n"


async def test_xml_can_be_read(node: Gateway) -> None:
    reply = await ask(node, "/nowhere", "Accept: application/xml\r\n")

    root = ElementTree.fromstring(reply.body)  # noqa: S314 - the gateway's own
    assert root.findtext("message") == NO_ROUTE
    assert root.findtext("requestid") == reply.headers["x-kong-request-id"]


async def test_html_shows_message_and_id(node: Gateway) -> None:
    reply = await ask(node, "/nowhere", "Accept: text/html\r\n")

    page = Page()
    page.feed(reply.body.decode())
    assert f"{NO_ROUTE}." in page.shown
    assert f"request_id: {reply.headers['x-kong-request-id']}" in page.shown


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("", PLAIN),
        ("Accept: text/html\r\n", HTML),
        ("Content-Type: application/json\r\n", JSON),
        ("Content-Type: text/html; charset=x\r\n", HTML),
        ("Accept: image/png\r\nContent-Type: text/html\r\n", JSON),
    ],
)
async def test_an_error_page_also_follows_the_requests_own_type(
    node: Gateway, fields: str, expected: str
) -> None:
    reply = await ask(node, "/down", fields)

    assert (reply.status, kind(reply)) == (502, expected)
    assert BROKEN in reply.body.decode()


@pytest.mark.parametrize(
    ("path", "fields", "status", "message"),
    [
        ("/nowhere", "", 404, NO_ROUTE),
        ("/bare", "", 503, "no Service found with those values"),
        ("/secure", "", 426, "Please use HTTPS protocol"),
        ("/rpc", "", 415, "Non-gRPC request matched gRPC route"),
        ("/down", "Accept: application/json\r\n", 502, BROKEN),
        ("/%00", "Accept: application/json\r\n", 400, "Bad request"),
    ],
)
async def test_each_has_kongs_words(node: Gateway, path: str, fields: str, status: int, message: str) -> None:
    reply = await ask(node, path, fields)

    assert reply.status == status
    assert message in reply.body.decode()


async def test_426_tells_what_to_upgrade_to(node: Gateway) -> None:
    reply = await ask(node, "/secure")

    assert reply.headers["upgrade"] == "TLS/1.2, HTTP/1.1"
    assert "Upgrade" in reply.headers["connection"]


async def test_a_redirect_has_nginxs_small_page(node: Gateway) -> None:
    reply = await ask(node, "/moved?a=b")

    assert reply.status == 308
    assert reply.headers["location"] == "https://a/moved?a=b"
    assert b"<h1>308 Permanent Redirect</h1>" in reply.body


async def test_a_body_that_is_too_large_is_refused_in_the_clients_shape(node: Gateway) -> None:
    reply = await ask(node, "/ok", "Accept: application/json\r\n", "POST", "x" * 11)

    assert (reply.status, kind(reply)) == (413, JSON)
    assert json.loads(reply.body)["message"] == "Payload too large"


@pytest.mark.parametrize("status", [400, 404, 413, 500, 502, 503, 504])
async def test_an_upstreams_own_error_is_not_touched(node: Gateway, upstream: Upstream, status: int) -> None:
    async def fail(received: Received, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 %d Own\r\nContent-Type: x/y\r\nContent-Length: 3\r\n\r\nown" % status)
        return True

    upstream.answer = fail
    reply = await ask(node, "/ok", "Accept: text/html\r\n")
    upstream.answer = answer_ok

    assert (reply.status, kind(reply), reply.body) == (status, "x/y", b"own")


async def test_the_default_type_can_be_set(upstream: Upstream) -> None:
    for setting, expected in (("text/html", HTML), ("application/json", JSON), ("application/xml", XML)):
        node = await Gateway.start(
            CONFIG.format(url=upstream.url), environment={"KONG_ERROR_DEFAULT_TYPE": setting}
        )
        try:
            assert kind(await ask(node, "/down")) == expected
        finally:
            await node.stop()


async def test_an_error_does_not_cost_the_connection(node: Gateway) -> None:
    async with connected(node.proxy) as client:
        for path, status in (("/nowhere", 404), ("/down", 502), ("/bare", 503), ("/ok", 200)):
            client.get(path)
            assert (await client.reply()).status == status
