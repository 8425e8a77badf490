"""Certificates: shown by name, changed while connections stay, asked of clients, shown to upstreams."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.support.certificates import Authority, Issued
from tests.support.client import connected
from tests.support.gateway import Gateway
from tests.support.upstream import Received, Upstream, answer_ok, read_request

CONFIG = """_format_version: "3.0"
services:
- {{name: plain, url: "{url}", routes: [{{name: all, paths: [/]}}]}}
certificates:
- {{id: 00000000-0000-4000-8000-000000000001, cert: {cert}, key: {key},
    cert_alt: {cert_alt}, key_alt: {key_alt}, snis: [{{name: exact.shop.test}}]}}
- {{id: 00000000-0000-4000-8000-000000000002, cert: {left}, key: {left_key}, snis: [{{name: "*.shop.test"}}]}}
- {{id: 00000000-0000-4000-8000-000000000003, cert: {right}, key: {right_key}, snis: [{{name: "shop.*"}}]}}
"""
ANY = """- {{id: 00000000-0000-4000-8000-000000000004, cert: {any}, key: {any_key}, snis: [{{name: "*"}}]}}
"""


def text(file: Path) -> str:
    return json.dumps(file.read_text())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def config(authority: Authority, url: str, exact: str, *, with_any: bool = True) -> str:
    pairs = {
        "cert": authority.issue(exact),
        "cert_alt": authority.issue(exact, with_rsa=True),
        "left": authority.issue("left.test"),
        "right": authority.issue("right.test"),
        "any": authority.issue("any.test"),
    }
    values = {"url": url}
    for name, issued in pairs.items():
        values[name] = text(issued.certificate)
        values[name.replace("cert", "key") if "cert" in name else f"{name}_key"] = text(issued.key)
    return (CONFIG + (ANY if with_any else "")).format(**values)


@pytest.fixture(scope="module")
async def node(upstream: Upstream, authority: Authority) -> AsyncIterator[Gateway]:
    own = authority.issue("own.test")
    gateway = await Gateway.start(
        config(authority, upstream.url, "first.test"),
        environment={
            "KONG_PROXY_LISTEN": "127.0.0.1:0 ssl",
            "KONG_SSL_CERT": str(own.certificate),
            "KONG_SSL_CERT_KEY": str(own.key),
        },
    )
    yield gateway
    await gateway.stop()


def trusting(authority: Authority) -> ssl.SSLContext:
    context = authority.client_context()
    context.check_hostname = False
    return context


async def shown(node: Gateway, tls: ssl.SSLContext, name: str | None) -> x509.Certificate:
    async with connected(node.proxy, tls=tls, server_name=name or "") as client:
        secured = client.writer.get_extra_info("ssl_object")
        client.get("/")
        assert (await client.reply()).status == 200
        return x509.load_der_x509_certificate(secured.getpeercert(binary_form=True))


def name_of(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string().removeprefix("CN=")


@pytest.mark.parametrize(
    ("asked", "common_name"),
    [
        ("exact.shop.test", "first.test"),
        ("EXACT.shop.test", "first.test"),
        ("other.shop.test", "left.test"),
        ("shop.example", "right.test"),
        ("a.b.shop.test", "any.test"),
        ("nobody.test", "any.test"),
    ],
)
async def test_a_name_decides_which_certificate_is_shown(
    node: Gateway, authority: Authority, asked: str, common_name: str
) -> None:
    assert name_of(await shown(node, trusting(authority), asked)) == common_name


async def test_the_key_type_that_the_client_wants_is_shown(node: Gateway, authority: Authority) -> None:
    tls = trusting(authority)
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    tls.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")

    certificate = await shown(node, tls, "exact.shop.test")

    assert isinstance(certificate.public_key(), rsa.RSAPublicKey)


async def test_a_new_certificate_is_shown_while_open_connections_stay(
    upstream: Upstream, authority: Authority
) -> None:
    own = authority.issue("own.test")
    node = await Gateway.start(
        config(authority, upstream.url, "before.test", with_any=False),
        environment={
            "KONG_PROXY_LISTEN": "127.0.0.1:0 ssl",
            "KONG_SSL_CERT": str(own.certificate),
            "KONG_SSL_CERT_KEY": str(own.key),
        },
    )
    tls = trusting(authority)
    try:
        assert name_of(await shown(node, tls, "nobody.test")) == "own.test"
        async with connected(node.proxy, tls=tls, server_name="exact.shop.test") as open_before:
            open_before.get("/")
            assert (await open_before.reply()).status == 200
            assert name_of(await shown(node, tls, "exact.shop.test")) == "before.test"

            loaded = await node.configure(config(authority, upstream.url, "after.test"))
            assert loaded.status == 201

            assert name_of(await shown(node, tls, "exact.shop.test")) == "after.test"
            assert name_of(await shown(node, tls, "nobody.test")) == "any.test"
            open_before.get("/")
            assert (await open_before.reply()).status == 200
    finally:
        await node.stop()


async def test_all_workers_show_the_same_made_up_certificate(upstream: Upstream) -> None:
    node = await Gateway.start(
        f'_format_version: "3.0"\nservices: [{{url: "{upstream.url}", routes: [{{paths: [/]}}]}}]\n',
        workers=2,
        environment={"KONG_PROXY_LISTEN": "127.0.0.1:0 ssl"},
    )
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    try:
        seen = {(await shown(node, tls, None)).serial_number for _ in range(12)}
        mode = (node.folder / "ssl" / "tollhouse-default.key").stat().st_mode
    finally:
        await node.stop()

    assert len(seen) == 1
    assert mode & 0o077 == 0


async def test_a_modern_suite_speaks_nothing_older_than_1_3(upstream: Upstream) -> None:
    node = await Gateway.start(
        f'_format_version: "3.0"\nservices: [{{url: "{upstream.url}", routes: [{{paths: [/]}}]}}]\n',
        environment={"KONG_PROXY_LISTEN": "127.0.0.1:0 ssl", "KONG_SSL_CIPHER_SUITE": "modern"},
    )
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    try:
        await shown(node, tls, None)
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await shown(node, tls, None)
    finally:
        await node.stop()


# Clients' certificates

ASKING = """_format_version: "3.0"
ca_certificates: [{{id: 00000000-0000-4000-8000-0000000000aa, cert: {authority}}}]
consumers: [{{username: device.test}}]
services:
- url: {url}
  routes: [{{name: guarded, paths: [/guarded]}}, {{name: open, paths: [/open]}}]
plugins:
- name: mtls-auth
  route: guarded
  config: {{ca_certificates: [00000000-0000-4000-8000-0000000000aa]}}
"""


async def test_a_client_says_who_it_is_by_a_certificate(upstream: Upstream, authority: Authority) -> None:
    node = await Gateway.start(
        ASKING.format(url=upstream.url, authority=json.dumps(authority.pem)),
        environment={"KONG_PROXY_LISTEN": "127.0.0.1:0 ssl"},
    )
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    device = ssl.create_default_context()
    device.check_hostname, device.verify_mode = False, ssl.CERT_NONE
    issued = authority.issue("device.test")
    device.load_cert_chain(issued.certificate, issued.key)
    try:
        statuses = []
        for tls, path in ((anybody, "/open"), (anybody, "/guarded"), (device, "/guarded")):
            async with connected(node.proxy, tls=tls, server_name="gw.test") as client:
                client.get(path)
                statuses.append((await client.reply()).status)
    finally:
        await node.stop()

    assert statuses == [200, 401, 200]
    assert upstream.received[-1].headers["x-consumer-username"] == "device.test"


# Upstreams

UPSTREAMS = """_format_version: "3.0"
certificates: [{pair}, {other}]
ca_certificates: [{{id: 00000000-0000-4000-8000-0000000000aa, cert: {authority}}}]
upstreams:
- name: pool
  client_certificate: {{id: 00000000-0000-4000-8000-000000000012}}
  host_header: target.test
  targets: [{{target: "127.0.0.1:{port}"}}]
- name: probed
  client_certificate: {{id: 00000000-0000-4000-8000-000000000012}}
  healthchecks: &https
    active: {{type: https, healthy: {{interval: 0.1}}, unhealthy: {{interval: 0.1, tcp_failures: 1}}}}
  targets: [{{target: "127.0.0.1:{probed}"}}]
- name: unshown
  healthchecks: *https
  targets: [{{target: "127.0.0.1:{probed}"}}]
services:
- name: shown
  url: https://127.0.0.1:{port}
  client_certificate: 00000000-0000-4000-8000-000000000011
  tls_verify: true
  tls_verify_depth: 0
  ca_certificates: [00000000-0000-4000-8000-0000000000aa]
  retries: 0
  routes: [{{paths: [/shown]}}, {{paths: [/asked], preserve_host: true}}]
- {{name: bare, url: "https://127.0.0.1:{port}", retries: 0, routes: [{{paths: [/bare]}}]}}
- {{name: pooled, url: "https://pool", retries: 0, routes: [{{paths: [/pooled]}}]}}
"""


class DemandingUpstream:
    """An HTTPS server that wants to know who calls; remembers that, and the name it was called by."""

    def __init__(self, issued: Issued, authority: Authority) -> None:
        self.callers: list[str] = []
        self.names: list[str | None] = []
        self._context = issued.server_context()
        self._context.load_verify_locations(authority.file)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.sni_callback = lambda _, name, __: self.names.append(name)

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        return int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (received := await read_request(reader)) is not None:
                await self._answer(received, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, received: Received, writer: asyncio.StreamWriter) -> None:
        subject = writer.get_extra_info("peercert")["subject"]
        self.callers.append(dict(pair for group in subject for pair in group)["commonName"])
        await answer_ok(received, writer)


async def test_upstreams_are_shown_certificates_and_asked_by_name(authority: Authority) -> None:
    server = DemandingUpstream(authority.issue("127.0.0.1", "target.test", "asked.test"), authority)
    probed = DemandingUpstream(authority.issue("127.0.0.1"), authority)
    port, probed_port = await server.start(), await probed.start()
    node = await Gateway.start(
        UPSTREAMS.format(
            port=port,
            probed=probed_port,
            authority=json.dumps(authority.pem),
            pair=authority.issue("gateway.test").entity("00000000-0000-4000-8000-000000000011"),
            other=authority.issue("upstream.test").entity("00000000-0000-4000-8000-000000000012"),
        ),
        environment={"KONG_LUA_SSL_TRUSTED_CERTIFICATE": str(authority.file)},
    )
    try:
        await node.until_logged("of upstream unshown is unhealthy by its probes")
        async with asyncio.timeout(20):
            while not probed.callers:
                await asyncio.sleep(0.02)
        assert not any("of upstream probed" in line for line in node.errors)
        statuses = [
            (await node.request("GET", path, {"Host": "asked.test:8080"})).status
            for path in ("/shown", "/asked", "/pooled", "/bare")
        ]
    finally:
        await node.stop()
        server.stop()
        probed.stop()

    assert statuses == [200, 200, 200, 502]
    assert set(probed.callers) == {"upstream.test"}, "which probes show too, and check who answers"
    assert server.callers == ["gateway.test", "gateway.test", "upstream.test"]
    assert server.names[:3] == [None, "asked.test", "target.test"]
