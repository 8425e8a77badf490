"""TLS without HTTP: ended at the gateway, passed on untouched, and spoken with targets."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator

import pytest
from tests.support.certificates import Authority
from tests.support.gateway import Gateway
from tests.support.tcp import PATIENCE_SECONDS, TcpServer, talking

CONFIG = """_format_version: "3.0"
certificates:
- {{id: 00000000-0000-4000-8000-000000000001, cert: {cert}, key: {key}, snis: [{{name: "*.ended.test"}}]}}
- {own}
ca_certificates: [{{id: 00000000-0000-4000-8000-0000000000aa, cert: {authority}}}]
services:
- {{name: clear, url: "tcp://127.0.0.1:{clear}", routes: [
    {{name: ended, protocols: [tls], snis: [a.ended.test]}}]}}
- {{name: passed, url: "tls://127.0.0.1:{secured}", routes: [
    {{name: passed, protocols: [tls_passthrough], snis: [a.passed.test]}}]}}
- name: again
  protocol: tls
  host: pool
  retries: 0
  tls_verify: true
  ca_certificates: [00000000-0000-4000-8000-0000000000aa]
  client_certificate: 00000000-0000-4000-8000-000000000002
  routes: [{{name: again, protocols: [tls], snis: [b.ended.test]}}]
- name: distrusted
  url: "tls://127.0.0.1:{secured}"
  retries: 0
  tls_verify: true
  routes: [{{name: distrusted, protocols: [tls], snis: [c.ended.test]}}]
- {{name: usual, protocol: tls, host: pool, retries: 0, routes: [
    {{name: usual, protocols: [tls], snis: [d.ended.test]}}]}}
- {{name: kept, protocol: tls, host: pool, retries: 0, tls_verify: false, routes: [
    {{name: kept, protocols: [tls], snis: [f.ended.test], preserve_host: true}}]}}
- {{name: misnamed, url: "tls://127.0.0.1:{secured}", retries: 0, routes: [
    {{name: misnamed, protocols: [tls], snis: [e.ended.test]}}]}}
upstreams:
- {{name: pool, host_header: a.passed.test, targets: [{{target: "127.0.0.1:{secured}"}}]}}
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
async def servers(authority: Authority) -> AsyncIterator[dict[str, TcpServer]]:
    context = authority.issue("a.passed.test").server_context()
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_OPTIONAL
    found = {"clear": await TcpServer("clear").start(), "secured": await TcpServer("secured").start(context)}
    yield found
    for server in found.values():
        server.stop()


@pytest.fixture(scope="module")
async def node(servers: dict[str, TcpServer], authority: Authority) -> AsyncIterator[Gateway]:
    ended = authority.issue("*.ended.test")
    config = CONFIG.format(
        cert=json.dumps(ended.certificate.read_text()),
        key=json.dumps(ended.key.read_text()),
        own=authority.issue("gateway.test").entity("00000000-0000-4000-8000-000000000002"),
        authority=json.dumps(authority.pem),
        **{name: server.port for name, server in servers.items()},
    )
    gateway = await Gateway.start(
        config,
        environment={
            "KONG_STREAM_LISTEN": "127.0.0.1:0 ssl",
            "KONG_NGINX_HTTP_CLIENT_HEADER_TIMEOUT": "2s",
            "KONG_NGINX_SPROXY_PROXY_SSL_VERIFY": "on",
            "KONG_NGINX_SPROXY_PROXY_SSL_TRUSTED_CERTIFICATE": str(authority.file),
            "KONG_CLIENT_SSL": "on",
            "KONG_CLIENT_SSL_CERT": str(ended.certificate),
            "KONG_CLIENT_SSL_CERT_KEY": str(ended.key),
        },
    )
    yield gateway
    await gateway.stop()


async def test_tls_ends_at_the_gateway_with_the_certificate_of_the_name(
    node: Gateway, authority: Authority
) -> None:
    tls = authority.client_context()
    async with talking(node.addresses["stream0"], tls=tls, name="a.ended.test") as client:
        assert await client.line() == b"clear\n"
        assert await client.say(b"hello\n") == b"hello\n"
        secured = client.writer.get_extra_info("ssl_object")
        assert secured.selected_alpn_protocol() is None


async def test_tls_is_passed_on_as_it_comes(
    node: Gateway, authority: Authority, servers: dict[str, TcpServer]
) -> None:
    tls = authority.client_context()  # which checks that the server itself has answered
    async with talking(node.addresses["stream0"], tls=tls, name="a.passed.test") as client:
        assert await client.line() == b"secured\n"
        assert await client.say(b"hello\n") == b"hello\n"
    assert servers["secured"].asked[-1] == "a.passed.test"
    assert servers["secured"].shown[-1] is False


async def test_a_target_is_spoken_to_in_tls_with_the_services_certificate(
    node: Gateway, authority: Authority, servers: dict[str, TcpServer]
) -> None:
    tls = authority.client_context()
    async with talking(node.addresses["stream0"], tls=tls, name="b.ended.test") as client:
        assert await client.line() == b"secured\n"
        assert await client.say(b"hello\n") == b"hello\n"
    assert servers["secured"].asked[-1] == "a.passed.test"
    assert servers["secured"].shown[-1] is True


async def test_a_target_that_is_not_trusted_gets_nothing(node: Gateway, authority: Authority) -> None:
    tls = authority.client_context()
    async with talking(node.addresses["stream0"], tls=tls, name="c.ended.test") as client:
        assert await client.rest() == b""
    await node.until_logged("status: 502, err: tls_failed")


async def test_services_that_say_nothing_are_verified_and_shown_what_the_node_says(
    node: Gateway, authority: Authority, servers: dict[str, TcpServer]
) -> None:
    tls = authority.client_context()
    async with talking(node.addresses["stream0"], tls=tls, name="d.ended.test") as client:
        assert await client.line() == b"secured\n"
    assert servers["secured"].shown[-1] is True
    async with talking(node.addresses["stream0"], tls=tls, name="e.ended.test") as client:
        assert await client.rest() == b""


async def test_a_target_is_asked_for_by_the_name_that_is_preserved(
    node: Gateway, authority: Authority, servers: dict[str, TcpServer]
) -> None:
    tls = authority.client_context()
    async with talking(node.addresses["stream0"], tls=tls, name="f.ended.test") as client:
        assert await client.line() == b"secured\n"
    assert servers["secured"].asked[-1] == "f.ended.test"


async def test_megabytes_pass_through_tls(node: Gateway, authority: Authority) -> None:
    data = bytes(range(256)) * 4096 * 4
    for name in ("a.ended.test", "a.passed.test", "b.ended.test"):
        async with talking(node.addresses["stream0"], tls=authority.client_context(), name=name) as client:
            await client.line()
            client.writer.write(data)
            async with asyncio.timeout(60):
                assert await client.reader.readexactly(len(data)) == data


@pytest.mark.parametrize("piece", [1, 100])
async def test_a_handshake_in_small_pieces(node: Gateway, authority: Authority, piece: int) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = authority.client_context().wrap_bio(incoming, outgoing, server_hostname="a.passed.test")
    async with talking(node.addresses["stream0"]) as client:
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                said = outgoing.read()
                for place in range(0, len(said), piece):
                    client.writer.write(said[place : place + piece])
                    await client.writer.drain()
                    await asyncio.sleep(0)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    incoming.write(await client.reader.read(65_536))
            else:
                break
        assert tls.version() == "TLSv1.3"


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00"])
async def test_what_is_no_handshake_or_does_not_come_is_disconnected(node: Gateway, said: bytes) -> None:
    async with talking(node.addresses["stream0"]) as client:
        client.writer.write(said)
        assert await client.rest() == b""


async def test_a_client_that_goes_within_its_handshake_is_forgotten(node: Gateway) -> None:
    async with talking(node.addresses["stream0"]) as client:
        client.writer.write(b"\x16\x03\x01\x02\x00\x01\x00")
        client.writer.write_eof()
        assert await client.rest() == b""
    await node.until_logged("err: the client has gone before its handshake")


async def test_a_name_that_no_route_is_for_is_disconnected(node: Gateway, authority: Authority) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        async with talking(node.addresses["stream0"], tls=authority.client_context(), name="x.test"):
            pass
