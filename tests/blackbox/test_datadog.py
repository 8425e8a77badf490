"""datadog: DogStatsD lines with tags, by field."""

import re
from collections.abc import AsyncIterator

import pytest
from tests.support.collectors import Datagrams
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

ALICE = "11111111-1111-4111-8111-111111111111"
TAGS = r"\|#name:svc,status:200,consumer:a-1,app:kong"
ALL = [
    rf"default\.request\.count:1\|c{TAGS}",
    rf"default\.latency:\d+\|ms{TAGS}",
    rf"default\.request\.size:\d+\|ms{TAGS}",
    rf"default\.response\.size:\d+\|ms{TAGS}",
    rf"default\.upstream_latency:\d+\|ms{TAGS}",
    rf"default\.kong_latency:\d+\|ms{TAGS}",
]
#: configuration by the prefix of its metrics, and what is sent
CASES: dict[str, tuple[str, list[str]]] = {
    "default": ("", ALL),
    "tags": (
        "service_name_tag: a, status_tag: b, consumer_tag: c, metrics: [{name: latency, "
        "stat_type: distribution, tags: ['x:1', y], consumer_identifier: username}]",
        [r"tags\.latency:\d+\|d\|#a:svc,b:200,c:alice,x:1,y"],
    ),
    "by-id": (
        "metrics: [{name: request_count, stat_type: counter, sample_rate: 1, "
        "consumer_identifier: consumer_id}]",
        [rf"by-id\.request\.count:1\|c\|#name:svc,status:200,consumer:{ALICE.replace('-', '_')}"],
    ),
    "nobody": (
        "metrics: [{name: request_count, stat_type: gauge, sample_rate: 1}]",
        [r"nobody\.request\.count:1\|g\|#name:svc,status:200"],
    ),
    "older": (
        "queue_size: 1, flush_timeout: 1, retry_count: 0, queue: {max_batch_size: 1}, "
        "metrics: [{name: latency, stat_type: set}]",
        [r"older\.latency:\d+\|s\|#name:svc,status:200"],
    ),
}


@pytest.fixture(scope="module")
async def node(upstream: Upstream, udp: Datagrams) -> AsyncIterator[Gateway]:
    at = f"host: 127.0.0.1, port: {udp.port}"
    never = (
        "metrics: [{name: request_count, stat_type: counter, sample_rate: 0}, "
        "{name: latency, stat_type: timer}]"
    )
    cases = {**CASES, "never": (never, [])}
    lines = "\n".join(
        f"  - {{name: {name}, paths: [/{name}], plugins: [{{name: key-auth}}, "
        f"{{name: datadog, config: {{{at}, prefix: {name}, {config}}}}}]}}"
        for name, (config, _) in cases.items()
    )
    dotted = f"{{paths: [/dotted], plugins: [{{name: datadog, config: {{{at}, prefix: dotted}}}}]}}"
    told = "{paths: [/told], plugins: [{name: datadog, config: {host: null, port: null, prefix: told}}]}"
    terminated = (
        f"plugins: [{{name: request-termination}}, {{name: datadog, config: {{{at}, prefix: alone}}}}]"
    )
    gateway = await Gateway.start(
        f"_format_version: '3.0'\nservices:\n- name: svc\n  url: {upstream.url}\n  routes:\n{lines}\n"
        f"- {{name: s.v.c, url: {upstream.url}, routes: [{dotted}, {told}]}}\n"
        f"routes: [{{name: alone, paths: [/alone], {terminated}}}]\n"
        f"consumers: [{{id: {ALICE}, username: alice, custom_id: a-1, keyauth_credentials: [{{key: k}}]}}]\n",
        environment={"KONG_DATADOG_AGENT_HOST": "127.0.0.1", "KONG_DATADOG_AGENT_PORT": str(udp.port)},
    )
    yield gateway
    await gateway.stop()


@pytest.mark.parametrize("name", CASES)
async def test_each_field_acts(node: Gateway, udp: Datagrams, name: str) -> None:
    patterns = CASES[name][1]
    await node.request("GET", f"/{name}", {"apikey": "k"})
    found = await udp.until(len(patterns), lambda piece: piece.startswith(f"{name}.".encode()))
    assert len(found) == len(patterns)
    for line, pattern in zip(found, patterns, strict=True):
        assert re.fullmatch(pattern, line.decode()), (line, pattern)


async def test_a_rate_of_zero_sends_nothing(node: Gateway, udp: Datagrams) -> None:
    await node.request("GET", "/never")
    (line,) = await udp.until(1, lambda piece: piece.startswith(b"never."))
    assert line.startswith(b"never.latency:")
    assert line.endswith(b"|#name:svc,status:401")


async def test_dots_in_names_of_services_become_underscores(node: Gateway, udp: Datagrams) -> None:
    await node.request("GET", "/dotted")
    found = await udp.until(6, lambda piece: piece.startswith(b"dotted."))
    assert all(line.endswith(b"|#name:s_v_c,status:200,app:kong") for line in found)


async def test_what_no_service_took_has_an_empty_name(node: Gateway, udp: Datagrams) -> None:
    await node.request("GET", "/alone")
    found = await udp.until(6, lambda piece: piece.startswith(b"alone."))
    assert b"alone.upstream_latency:-1|ms|#name:,status:503,app:kong" in found
    assert all(line.endswith(b"|#name:,status:503,app:kong") for line in found)


async def test_without_a_host_the_environment_says_where_the_agent_is(node: Gateway, udp: Datagrams) -> None:
    await node.request("GET", "/told")
    assert await udp.until(6, lambda piece: piece.startswith(b"told."))
