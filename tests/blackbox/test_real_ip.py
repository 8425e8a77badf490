"""Who the client is: trusted_ips, real_ip_header and real_ip_recursive, and the X-Forwarded-*."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from tests.support.client import connected
from tests.support.gateway import Gateway
from tests.support.http2 import http2_connected
from tests.support.upstream import Received, Upstream

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes:
  - {{name: all, paths: [/], strip_path: false}}
  - {{name: stripped, paths: [/api], strip_path: true}}
  - {{name: secure, paths: [/secure], protocols: [https], https_redirect_status_code: 301}}
"""
TRUSTED = "127.0.0.0/8, 10.0.0.0/8, fd00::/8"


async def start(upstream: Upstream, **settings: str) -> Gateway:
    environment = {f"KONG_{name.upper()}": value for name, value in settings.items()}
    return await Gateway.start(CONFIG.format(url=upstream.url), environment=environment)


async def reached(node: Gateway, upstream: Upstream, fields: str, path: str = "/") -> dict[str, str]:
    upstream.received.clear()
    async with connected(node.proxy) as client:
        client.get(path, fields)
        assert (await client.reply()).status == 200
    got: Received = upstream.received[-1]
    return got.headers


@pytest.fixture(scope="module")
async def plain(upstream: Upstream) -> AsyncIterator[Gateway]:
    """Trusts its peer; the client stands in X-Real-IP."""
    node = await start(upstream, trusted_ips=TRUSTED)
    yield node
    await node.stop()


@pytest.fixture(scope="module")
async def recursive(upstream: Upstream) -> AsyncIterator[Gateway]:
    """Trusts its peer; the client is the last untrusted address of X-Forwarded-For."""
    node = await start(
        upstream, trusted_ips=TRUSTED, real_ip_header="X-Forwarded-For", real_ip_recursive="on"
    )
    yield node
    await node.stop()


@pytest.fixture(scope="module")
async def last(upstream: Upstream) -> AsyncIterator[Gateway]:
    """The same, but only the last address counts."""
    node = await start(upstream, trusted_ips=TRUSTED, real_ip_header="X-Forwarded-For")
    yield node
    await node.stop()


@pytest.mark.parametrize(
    ("fields", "client"),
    [
        ("", "127.0.0.1"),
        ("X-Real-IP: 8.8.8.8\r\n", "8.8.8.8"),
        ("X-Real-IP: 8.8.8.8:4711\r\n", "8.8.8.8"),
        ("X-Real-IP: 2001:db8::1\r\n", "2001:db8::1"),
        ("X-Real-IP: [2001:db8::1]:80\r\n", "2001:db8::1"),
        ("X-Real-IP: nonsense\r\n", "127.0.0.1"),
        ("X-Real-IP:\r\n", "127.0.0.1"),
        ("X-Real-IP: 8.8.8.8\r\nX-Real-IP: 9.9.9.9\r\n", "8.8.8.8"),
        ("X-Forwarded-For: 8.8.8.8\r\n", "127.0.0.1"),
    ],
)
async def test_a_trusted_peer_names_the_client(
    plain: Gateway, upstream: Upstream, fields: str, client: str
) -> None:
    assert (await reached(plain, upstream, fields))["x-real-ip"] == client


@pytest.mark.parametrize(
    ("chain", "client", "nearest"),
    [
        ("8.8.8.8", "8.8.8.8", "8.8.8.8"),
        ("8.8.8.8, 10.1.1.1", "8.8.8.8", "10.1.1.1"),
        ("6.6.6.6, 8.8.8.8, 10.1.1.1, 10.2.2.2", "8.8.8.8", "10.2.2.2"),
        ("10.9.9.9, 10.1.1.1", "10.9.9.9", "10.1.1.1"),
        ("8.8.8.8,fd00::1", "8.8.8.8", "fd00::1"),
        ("8.8.8.8, nonsense, 10.1.1.1", "10.1.1.1", "10.1.1.1"),
        ("8.8.8.8\r\nX-Forwarded-For: 10.1.1.1", "8.8.8.8", "10.1.1.1"),
    ],
)
async def test_a_chain_is_walked_from_its_end(
    recursive: Gateway, last: Gateway, upstream: Upstream, chain: str, client: str, nearest: str
) -> None:
    fields = f"X-Forwarded-For: {chain}\r\n"

    assert (await reached(recursive, upstream, fields))["x-real-ip"] == client
    assert (await reached(last, upstream, fields))["x-real-ip"] == nearest


async def test_the_chain_grows_by_the_peer_itself(recursive: Gateway, upstream: Upstream) -> None:
    got = await reached(recursive, upstream, "X-Forwarded-For: 8.8.8.8, 10.1.1.1\r\n")

    assert got["x-forwarded-for"] == "8.8.8.8, 10.1.1.1, 127.0.0.1"


async def test_without_a_chain_it_begins_with_the_client(plain: Gateway, upstream: Upstream) -> None:
    assert (await reached(plain, upstream, "X-Real-IP: 8.8.8.8\r\n"))["x-forwarded-for"] == "8.8.8.8"


async def test_what_a_trusted_peer_says_is_passed_on(plain: Gateway, upstream: Upstream) -> None:
    said = {"proto": "https", "host": "shop.test", "port": "8443", "path": "/outer", "prefix": "/o"}
    lines = "".join(f"X-Forwarded-{name}: {value}\r\n" for name, value in said.items())

    got = await reached(plain, upstream, lines, "/api/x")

    assert {name: got[f"x-forwarded-{name}"] for name in said} == said


async def test_what_a_trusted_peer_leaves_out_is_filled_in(plain: Gateway, upstream: Upstream) -> None:
    got = await reached(plain, upstream, "", "/api/x")

    assert got["x-forwarded-proto"] == "http"
    assert got["x-forwarded-host"] == "gw.test"
    assert got["x-forwarded-port"] == str(plain.proxy[1])
    assert got["x-forwarded-path"] == "/api/x"
    assert got["x-forwarded-prefix"] == "/api"


async def test_a_trusted_peer_may_speak_1_0_without_a_host(plain: Gateway, upstream: Upstream) -> None:
    upstream.received.clear()

    await plain.send(b"GET / HTTP/1.0\r\nX-Real-IP: 8.8.8.8\r\n\r\n")

    assert upstream.received[-1].headers["x-real-ip"] == "8.8.8.8"
    assert upstream.received[-1].headers["x-forwarded-for"] == "8.8.8.8"


async def test_requests_of_one_connection_may_have_different_clients(
    plain: Gateway, upstream: Upstream
) -> None:
    upstream.received.clear()
    async with connected(plain.proxy) as client:
        for address in ("1.1.1.1", "2.2.2.2", "1.1.1.1"):
            client.get("/", f"X-Real-IP: {address}\r\n")
            await client.reply()

    assert [r.headers["x-real-ip"] for r in upstream.received] == ["1.1.1.1", "2.2.2.2", "1.1.1.1"]


async def test_tls_before_a_trusted_peer_counts_as_https(plain: Gateway, upstream: Upstream) -> None:
    async with connected(plain.proxy) as client:
        client.get("/secure/x?q=1", "X-Forwarded-Host: Shop.test:99\r\n")
        refused = await client.reply()
        client.get("/secure/x?q=1", "X-Forwarded-Proto: https\r\n")
        served = await client.reply()

    assert (refused.status, served.status) == (301, 200)
    assert refused.headers["location"].lower() == "https://shop.test/secure/x?q=1"


async def test_nobody_else_is_believed(upstream: Upstream) -> None:
    node = await start(
        upstream, trusted_ips="10.0.0.0/8", real_ip_header="X-Forwarded-For", real_ip_recursive="on"
    )
    try:
        got = await reached(node, upstream, "X-Forwarded-For: 10.1.1.1\r\nX-Forwarded-Proto: https\r\n")
        assert got["x-real-ip"] == "127.0.0.1"
        assert got["x-forwarded-for"] == "10.1.1.1, 127.0.0.1"
        assert got["x-forwarded-proto"] == "http"
        refused = await node.request("GET", "/secure", {"X-Forwarded-Proto": "https"})
        assert refused.status == 301
    finally:
        await node.stop()


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


async def test_an_ipv6_client_keeps_its_address(upstream: Upstream) -> None:
    if not has_ipv6():  # then nobody can connect so, and the node says what is wrong
        with pytest.raises(AssertionError, match=r"cannot listen on \[::1\]"):
            await Gateway.start(CONFIG.format(url=upstream.url), environment={"KONG_PROXY_LISTEN": "[::1]:0"})
        return
    node = await Gateway.start(
        CONFIG.format(url=upstream.url),
        environment={"KONG_PROXY_LISTEN": "[::1]:0", "KONG_TRUSTED_IPS": "::1"},
    )
    try:
        host, port = node.proxy
        async with connected((host.strip("[]"), port)) as client:
            client.get("/", "X-Real-IP: 2001:db8::7\r\n")
            assert (await client.reply()).status == 200
        assert upstream.received[-1].headers["x-real-ip"] == "2001:db8::7"
    finally:
        await node.stop()


EXPRESSIONS = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes:
  - {{name: far, expression: 'net.src.ip == 8.8.8.8 && net.dst.ip == 127.0.0.1', strip_path: false}}
  - {{name: near, expression: 'net.src.ip in 127.0.0.0/8 && net.dst.port == {port}', strip_path: false}}
"""


async def test_expressions_ask_for_the_client_and_for_where_it_came_to(
    upstream: Upstream, unused_tcp_port: int
) -> None:
    node = await Gateway.start(
        EXPRESSIONS.format(url=upstream.url, port=unused_tcp_port),
        environment={
            "KONG_ROUTER_FLAVOR": "expressions",
            "KONG_TRUSTED_IPS": TRUSTED,
            "KONG_ALLOW_DEBUG_HEADER": "on",
            "KONG_PROXY_LISTEN": f"127.0.0.1:{unused_tcp_port} http2",
        },
    )
    try:
        for address, route in (("8.8.8.8", "far"), ("127.0.0.9", "near"), ("9.9.9.9", None)):
            reply = await node.request("GET", "/", {"X-Real-IP": address, "Kong-Debug": "1"})
            assert reply.headers.get("kong-route-name") == route
        async with http2_connected(node.proxy) as client:
            head, _ = await client.answer(client.request("/", {"x-real-ip": "8.8.8.8", "kong-debug": "1"}))
        assert head["kong-route-name"] == "far"
    finally:
        await node.stop()


# The PROXY protocol


@pytest.fixture(scope="module")
async def balanced(upstream: Upstream) -> AsyncIterator[Gateway]:
    """A balancer that it trusts names the clients."""
    node = await start(
        upstream,
        trusted_ips=TRUSTED,
        real_ip_header="proxy_protocol",
        proxy_listen="127.0.0.1:0 http2 proxy_protocol",
        nginx_http_client_header_timeout="300ms",
    )
    yield node
    await node.stop()


LINE = b"PROXY TCP4 8.8.8.8 127.0.0.1 4711 80\r\n"
SECOND = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + socket.inet_aton("8.8.8.8") + bytes(8)


@pytest.mark.parametrize(
    ("head", "fields", "client", "chain"),
    [
        (LINE, "", "8.8.8.8", "8.8.8.8"),
        (LINE, "X-Forwarded-For: 9.9.9.9\r\nX-Real-IP: 7.7.7.7\r\n", "8.8.8.8", "9.9.9.9, 127.0.0.1"),
        (SECOND, "", "8.8.8.8", "8.8.8.8"),
        (b"PROXY UNKNOWN\r\n", "X-Real-IP: 7.7.7.7\r\n", "127.0.0.1", "127.0.0.1"),
    ],
)
async def test_a_balancer_names_the_client_before_its_first_byte(
    balanced: Gateway, upstream: Upstream, head: bytes, fields: str, client: str, chain: str
) -> None:
    upstream.received.clear()
    async with connected(balanced.proxy) as connection:
        connection.send(head[:9])
        await asyncio.sleep(0)
        connection.send(head[9:])
        for _ in range(2):
            connection.get("/", fields)
            assert (await connection.reply()).status == 200
    for got in upstream.received:
        assert (got.headers["x-real-ip"], got.headers["x-forwarded-for"]) == (client, chain)
    assert len(upstream.received) == 2


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"PROXY TCP4 8.8", b"PROXY TCP4 x y\r\n"]
)
async def test_nobody_is_served_who_is_not_named(balanced: Gateway, upstream: Upstream, said: bytes) -> None:
    upstream.received.clear()
    async with connected(balanced.proxy) as connection:
        connection.send(said)
        assert await connection.rest() == b""
    assert upstream.received == []


async def test_http2_and_its_streams_know_the_client_too(balanced: Gateway, upstream: Upstream) -> None:
    upstream.received.clear()
    async with http2_connected(balanced.proxy, before=LINE) as client:
        for _ in range(2):
            head, _ = await client.answer(client.request("/"))
            assert head[":status"] == "200"
    assert {got.headers["x-real-ip"] for got in upstream.received} == {"8.8.8.8"}
