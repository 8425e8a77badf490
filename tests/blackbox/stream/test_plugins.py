"""Plugins on connections without HTTP: who gets in, what is logged and counted."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.certificates import Authority
from tests.support.collectors import Datagrams, Lines, naming
from tests.support.gateway import Gateway
from tests.support.lines import lines_of
from tests.support.prometheus import Scrape
from tests.support.tcp import TcpServer, talking
from tests.support.upstream import Upstream

CONFIG = """_format_version: "3.0"
certificates: [{certificate}]
snis: [{{name: a.test, certificate: {{id: 00000000-0000-4000-8000-000000000001}}}}]
services:
- {{name: echo, url: "tcp://127.0.0.1:{port}", routes: [
    {{name: logged, protocols: [tcp], sources: [{{ip: 127.0.1.1}}], plugins: [
      {{name: file-log, protocols: [tcp, tls], config: {{path: {log}, custom_fields_by_lua: {{
        workspace_name: return nil, "from": "return kong.client.get_ip()",
        "way.route": "return kong.router.get_route().name"}}}}}},
      {{name: http-log, protocols: [tcp], config: {{http_endpoint: "{http}/records"}}}},
      {{name: tcp-log, protocols: [tcp], config: {{host: 127.0.0.1, port: {tcp}}}}},
      {{name: udp-log, protocols: [tcp], config: {{host: 127.0.0.1, port: {udp}}}}}]}},
    {{name: counted, protocols: [tcp], sources: [{{ip: 127.0.1.2}}], plugins: [
      {{name: statsd, protocols: [tcp], config: {{host: 127.0.0.1, port: {udp}, prefix: counted, metrics: [
        {{name: request_count, stat_type: counter, sample_rate: 1}},
        {{name: request_size, stat_type: gauge, sample_rate: 1}}]}}}},
      {{name: datadog, protocols: [tcp], config: {{host: 127.0.0.1, port: {udp}, prefix: dog}}}},
      {{name: zipkin, protocols: [tcp], config: {{http_endpoint: "{http}/spans", sample_ratio: 1,
        queue: {{max_batch_size: 3, max_coalescing_delay: 1}}}}}},
      {{name: loggly, protocols: [tcp], config: {{key: k, host: 127.0.0.1, port: {udp}}}}}]}},
    {{name: denied, protocols: [tcp], sources: [{{ip: 127.0.1.3}}, {{ip: 127.0.1.4}}], plugins: [
      {{name: ip-restriction, config: {{deny: [127.0.1.3]}}}},
      {{name: file-log, protocols: [tcp], config: {{path: {log}}}}}]}},
    {{name: secured, protocols: [tls], snis: [a.test], plugins: [
      {{name: file-log, protocols: [tls], config: {{path: {log}}}}}]}},
    {{name: web, paths: [/], plugins: [{{name: request-termination, config: {{status_code: 204}}}}]}}]}}
- {{name: away, url: "tcp://127.0.0.1:1", retries: 1, routes: [
    {{name: away, protocols: [tcp], sources: [{{ip: 127.0.1.5}}], plugins: [
      {{name: file-log, protocols: [tcp], config: {{path: {log}}}}}]}}]}}
plugins:
- {{name: prometheus, protocols: [http, tcp], config: {{
    status_code_metrics: true, bandwidth_metrics: true, latency_metrics: true}}}}
- {{name: ip-restriction, protocols: [tcp], config: {{deny: [127.0.0.1]}}}}
- {{name: key-auth}}
"""


@pytest.fixture(scope="module")
async def udp() -> AsyncIterator[Datagrams]:
    collector = await Datagrams.listen()
    yield collector
    collector.stop()


@pytest.fixture(scope="module")
async def tcp() -> AsyncIterator[Lines]:
    collector = await Lines.listen()
    yield collector
    await collector.stop()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs") / "streams.log"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[TcpServer]:
    found = await TcpServer("echo").start()
    yield found
    found.stop()


@pytest.fixture(scope="module")
async def node(
    server: TcpServer, upstream: Upstream, udp: Datagrams, tcp: Lines, log: Path, authority: Authority
) -> AsyncIterator[Gateway]:
    certificate = authority.issue("a.test").entity("00000000-0000-4000-8000-000000000001")
    ports = {"port": server.port, "tcp": tcp.port, "udp": udp.port}
    gateway = await Gateway.start(
        CONFIG.format(log=log, http=upstream.url, certificate=certificate, **ports),
        environment={"KONG_STREAM_LISTEN": "127.0.0.1:0, 127.0.0.1:0 ssl"},
    )
    yield gateway
    await gateway.stop()


async def talk(node: Gateway, source: str, said: bytes = b"hello\n") -> bytes:
    """A whole connection: what was answered."""
    async with talking(node.addresses["stream0"], source=(source, 0)) as client:
        client.writer.write(said)
        with suppress(OSError):  # it may be refused already
            client.writer.write_eof()
        return await client.rest()


async def records(log: Path, route: str) -> list[dict[str, Any]]:
    """The records of a route that are there, at least one."""
    count = 1
    while True:
        lines = await lines_of(log, count)
        found = [msgspec.json.decode(line) for line in lines]
        if any(record["route"]["name"] == route for record in found):
            return [record for record in found if record["route"]["name"] == route]
        count = len(lines) + 1


async def test_a_connection_has_a_record_when_it_has_ended(
    node: Gateway, log: Path, server: TcpServer
) -> None:
    assert await talk(node, "127.0.1.1") == b"echo\nhello\nbye\n"

    (record,) = await records(log, "logged")
    listener = node.addresses["stream0"][1]
    assert record["session"] == {"received": 6, "sent": 15, "status": 200, "server_port": listener}
    assert record["upstream"] == {"received": 15, "sent": 6}
    assert record["latencies"].keys() == {"kong", "session"}
    assert record["service"]["name"] == "echo"
    assert record["client_ip"] == "127.0.1.1"
    (attempt,) = record["tries"]
    assert (attempt["ip"], attempt["port"]) == ("127.0.0.1", server.port)
    assert "state" not in attempt
    assert record["from"] == "127.0.1.1"
    assert record["way"] == {"route": "logged"}
    assert "workspace_name" not in record


async def test_records_go_to_collectors_of_every_kind(
    node: Gateway, upstream: Upstream, udp: Datagrams, tcp: Lines
) -> None:
    await talk(node, "127.0.1.1")

    for collector in (udp, tcp):
        record = msgspec.json.decode((await collector.until(1, naming("logged")))[0])
        assert record["session"]["status"] == 200
    await tcp.until(1)
    assert any(received.target == "/records" for received in upstream.received)


async def test_metrics_go_to_statsd_datadog_and_loggly(node: Gateway, udp: Datagrams) -> None:
    await talk(node, "127.0.1.2")

    await udp.until(1, lambda piece: b"counted.service.echo.request.count:1|c" in piece)
    await udp.until(1, lambda piece: b"counted.service.echo.request.size:6|g" in piece)
    await udp.until(1, lambda piece: b"dog.request.size:6|" in piece and b"status:200" in piece)
    await udp.until(1, lambda piece: b"[k@" in piece and b'"name":"counted"' in piece)


async def test_a_connection_is_a_trace_for_zipkin(node: Gateway, upstream: Upstream) -> None:
    await talk(node, "127.0.1.2")
    await upstream.until(1, "/spans")

    body = next(each.body for each in upstream.received if each.target == "/spans")
    request, proxied, attempt = msgspec.json.decode(body)[:3]
    assert [span["name"] for span in (request, proxied, attempt)] == [
        "stream", "stream (proxy)", "stream (balancer try 1)"
    ]  # fmt: skip
    assert (request["kind"], "parentId" in request) == ("SERVER", False)
    assert {span["parentId"] for span in (proxied, attempt)} == {request["id"]}
    assert [each["value"] for each in proxied["annotations"]] == ["kps", "kpf"]
    assert (proxied["tags"]["kong.route_name"], attempt["tags"]["kong.balancer.try"]) == ("counted", "1")
    assert attempt["remoteEndpoint"]["serviceName"] == "echo"


async def test_addresses_are_kept_out_without_a_word(node: Gateway, log: Path, server: TcpServer) -> None:
    before = server.connections

    assert await talk(node, "127.0.1.3") == b""

    assert server.connections == before
    await node.until_logged("of 127.0.1.3, status: 403, err: IP address not allowed: 127.0.1.3")
    (record,) = await records(log, "denied")
    assert record["session"]["status"] == 403
    assert record["tries"] == []
    assert await talk(node, "127.0.1.4") == b"echo\nhello\nbye\n"


async def test_plugins_count_for_the_protocols_that_they_are_for(node: Gateway) -> None:
    # The global ip-restriction is for TCP alone and key-auth for HTTP alone.
    assert (await node.request("GET", "/")).status == 401
    assert (await node.request("GET", "/", {"apikey": "x"})).status == 401


async def test_attempts_that_failed_are_in_the_record(node: Gateway, log: Path) -> None:
    assert await talk(node, "127.0.1.5") == b""

    (record,) = await records(log, "away")
    assert record["session"]["status"] == 502
    assert [attempt["state"] for attempt in record["tries"]] == ["failed", "failed"]


async def test_tls_that_ends_here_is_in_the_record(node: Gateway, log: Path, authority: Authority) -> None:
    tls, source = authority.client_context(), ("127.0.1.4", 0)
    async with talking(node.addresses["stream1"], tls=tls, name="a.test", source=source) as client:
        assert await client.line() == b"echo\n"

    (record,) = await records(log, "secured")
    assert record["session"]["tls"]["version"] == "TLSv1.3"
    assert record["session"]["tls"]["client_verify"] == "NONE"
    assert record["session"]["tls"]["cipher"].startswith("TLS_")


async def test_sessions_and_bytes_are_counted(node: Gateway) -> None:
    await talk(node, "127.0.1.4", b"12345\n")
    reply = await node.admin_request("GET", "/metrics")
    scrape = Scrape.of(reply.body.decode())
    names = {"service": "echo", "route": "denied", "workspace": "default"}

    def value(metric: str, **labels: str) -> float:
        return scrape.samples[(metric, frozenset({**names, **labels}.items()))]

    assert value("kong_stream_sessions_total", code="200", source="service") >= 1
    assert value("kong_bandwidth_bytes", direction="ingress", consumer="") >= 6
    assert value("kong_bandwidth_bytes", direction="egress", consumer="") >= 15
    assert value("kong_session_duration_ms_count") >= 1
    assert value("kong_kong_latency_ms_count") >= 1


async def test_a_global_refusal_holds_for_every_connection_of_its_protocols(node: Gateway) -> None:
    text = node.file.read_text().replace("{ip: 127.0.1.4}", "{ip: 127.0.1.4}, {ip: 127.0.0.1}")
    text = text.replace("{name: ip-restriction, config: {deny: [127.0.1.3]}},", "")
    assert (await node.configure(text)).status == 201

    assert await talk(node, "127.0.0.1") == b""
    await node.until_logged("of 127.0.0.1, status: 403")
    assert await talk(node, "127.0.1.4") == b"echo\nhello\nbye\n"
