"""opentelemetry: what a collector gets, what the upstream is told, field by field."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.support.gateway import Gateway
from tests.support.upstream import Received, Upstream

T, S = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
QUEUE = "queue: {max_batch_size: 200, max_coalescing_delay: 0.01}"
CASES = {
    "plain": "http_response_header_for_traceid: X-Trace-Id",
    "headers": "headers: {Api-Key: secret}, resource_attributes: {service.name: edge, zone: a}",
    "never": "sampling_rate: 0",
    "half": "sampling_rate: 0.5",
    "ignore": "header_type: ignore",
    "jaeger": "header_type: jaeger",
    "own": "propagation: {extract: [b3], inject: [w3c, datadog], clear: [x-old], default_format: w3c}",
    "aws": "propagation: {default_format: aws}",
    "older": "batch_span_count: 1, batch_flush_delay: 1, connect_timeout: 500, send_timeout: 500, "
    "read_timeout: 500",
}


@pytest.fixture(scope="module")
async def collector() -> AsyncIterator[Upstream]:
    server = await Upstream().start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def node(upstream: Upstream, collector: Upstream) -> AsyncIterator[Gateway]:
    routes = []
    for name, config in CASES.items():
        at = f"traces_endpoint: {collector.url}/{name}, {config}"
        at += "" if name == "older" else f", {QUEUE}"
        routes.append(
            f"  - {{name: {name}, paths: [/{name}], plugins: [{{name: correlation-id}}, "
            f"{{name: opentelemetry, config: {{{at}}}}}]}}"
        )
    logs = f"logs_endpoint: {collector.url}/records, {QUEUE}"
    lines = "\n".join(routes)
    gateway = await Gateway.start(
        f"_format_version: '3.0'\nservices:\n- name: svc\n  url: {upstream.url}\n  routes:\n{lines}\n"
        f"  - {{name: logs, paths: [/logs], plugins: [{{name: opentelemetry, config: {{{logs}}}}}]}}\n",
        environment={"KONG_TRACING_INSTRUMENTATIONS": "all", "KONG_TRACING_SAMPLING_RATE": "1"},
    )
    yield gateway
    await gateway.stop()


async def asked(
    node: Gateway, upstream: Upstream, name: str, headers: Mapping[str, str] | None = None
) -> tuple[Received, str]:
    """What the upstream got, and the trace id that the client was told."""
    before = len(upstream.received)
    reply = await node.request("GET", f"/{name}", headers)
    return upstream.received[before], reply.headers.get("x-trace-id", "")


async def exported(collector: Upstream, name: str) -> tuple[Received, Any]:
    await collector.until(1, f"/{name}")
    received = next(each for each in collector.received if each.target == f"/{name}")
    return received, ExportTraceServiceRequest.FromString(received.body).resource_spans[0]


def shown(attributes: Any) -> dict[str, object]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


async def test_a_trace_tells_of_request_router_plugins_and_balancer(
    node: Gateway, upstream: Upstream, collector: Upstream
) -> None:
    seen, told = await asked(node, upstream, "plain", {"traceparent": f"00-{T}-{S}-01"})

    received, about = await exported(collector, "plain")
    spans = {span.name: span for span in about.scope_spans[0].spans}
    root, balancer = spans["kong"], spans["kong.balancer"]
    assert told == T
    assert received.headers["content-type"] == "application/x-protobuf"
    assert {span.trace_id.hex() for span in spans.values()} == {T}
    assert root.parent_span_id.hex() == S
    assert {span.parent_span_id for name, span in spans.items() if name != "kong"} == {root.span_id}
    assert seen.headers["traceparent"] == f"00-{T}-{balancer.span_id.hex()}-01"
    assert {"kong.router", "kong.access.plugin.correlation-id", "kong.access.plugin.opentelemetry"} <= set(
        spans
    )
    assert (root.kind, balancer.kind) == (2, 3)
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in spans.values())
    attributes = shown(root.attributes)
    assert attributes["http.method"] == "GET"
    assert attributes["http.status_code"] == 200
    assert attributes["http.route"] == "/plain"
    assert attributes["http.url"] == "http://gw.test/plain"
    assert shown(balancer.attributes)["net.peer.port"] == upstream.port
    assert shown(about.resource.attributes)["service.name"] == "kong"


async def test_headers_and_attributes_of_the_node_are_as_configured(
    node: Gateway, upstream: Upstream, collector: Upstream
) -> None:
    await asked(node, upstream, "headers")
    received, about = await exported(collector, "headers")
    assert received.headers["api-key"] == "secret"
    resource = shown(about.resource.attributes)
    assert (resource["service.name"], resource["zone"]) == ("edge", "a")


async def test_what_is_not_sampled_is_told_so_and_not_sent(
    node: Gateway, upstream: Upstream, collector: Upstream
) -> None:
    seen, _ = await asked(node, upstream, "never")
    assert seen.headers["traceparent"].endswith("-00")
    await asked(node, upstream, "plain", {"traceparent": f"00-{T}-{S}-00"})
    await asked(node, upstream, "older")
    await collector.until(1, "/older")
    assert not [each for each in collector.received if each.target == "/never"]


@pytest.mark.parametrize(
    ("trace", "flag", "sampled"),
    [(T, "01", "00"), (f"92{T[2:]}", "01", "00"), (f"{T[:14]}12{T[16:]}", "01", "01"), (T, "00", "00")],
)
async def test_the_trace_decides_whether_it_is_sampled_and_not_the_client(
    node: Gateway, upstream: Upstream, trace: str, flag: str, sampled: str
) -> None:
    seen, _ = await asked(node, upstream, "half", {"traceparent": f"00-{trace}-{S}-{flag}"})
    assert seen.headers["traceparent"][-2:] == sampled


async def test_a_clients_context_may_be_ignored(node: Gateway, upstream: Upstream) -> None:
    seen, _ = await asked(node, upstream, "ignore", {"traceparent": f"00-{T}-{S}-01"})
    assert T not in seen.headers["traceparent"]


async def test_one_format_more_may_be_written(node: Gateway, upstream: Upstream) -> None:
    seen, _ = await asked(node, upstream, "jaeger", {"traceparent": f"00-{T}-{S}-01"})
    assert seen.headers["traceparent"].startswith(f"00-{T}-")
    assert seen.headers["uber-trace-id"].startswith(f"{T}:")


async def test_extract_inject_and_clear_say_what_is_passed_on(node: Gateway, upstream: Upstream) -> None:
    seen, _ = await asked(node, upstream, "own", {"b3": f"{T}-{S}-1", "X-Old": "1"})
    assert seen.headers["traceparent"].startswith(f"00-{T}-")
    assert seen.headers["x-datadog-trace-id"] == str(int(T[16:], 16))
    assert "x-old" not in seen.headers


async def test_without_a_context_the_default_format_is_written(node: Gateway, upstream: Upstream) -> None:
    seen, _ = await asked(node, upstream, "aws")
    assert seen.headers["x-amzn-trace-id"].startswith("Root=1-")


async def test_older_fields_size_the_batch(node: Gateway, upstream: Upstream, collector: Upstream) -> None:
    await asked(node, upstream, "older")
    _, about = await exported(collector, "older")
    assert len(about.scope_spans[0].spans) == 1


async def test_records_of_exchanges_are_sent_as_log_records(
    node: Gateway, upstream: Upstream, collector: Upstream
) -> None:
    await asked(node, upstream, "logs", {"traceparent": f"00-{T}-{S}-01"})
    await collector.until(1, "/records")
    body = next(each.body for each in collector.received if each.target == "/records")
    (record,) = ExportLogsServiceRequest.FromString(body).resource_logs[0].scope_logs[0].log_records
    assert record.trace_id.hex() == T
    told = msgspec.json.decode(record.body.string_value)
    assert (told["request"]["uri"], told["trace_id"]) == ("/logs", {"w3c": T})


async def test_without_instrumentation_headers_are_passed_on_and_nothing_is_sent(
    upstream: Upstream, collector: Upstream
) -> None:
    node = await Gateway.start(
        f"_format_version: '3.0'\nservices:\n- url: {upstream.url}\n  routes: [{{paths: [/]}}]\n"
        f"plugins: [{{name: opentelemetry, config: {{endpoint: {collector.url}/off}}}}]\n"
    )
    try:
        seen, _ = await asked(node, upstream, "off")
        assert seen.headers["traceparent"].endswith("-00")
        await node.until_logged("KONG_TRACING_INSTRUMENTATIONS is off")
    finally:
        await asyncio.wait_for(node.stop(), 30)
    assert not [each for each in collector.received if each.target == "/off"]
