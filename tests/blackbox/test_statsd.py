"""statsd: lines as Kong sends them, by field."""

import re
from collections.abc import AsyncIterator

import pytest
from tests.support.collectors import Datagrams, Lines
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

ALICE = "11111111-1111-4111-8111-111111111111"
SERVICE = "31111111-1111-4111-8111-111111111111"
ROUTE = "41111111-1111-4111-8111-111111111111"
COUNT = "{name: request_count, stat_type: counter, sample_rate: 1%s}"
USER = "{name: request_per_user, stat_type: counter, sample_rate: 1%s}"
SPACE = "{name: status_count_per_workspace, stat_type: counter, sample_rate: 1%s}"
DEFAULT = [
    r"default\.service\.s_vc\.request\.count:1\|c",
    r"default\.service\.s_vc\.latency:\d+\|ms",
    r"default\.service\.s_vc\.request\.size:\d+\|c",
    r"default\.service\.s_vc\.status\.200:1\|c",
    r"default\.service\.s_vc\.response\.size:\d+\|c",
    r"default\.service\.s_vc\.user\.uniques:a-1\|s",
    r"default\.service\.s_vc\.user\.a-1\.request\.count:1\|c",
    r"default\.service\.s_vc\.upstream_latency:\d+\|ms",
    r"default\.service\.s_vc\.kong_latency:\d+\|ms",
    r"default\.service\.s_vc\.user\.a-1\.status\.200:1\|c",
    r"default\.service\.s_vc\.workspace\.[0-9a-f-]{36}\.status\.200:1\|c",
    rf"default\.route\.{ROUTE}\.user\.a-1\.status\.200:1\|c",
    r"default\.node\.[^.]+\.shdict\.kong\.free_space:\d+\|g",
    r"default\.node\.[^.]+\.shdict\.kong\.capacity:[1-9]\d+\|g",
]
TAGS = r"service{0}s\.vc,route{0}%s,workspace{0}[0-9a-f-]+,consumer{0}a-1,node{0}[^,.]+,status{0}200"
#: configuration by the prefix of its metrics, and what is sent
CASES: dict[str, tuple[str, list[str]]] = {
    "by-id": (
        f"metrics: [{COUNT % ', service_identifier: service_id'}, "
        f"{USER % ', consumer_identifier: consumer_id'}, {SPACE % ', workspace_identifier: workspace_name'}]",
        [
            rf"by-id\.service\.{SERVICE}\.request\.count:1\|c",
            rf"by-id\.service\.s_vc\.user\.{ALICE}\.request\.count:1\|c",
            r"by-id\.service\.s_vc\.workspace\.default\.status\.200:1\|c",
        ],
    ),
    "defaults": (
        "consumer_identifier_default: username, service_identifier_default: service_host, "
        f"workspace_identifier_default: workspace_name, metrics: [{USER % ''}, {SPACE % ''}]",
        [
            r"defaults\.service\.127_0_0_1\.user\.alice\.request\.count:1\|c",
            r"defaults\.service\.127_0_0_1\.workspace\.default\.status\.200:1\|c",
        ],
    ),
    "named": (
        f"service_identifier_default: service_name, metrics: [{COUNT % ''}]",
        [r"named\.service\.s_vc\.request\.count:1\|c"],
    ),
    "host": (
        f"hostname_in_prefix: true, metrics: [{COUNT % ''}]",
        [r"host\.node\.[^.]+\.service\.s_vc\.request\.count:1\|c"],
    ),
    "kinds": (
        "metrics: [{name: latency, stat_type: histogram}, {name: latency, stat_type: meter}, "
        "{name: request_size, stat_type: gauge, sample_rate: 2}]",
        [
            r"kinds\.service\.s_vc\.latency:\d+\|h",
            r"kinds\.service\.s_vc\.latency:\d+\|m",
            r"kinds\.service\.s_vc\.request\.size:\d+\|g\|@2",
        ],
    ),
    "packet": (
        f"udp_packet_size: 90, metrics: [{COUNT % ''}, {USER % ''}, {SPACE % ''}]",
        [
            r"packet\.service\.s_vc\.request\.count:1\|c\n"
            r"packet\.service\.s_vc\.user\.a-1\.request\.count:1\|c",
            r"packet\.service\.s_vc\.workspace\.[0-9a-f-]+\.status\.200:1\|c",
        ],
    ),
    "dog": (
        f"tag_style: dogstatsd, metrics: [{COUNT % ''}, {USER % ''}]",
        [r"dog\.request\.count:1\|c\|#" + TAGS.format(":") % "dog"],
    ),
    "influx": (
        f"tag_style: influxdb, metrics: [{COUNT % ''}]",
        [r"influx\.request\.count," + TAGS.format("=") % "influx" + r":1\|c"],
    ),
    "librato": (
        f"tag_style: librato, metrics: [{COUNT % ''}]",
        [r"librato\.request\.count#" + TAGS.format("=") % "librato" + r":1\|c"],
    ),
    "signal": (
        f"tag_style: signalfx, metrics: [{COUNT % ''}]",
        [r"signal\.request\.count\[" + TAGS.format("=") % "signal" + r"\]:1\|c"],
    ),
    "older": (
        f"queue_size: 1, flush_timeout: 1, retry_count: 0, queue: {{max_batch_size: 1}}, "
        f"metrics: [{COUNT % ''}]",
        [r"older\.service\.s_vc\.request\.count:1\|c"],
    ),
}


@pytest.fixture(scope="module")
async def tcp() -> AsyncIterator[Lines]:
    collector = await Lines.listen()
    yield collector
    await collector.stop()


@pytest.fixture(scope="module")
async def node(upstream: Upstream, udp: Datagrams, tcp: Lines) -> AsyncIterator[Gateway]:
    at = f"host: 127.0.0.1, port: {udp.port}"
    plugins = {name: f"{at}, prefix: {name}, {config}" for name, (config, _) in CASES.items()}
    plugins["tcp"] = f"host: 127.0.0.1, port: {tcp.port}, use_tcp: true, prefix: tcp, metrics: [{COUNT % ''}]"
    plugins["ranges"] = (
        f"{at}, prefix: ranges, allow_status_codes: [100-199, 404-404], metrics: [{COUNT % ''}]"
    )
    lines = "\n".join(
        f"  - {{name: {name}, paths: [/{name}], plugins: [{{name: key-auth}}, "
        f"{{name: statsd, config: {{{config}}}}}]}}"
        for name, config in plugins.items()
    )
    gateway = await Gateway.start(
        f"_format_version: '3.0'\nservices:\n- id: {SERVICE}\n  name: s.vc\n  url: {upstream.url}\n"
        "  routes:\n"
        f"  - {{name: default, id: {ROUTE}, paths: [/default], plugins: [{{name: key-auth}}, "
        f"{{name: statsd, config: {{{at}, prefix: default}}}}]}}\n{lines}\n"
        f"plugins: [{{name: statsd, config: {{{at}, prefix: all, metrics: [{COUNT % ''}]}}}}]\n"
        f"consumers: [{{id: {ALICE}, username: alice, custom_id: a-1, keyauth_credentials: [{{key: k}}]}}]\n"
    )
    yield gateway
    await gateway.stop()


async def sent(node: Gateway, udp: Datagrams, name: str, count: int) -> list[str]:
    await node.request("GET", f"/{name}", {"apikey": "k"})
    found = await udp.until(count, lambda piece: piece.startswith(name.encode() + b"."))
    return [piece.decode() for piece in found]


async def test_all_of_kongs_metrics_are_sent_unless_told_otherwise(node: Gateway, udp: Datagrams) -> None:
    lines = await sent(node, udp, "default", len(DEFAULT))
    assert len(lines) == len(DEFAULT)
    for line, pattern in zip(lines, DEFAULT, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)


@pytest.mark.parametrize("name", CASES)
async def test_each_field_acts(node: Gateway, udp: Datagrams, name: str) -> None:
    patterns = CASES[name][1]
    packets = await sent(node, udp, name, len(patterns))
    assert len(packets) == len(patterns)
    for packet, pattern in zip(packets, patterns, strict=True):
        assert re.fullmatch(pattern, packet), (packet, pattern)


async def test_what_no_route_took_is_counted_beside(node: Gateway, udp: Datagrams) -> None:
    await node.request("GET", "/nowhere")
    (line,) = await udp.until(1, lambda piece: piece.startswith(b"all."))
    assert line == b"all.global.unmatched.request.count:1|c"


async def test_only_statuses_within_the_ranges_are_counted(node: Gateway, udp: Datagrams) -> None:
    before = len([piece for piece in udp.heard if piece.startswith(b"named.")])
    await node.request("GET", "/ranges", {"apikey": "k"})
    await node.request("GET", "/named", {"apikey": "k"})
    await udp.until(before + 1, lambda piece: piece.startswith(b"named."))
    assert not [piece for piece in udp.heard if piece.startswith(b"ranges.")]


async def test_over_tcp_each_metric_is_a_line(node: Gateway, tcp: Lines) -> None:
    await node.request("GET", "/tcp", {"apikey": "k"})
    assert await tcp.until(1) == [b"tcp.service.s_vc.request.count:1|c\n"]
