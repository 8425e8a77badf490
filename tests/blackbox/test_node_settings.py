"""Settings of the node that Kong's users bring along: what acts, what is refused, what is told to be idle."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.cli import tollhouse
from tests.support.gateway import Gateway, request
from tests.support.upstream import Received, Upstream

CONFIG = """_format_version: "3.0"
services:
- name: shop
  url: {url}
  routes:
  - {{name: plain, paths: [/plain]}}
  - {{name: mapped, hosts: ["a.test:81"], paths: [/mapped]}}
- name: stream
  url: tcp://127.0.0.1:{port}
  routes: [{{name: stream, protocols: [tcp], destinations: [{{port: 82}}]}}]
"""
ID = "00000001-0000-4000-8000-000000000001"
TEMPLATE = '{"said":"%s","id":"%s","braces":"{}"}'


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture(scope="module")
async def node(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    template = tmp_path_factory.mktemp("templates") / "error.json"
    template.write_text(TEMPLATE)
    port, stream = free_port(), free_port()
    gateway = await Gateway.start(
        CONFIG.format(url=upstream.url, port=upstream.port),
        environment={
            "KONG_PROXY_LISTEN": f"127.0.0.1:{port} reuseport backlog=100",
            "KONG_STREAM_LISTEN": f"127.0.0.1:{stream}",
            "KONG_PORT_MAPS": f"81:{port}, 82:{stream}, 444:8443",
            "KONG_ERROR_TEMPLATE_JSON": str(template),
            "KONG_ALLOW_DEBUG_HEADER": "on",
            "KONG_NODE_ID": ID,
            "KONG_NGINX_ADMIN_CLIENT_MAX_BODY_SIZE": "1k",
            "KONG_ANONYMOUS_REPORTS": "off",
            "KONG_DNS_ORDER": "A",
            "KONG_NGINX_HTTP_LOG_FORMAT": "x '$host'",
            "KONG_PROXY_LISTENS": "mistyped",
            "KONG_HEADERS": "off, server, x-kong-request-id",
            "KONG_NGINX_HTTP_CHARSET": "off",
            "KONG_NGINX_HTTP_LARGE_CLIENT_HEADER_BUFFERS": "2 1k",
            "KONG_NGINX_PROXY_ADD_HEADER": 'X-Site "one place"',
        },
    )
    yield gateway
    await gateway.stop()


async def test_a_client_that_asks_is_told_route_and_service(node: Gateway) -> None:
    asked = await request(node.proxy, "GET", "/plain", {"Kong-Debug": "1"})
    silent = await request(node.proxy, "GET", "/plain")
    unrouted = await request(node.proxy, "GET", "/nothing", {"Kong-Debug": "1"})

    assert asked.headers["kong-route-name"] == "plain"
    assert asked.headers["kong-service-name"] == "shop"
    assert {"kong-route-id", "kong-service-id"} <= asked.headers.keys()
    assert "kong-route-id" not in silent.headers
    assert "kong-route-id" not in unrouted.headers


async def test_without_the_setting_nobody_is_told(upstream: Upstream) -> None:
    gateway = await Gateway.start(CONFIG.format(url=upstream.url, port=upstream.port))
    try:
        reply = await request(gateway.proxy, "GET", "/plain", {"Kong-Debug": "1"})
    finally:
        await gateway.stop()

    assert not [name for name in reply.headers if name.startswith("kong-")]


async def test_the_port_that_clients_see_is_told_and_routed_by(node: Gateway, upstream: Upstream) -> None:
    upstream.received.clear()
    reply = await request(node.proxy, "GET", "/mapped", {"Host": "a.test:81"})

    assert reply.status == 200
    assert upstream.received[-1].headers["x-forwarded-port"] == "81"


async def test_streams_are_routed_by_the_port_that_clients_see(node: Gateway) -> None:
    assert (await request(node.addresses["stream0"], "GET", "/")).status == 200


async def test_error_pages_follow_the_template(node: Gateway) -> None:
    reply = await request(node.proxy, "GET", "/nothing")
    plain = await request(node.proxy, "GET", "/nothing", {"Accept": "text/plain"})

    said = "no Route matched with those values"
    request_id = reply.headers["x-kong-request-id"]
    assert reply.json() == {"said": said, "id": request_id, "braces": "{}"}
    assert plain.body.startswith(said.encode())


async def test_the_node_has_the_id_it_was_given(node: Gateway) -> None:
    shown = (await node.admin_request("GET", "/")).json()

    assert isinstance(shown, dict)
    assert shown["node_id"] == ID


async def test_the_admin_api_takes_no_more_than_its_limit(node: Gateway) -> None:
    reply = await node.admin_request("POST", "/config", body=b"# " + b"x" * 2000)

    assert reply.status == 413


async def test_the_admin_api_tells_of_itself_what_the_node_does(node: Gateway) -> None:
    reply = await node.admin_request("GET", "/")

    assert "server" in reply.headers
    assert "x-kong-admin-latency" not in reply.headers


async def test_texts_are_said_to_be_in_no_charset(node: Gateway, upstream: Upstream) -> None:
    async def say(received: Received, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
        return True

    before, upstream.answer = upstream.answer, say
    try:
        reply = await node.request("GET", "/plain")
    finally:
        upstream.answer = before

    assert reply.headers["content-type"] == "text/plain"


async def test_one_more_header_is_for_answers_that_are_no_errors(node: Gateway) -> None:
    assert (await node.request("GET", "/plain")).headers["x-site"] == "one place"
    assert "x-site" not in (await node.request("GET", "/nothing")).headers


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/plain", {"X-Long": "x" * 1024}, 200),
        ("/plain", {"X-Long": "x" * 1100}, 400),
        ("/plain", dict.fromkeys(("X-One", "X-Two", "X-Three"), "x" * 900), 400),
        (f"/plain?{'x' * 1100}", {}, 414),
    ],
)
async def test_a_head_has_to_fit_its_buffers(
    node: Gateway, path: str, fields: dict[str, str], status: int
) -> None:
    assert (await node.request("GET", path, fields)).status == status


def test_what_changes_nothing_is_told_with_its_reason(node: Gateway) -> None:
    lines = {
        line.partition(" KONG_")[2].partition(" ")[0]: line for line in node.errors if "no effect" in line
    }

    assert lines.keys() == {"ANONYMOUS_REPORTS", "DNS_ORDER", "NGINX_HTTP_LOG_FORMAT", "PROXY_LISTENS"}
    assert "[info]" in lines["ANONYMOUS_REPORTS"]
    assert "[warn]" in lines["DNS_ORDER"]
    assert "no setting of this name is known" in lines["PROXY_LISTENS"]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("KONG_ROLE", "data_plane", "there is no hybrid mode"),
        ("KONG_ADMIN_LISTEN", "127.0.0.1:0 proxy_protocol", "only listeners of the proxy take"),
        ("KONG_PORT_MAPS", "80", "'80' is not a pair of ports like 80:8000"),
        ("KONG_NODE_ID", "me", "'me' is not a UUID"),
        ("KONG_ERROR_TEMPLATE_HTML", __file__, "has to hold %s twice"),
        ("KONG_DNS_RESOLVER", "ns.test", "is not an address like 10.0.0.2"),
    ],
)
async def test_what_cannot_act_is_refused(variable: str, value: str, said: str, tmp_path: Path) -> None:
    ended = await tollhouse("start", KONG_PREFIX=str(tmp_path), **{variable: value})

    assert ended.code == 1
    assert variable in ended.errors
    assert said in ended.errors
