"""request-termination: what a client gets in place of the upstream's answer."""

import os
from collections.abc import AsyncIterator

import pytest
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes:
  - {{name: default, paths: [/default], plugins: [{{name: request-termination}}]}}
  - {{name: message, paths: [/message], plugins: [{{name: request-termination,
      config: {{status_code: 403, message: 'So "long"'}}}}]}}
  - {{name: body, paths: [/body], plugins: [{{name: request-termination,
      config: {{status_code: 200, body: '<p>é</p>', content_type: text/html}}}}]}}
  - {{name: bare, paths: [/bare], plugins: [{{name: request-termination,
      config: {{status_code: 200, body: '[]'}}}}]}}
  - {{name: trigger, paths: [/trigger], plugins: [{{name: request-termination,
      config: {{status_code: 418, trigger: X-Stop}}}}]}}
  - {{name: echo, paths: ['~/echo/(?<what>\\w+)/(\\d+)$'], plugins: [{{name: request-termination,
      config: {{status_code: 404, echo: true, trigger: echo}}}}]}}
{by_status}"""
BY_STATUS = """  - {{name: s{status}, paths: [/status/{status}], plugins: [{{name: request-termination,
      config: {{status_code: {status}}}}}]}}
"""
STATUSES = {
    200: b"",
    204: b"",
    400: b"Bad request\nrequest_id: ",
    401: b'{"message":"Unauthorized"}',
    403: b"<html>",
    404: b'{"message":"Not found"}',
    405: b'{"message":"Method not allowed"}',
    418: b"",
    429: b"<html>",
    500: b'{"message":"An unexpected error occurred"}',
    502: b'{"message":"Bad Gateway"}',
    503: b'{"message":"Service unavailable"}',
    504: b"The upstream server is timing out\nrequest_id: ",
}


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    by_status = "".join(BY_STATUS.format(status=status) for status in STATUSES)
    gateway = await Gateway.start(CONFIG.format(url=upstream.url, by_status=by_status))
    yield gateway
    assert {each.target for each in upstream.received} <= {"/through", "/?x-stop"}
    await gateway.stop()


async def test_by_default_the_service_is_unavailable(node: Gateway) -> None:
    reply = await node.request("GET", "/default")

    assert reply.status == 503
    assert reply.body == b'{"message":"Service unavailable"}'
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    assert reply.headers["server"].startswith("tollhouse/")
    assert "via" not in reply.headers


@pytest.mark.parametrize(("status", "body"), STATUSES.items())
async def test_each_status_has_its_body(node: Gateway, status: int, body: bytes) -> None:
    reply = await node.request("GET", f"/status/{status}")

    assert reply.status == status
    assert reply.body.startswith(body)
    assert reply.body == b"" or body != b""


async def test_a_message_is_sent_as_json(node: Gateway) -> None:
    reply = await node.request("GET", "/message")

    assert reply.status == 403
    assert reply.json() == {"message": 'So "long"'}


async def test_a_body_is_sent_as_it_is(node: Gateway) -> None:
    reply = await node.request("GET", "/body")

    assert reply.body == "<p>é</p>".encode()
    assert reply.headers["content-type"] == "text/html"
    bare = await node.request("GET", "/bare")
    assert (bare.body, bare.headers["content-type"]) == (b"[]", "application/json; charset=utf-8")


async def test_head_has_no_body_but_its_length(node: Gateway) -> None:
    answer = await node.send(b"HEAD /body HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == b""
    assert b"Content-Length: 9" in head


async def test_a_trigger_decides(node: Gateway, upstream: Upstream) -> None:
    assert (await node.request("GET", "/trigger/through")).status == 200
    assert upstream.received[-1].target == "/through"
    assert (await node.request("GET", "/trigger", {"x-stop": "0"})).status == 418
    assert (await node.request("GET", "/trigger?X-Stop")).status == 418
    assert (await node.request("GET", "/trigger?x-stop")).status == 200, "arguments keep their case"


async def test_an_echo_tells_how_the_gateway_saw_the_request(node: Gateway) -> None:
    reply = await node.request("POST", "/echo/word/12?echo&a=1&a=2", {"X-A": "b"}, b"body")

    assert reply.status == 404
    told = reply.json()
    assert isinstance(told, dict)
    assert told["message"] == "Not found"
    assert told["matched_route"]["name"] == "echo"
    assert told["matched_service"]["name"] == "s"
    request = told["request"]
    assert request["method"] == "POST"
    assert request["path"] == "/echo/word/12"
    assert request["query"] == {"echo": True, "a": ["1", "2"]}
    assert request["headers"]["x-a"] == "b"
    assert request["raw_body"] == "body"
    assert request["uri_captures"] == {"named": {"what": "word"}, "unnamed": ["word", "12"]}
    assert request["port"] == node.proxy[1]
    assert told["kong"]["hostname"] == os.uname().nodename
