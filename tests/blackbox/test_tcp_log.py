"""tcp-log: lines on a connection that is kept, over TLS if asked, and again when the collector is back."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.support.certificates import Authority
from tests.support.collectors import Lines
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream


@pytest.fixture(scope="module")
async def plain() -> AsyncIterator[Lines]:
    collector = await Lines.listen()
    yield collector
    await collector.stop()


@pytest.fixture(scope="module")
async def secured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lines]:
    folder: Path = tmp_path_factory.mktemp("tls")
    collector = await Lines.listen(Authority(folder).issue("collector.test").server_context())
    yield collector
    await collector.stop()


@pytest.fixture(scope="module")
async def node(upstream: Upstream, plain: Lines, secured: Lines) -> AsyncIterator[Gateway]:
    plugins = {
        "plain": f"port: {plain.port}",
        "custom": f"port: {plain.port}, custom_fields_by_lua: {{request: return nil, added: return 1}}",
        "short": f"port: {plain.port}, keepalive: 0",
        "tls": f"port: {secured.port}, tls: true, tls_sni: collector.test",
        "verified": f"port: {secured.port}, tls: true, ssl_verify: true, timeout: 5000",
    }
    routes = "\n".join(
        f"  - {{name: {name}, paths: [/{name}], "
        f"plugins: [{{name: tcp-log, config: {{host: 127.0.0.1, {config}}}}}]}}"
        for name, config in plugins.items()
    )
    gateway = await Gateway.start(
        f"_format_version: '3.0'\nservices:\n- url: {upstream.url}\n  routes:\n{routes}\n"
    )
    yield gateway
    await gateway.stop()


async def test_each_exchange_is_a_line_of_json(node: Gateway, plain: Lines) -> None:
    for _ in range(3):
        await node.request("GET", "/plain")

    lines = await plain.until(3, lambda line: b'"name":"plain"' in line)
    assert {msgspec.json.decode(line)["request"]["uri"] for line in lines} == {"/plain"}
    assert plain.connections == 1, "the connection is kept"


async def test_fields_can_be_added_and_taken_out(node: Gateway, plain: Lines) -> None:
    await node.request("GET", "/custom")
    (line,) = await plain.until(1, lambda line: b'"name":"custom"' in line)
    assert msgspec.json.decode(line)["added"] == 1
    assert "request" not in msgspec.json.decode(line)


async def test_a_connection_may_be_for_one_line_only(node: Gateway, plain: Lines) -> None:
    before = plain.connections
    for number in range(1, 4):
        await node.request("GET", "/short")
        await plain.until(number, lambda line: b'"name":"short"' in line)
    assert plain.connections - before == 3


async def test_a_collector_may_answer_and_close_after_each_line(node: Gateway, plain: Lines) -> None:
    plain.hang_up()
    plain.parting = b"taken\n"
    before = len(plain.heard)
    for number in range(1, 4):
        await node.request("GET", "/plain")
        await plain.until(before + number)
    plain.parting = None


async def test_lines_go_over_tls_under_the_name_that_is_set(node: Gateway, secured: Lines) -> None:
    await node.request("GET", "/tls")
    await secured.until(1, lambda line: b'"name":"tls"' in line)
    assert secured.names == ["collector.test"]


async def test_a_certificate_that_is_not_trusted_gets_nothing_if_it_is_checked(
    node: Gateway, secured: Lines
) -> None:
    await node.request("GET", "/verified")
    await node.until_logged("CERTIFICATE_VERIFY_FAILED")
    assert not [line for line in secured.heard if b'"name":"verified"' in line]


async def test_lines_wait_for_a_collector_that_is_away(upstream: Upstream) -> None:
    collector = await Lines.listen()
    node = await Gateway.start(
        f"_format_version: '3.0'\nservices:\n- url: {upstream.url}\n  routes: [{{paths: [/]}}]\n"
        f"plugins: [{{name: tcp-log, config: {{host: localhost, port: {collector.port}}}}}]\n"
    )
    try:
        await node.request("GET", "/first")
        await collector.until(1)
        await collector.stop()
        for number in range(20):
            await node.request("GET", f"/away-{number}")
        again = await Lines.listen(port=collector.port)
        lines = await again.until(15)
        assert len({msgspec.json.decode(line)["request"]["uri"] for line in lines}) >= 15
        await again.stop()
    finally:
        await node.stop()
