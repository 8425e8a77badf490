"""The Admin API over TLS, with its own certificate, and for clients with a certificate alone."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.certificates import Authority, Issued
from tests.support.gateway import Gateway, read_reply

CONFIG = '_format_version: "3.0"\nconsumers: [{username: alice}]\n'


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def client(authority: Authority) -> Issued:
    return authority.issue("operator.test")


@pytest.fixture(scope="module")
async def node(authority: Authority) -> AsyncIterator[Gateway]:
    served = authority.issue("localhost")
    gateway = await Gateway.start(
        CONFIG,
        environment={
            "KONG_ADMIN_LISTEN": "127.0.0.1:0 ssl",
            "KONG_ADMIN_SSL_CERT": str(served.certificate),
            "KONG_ADMIN_SSL_CERT_KEY": str(served.key),
            "TOLLHOUSE_ADMIN_SSL_CLIENT_CERTIFICATE": str(authority.file),
        },
    )
    yield gateway
    await gateway.stop()


async def status(node: Gateway, context: ssl.SSLContext) -> int:
    reader, writer = await asyncio.open_connection(*node.admin, ssl=context, server_hostname="localhost")
    try:
        writer.write(b"GET /consumers HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return (await read_reply(reader)).status
    finally:
        writer.close()


async def test_a_client_with_a_certificate_gets_in(
    node: Gateway, authority: Authority, client: Issued
) -> None:
    context = authority.client_context()
    context.load_cert_chain(client.certificate, client.key)
    assert await status(node, context) == 200


async def test_a_client_without_one_does_not(node: Gateway, authority: Authority) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await status(node, authority.client_context())


async def test_a_client_of_another_authority_does_not(
    node: Gateway, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path).issue("operator.test")
    context = authority.client_context()
    context.load_cert_chain(stranger.certificate, stranger.key)
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await status(node, context)
