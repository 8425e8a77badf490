"""TLS on both sides: the `ssl` listener and https services, verified or not."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.certificates import Authority
from tests.support.client import connected
from tests.support.gateway import Gateway
from tests.support.upstream import Received, Upstream, answer_ok, read_request

CONFIG = """_format_version: "3.0"
services:
- name: plain
  url: {url}
  routes:
  - {{name: all, paths: [/], strip_path: false}}
  - {{name: secure, paths: [/secure], protocols: [https]}}
  - {{name: named, paths: [/named], snis: [shop.test]}}
- {{name: trusting, url: "https://127.0.0.1:{secured}", retries: 0, routes: [{{paths: [/trusting]}}]}}
- name: verifying
  url: https://127.0.0.1:{secured}
  retries: 0
  tls_verify: true
  routes: [{{paths: [/verifying]}}]
- name: mismatched
  url: https://localhost:{secured}
  retries: 0
  tls_verify: true
  routes: [{{paths: [/mismatched]}}]
- {{name: cleartext, url: "https://127.0.0.1:{clear}", retries: 0, routes: [{{paths: [/cleartext]}}]}}
"""
BIG = 24 * 1024 * 1024


class SecureUpstream:
    """An HTTPS server; remembers what came and which name was asked for."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.received: list[Received] = []
        self.names: list[str | None] = []
        self._context = context
        context.sni_callback = lambda _, name, __: self.names.append(name)

    async def start(self) -> "SecureUpstream":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    def stop(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (received := await read_request(reader)) is not None:
                self.received.append(received)
                if received.target == "/until-close":
                    writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * BIG)
                    await writer.drain()
                    break
                await answer_ok(received, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
async def secure(authority: Authority) -> AsyncIterator[SecureUpstream]:
    server = await SecureUpstream(authority.issue("127.0.0.1", "other.test").server_context()).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
async def cleartext() -> AsyncIterator[int]:
    """The port of a server that answers whatever comes in plain text."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture(scope="module")
async def node(
    upstream: Upstream, secure: SecureUpstream, cleartext: int, authority: Authority
) -> AsyncIterator[Gateway]:
    issued = authority.issue("gw.test", "shop.test")
    gateway = await Gateway.start(
        CONFIG.format(url=upstream.url, clear=cleartext, secured=secure.port),
        environment={
            "KONG_PROXY_LISTEN": "127.0.0.1:0 ssl",
            "KONG_SSL_CERT": str(issued.certificate),
            "KONG_SSL_CERT_KEY": str(issued.key),
            "SSL_CERT_FILE": str(authority.file),  # stands for the system's authorities
        },
    )
    yield gateway
    await gateway.stop()


# Towards clients


async def test_a_client_is_served_over_tls(node: Gateway, upstream: Upstream, authority: Authority) -> None:
    tls = authority.client_context()
    async with connected(node.proxy, tls=tls, server_name="gw.test") as client:
        for _ in range(2):
            client.get("/x")
            assert (await client.reply()).status == 200

    got = upstream.received[-1].headers
    assert got["x-forwarded-proto"] == "https"
    assert got["x-forwarded-port"] == str(node.proxy[1])


async def test_a_route_may_ask_for_https_and_for_a_name(
    node: Gateway, upstream: Upstream, authority: Authority
) -> None:
    tls = authority.client_context()
    async with connected(node.proxy, tls=tls, server_name="shop.test") as client:
        for path in ("/secure", "/named"):
            client.get(path)
            assert (await client.reply()).status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_living_versions_are_spoken(
    node: Gateway, authority: Authority, version: ssl.TLSVersion
) -> None:
    tls = authority.client_context()
    tls.minimum_version = tls.maximum_version = version
    tls.set_alpn_protocols(["h2", "http/1.1"])
    async with connected(node.proxy, tls=tls, server_name="gw.test") as client:
        chosen = client.writer.get_extra_info("ssl_object").selected_alpn_protocol()
        client.get("/")
        status = (await client.reply()).status

    assert (chosen, status) == ("http/1.1", 200)


async def test_large_bodies_pass_both_ways(node: Gateway, upstream: Upstream, authority: Authority) -> None:
    body = bytes(range(256)) * 4000

    async def echo(received: Received, writer: asyncio.StreamWriter) -> bool:
        content = received.body
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content))
        return True

    upstream.answer = echo
    tls = authority.client_context()
    async with connected(node.proxy, tls=tls, server_name="gw.test") as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        reply = await client.reply()
    upstream.answer = answer_ok

    assert reply.body == body


async def test_plain_http_on_a_tls_port_harms_nobody(node: Gateway, authority: Authority) -> None:
    async with connected(node.proxy) as client:
        client.get("/")
        await client.rest()

    async with connected(node.proxy, tls=authority.client_context(), server_name="gw.test") as client:
        client.get("/")
        assert (await client.reply()).status == 200


async def test_without_a_certificate_one_is_made(upstream: Upstream) -> None:
    node = await Gateway.start(
        CONFIG.format(url=upstream.url, clear=1, secured=1),
        environment={"KONG_PROXY_LISTEN": "127.0.0.1:0 ssl"},
    )
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    try:
        async with connected(node.proxy, tls=tls, server_name="anything.test") as client:
            client.get("/")
            assert (await client.reply()).status == 200
    finally:
        await node.stop()


async def test_a_certificate_that_cannot_be_read_stops_the_start(tmp_path: Path, upstream: Upstream) -> None:
    environment = {
        "KONG_PROXY_LISTEN": "127.0.0.1:0 ssl",
        "KONG_SSL_CERT": str(tmp_path / "none.pem"),
        "KONG_SSL_CERT_KEY": str(tmp_path / "none.key"),
    }

    with pytest.raises(AssertionError, match="KONG_SSL_CERT"):
        await Gateway.start(CONFIG.format(url=upstream.url, clear=1, secured=1), environment=environment)


# Towards targets


async def ask(node: Gateway, authority: Authority, path: str) -> tuple[int, bytes]:
    async with connected(node.proxy, tls=authority.client_context(), server_name="gw.test") as client:
        client.get(path)
        reply = await client.reply()
    return reply.status, reply.body


@pytest.mark.parametrize("path", ["/trusting", "/verifying"])
async def test_an_https_service_is_reached(
    node: Gateway, authority: Authority, secure: SecureUpstream, path: str
) -> None:
    assert (await ask(node, authority, path))[0] == 200
    assert secure.received[-1].headers["host"] == f"127.0.0.1:{secure.port}"


async def test_a_certificate_for_another_name_is_a_502(
    node: Gateway, authority: Authority, secure: SecureUpstream
) -> None:
    before = len(secure.received)

    assert (await ask(node, authority, "/mismatched"))[0] == 502
    assert len(secure.received) == before
    assert secure.names[-1] == "localhost"


async def test_an_unknown_authority_is_a_502_only_for_those_who_verify(
    upstream: Upstream, secure: SecureUpstream
) -> None:
    node = await Gateway.start(CONFIG.format(url=upstream.url, clear=1, secured=secure.port))
    try:
        assert (await node.request("GET", "/verifying")).status == 502
        assert (await node.request("GET", "/trusting")).status == 200
    finally:
        await node.stop()


async def test_a_target_that_speaks_no_tls_is_a_502(node: Gateway, authority: Authority) -> None:
    assert (await ask(node, authority, "/cleartext"))[0] == 502


async def test_a_body_until_close_comes_whole_to_a_slow_client(node: Gateway, authority: Authority) -> None:
    async with connected(node.proxy, tls=authority.client_context(), server_name="gw.test") as client:
        client.stop_reading()
        client.get("/trusting/until-close")
        await asyncio.sleep(0.3)
        client.read_on()
        reply = await client.reply()

    assert len(reply.body) == BIG
