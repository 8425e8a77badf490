"""zipkin: what the server gets, and what the upstream is told, field by field."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

T, S = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ALICE = "11111111-1111-4111-8111-111111111111"
KEY = "21111111-1111-4111-8111-111111111111"
BATCH = "queue: {max_batch_size: 9, max_coalescing_delay: 0.05}"
CASES = {
    "plain": "sample_ratio: 1, http_response_header_for_traceid: X-Trace-Id",
    "fields": "sample_ratio: 1, local_service_name: edge, default_service_name: other, "
    "include_credential: false, traceid_byte_count: 8, default_header_type: jaeger, tags_header: X-Tags, "
    "static_tags: [{name: zone, value: a}], http_span_name: method_path, phase_duration_flavor: tags, "
    "connect_timeout: 900, send_timeout: 900, read_timeout: 900",
    "never": "sample_ratio: 0",
    "own": "sample_ratio: 1, propagation: {extract: [w3c], inject: [b3-single], default_format: b3}",
    "ignore": "sample_ratio: 1, header_type: ignore",
}


@pytest.fixture(scope="module")
async def collector() -> AsyncIterator[Upstream]:
    server = await Upstream().start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def node(upstream: Upstream, collector: Upstream) -> AsyncIterator[Gateway]:
    lines = "\n".join(
        f"  - {{name: {name}, paths: [/{name}], plugins: [{{name: key-auth}}, {{name: zipkin, "
        f"config: {{http_endpoint: '{collector.url}/{name}', {BATCH}, {config}}}}}]}}"
        for name, config in CASES.items()
    )
    gateway = await Gateway.start(
        f"_format_version: '3.0'\nservices:\n- url: {upstream.url}\n  routes:\n{lines}\n"
        f"plugins: [{{name: zipkin, config: "
        f"{{http_endpoint: '{collector.url}/no', sample_ratio: 1, {BATCH}}}}}]\n"
        f"consumers: [{{id: {ALICE}, username: a, keyauth_credentials: [{{id: {KEY}, key: k}}]}}]\n"
    )
    yield gateway
    await gateway.stop()


async def spans(node: Gateway, collector: Upstream, name: str, **headers: str) -> list[dict[str, Any]]:
    reply = await node.request("GET", f"/{name}", {"apikey": "k", **headers})
    assert reply.status == 200
    if name == "plain":
        assert reply.headers["x-trace-id"]
    await collector.until(1, f"/{name}")
    body = next(each.body for each in collector.received if each.target == f"/{name}")
    found: list[dict[str, Any]] = msgspec.json.decode(body)
    return found


async def test_request_proxy_and_attempt_are_spans_of_the_clients_trace(
    node: Gateway, upstream: Upstream, collector: Upstream
) -> None:
    root, proxy, attempt = await spans(
        node, collector, "plain", **{"x-b3-traceid": T, "x-b3-spanid": S, "x-b3-sampled": "1"}
    )
    seen = upstream.received[-1].headers
    assert [span["name"] for span in (root, proxy, attempt)] == ["GET", "GET (proxy)", "GET (balancer try 1)"]
    assert {span["traceId"] for span in (root, proxy, attempt)} == {T}
    assert (root["id"], "parentId" in root) == (S, False), "client and server share a span in B3"
    assert seen["x-b3-traceid"] == T
    assert (seen["x-b3-spanid"], seen["x-b3-parentspanid"]) == (proxy["id"], root["id"])
    assert (root["kind"], proxy["kind"]) == ("SERVER", "CLIENT")
    tags = root["tags"]
    assert (tags["lc"], tags["http.method"], tags["http.path"]) == ("kong", "GET", "/plain")
    assert (tags["kong.consumer"], tags["kong.credential"]) == (ALICE, KEY)
    assert tags["http.status_code"] == "200"
    assert attempt["remoteEndpoint"] == {"ipv4": "127.0.0.1", "port": upstream.port}
    told = {each["value"]: each["timestamp"] for each in [*root["annotations"], *proxy["annotations"]]}
    assert sorted(told) == ["kaf", "kas", "kbf", "kbs", "khf", "khs", "krf", "krs"]
    for earlier, later in (("krs", "krf"), ("kas", "kaf"), ("khs", "khf"), ("khs", "kbs"), ("kbs", "kbf")):
        assert told[earlier] <= told[later]
    assert (tags["http.host"], tags["http.protocol"]) == ("gw.test", "HTTP/1.1")
    names = ("kong.balancer.try", "kong.route_name", "kong.service_name")
    assert [attempt["tags"].get(name) for name in names] == ["1", "plain", None]


async def test_fields_say_how_spans_look(node: Gateway, upstream: Upstream, collector: Upstream) -> None:
    root, proxy, _ = await spans(node, collector, "fields", **{"X-Tags": "a=1; b=two"})
    assert root["name"] == "GET /fields"
    assert len(root["traceId"]) == 16
    assert root["localEndpoint"] == {"serviceName": "edge"}
    assert (root["tags"]["zone"], root["tags"]["a"], root["tags"]["b"]) == ("a", "1", "two")
    assert "kong.credential" not in root["tags"]
    assert proxy["remoteEndpoint"]["serviceName"] == "other"
    assert proxy["annotations"] == []
    assert "kong.access.duration_ms" in proxy["tags"]
    assert upstream.received[-1].headers["uber-trace-id"].startswith(root["traceId"].rjust(32, "0"))


async def test_a_request_that_no_route_takes_has_spans_too(node: Gateway, collector: Upstream) -> None:
    assert (await node.request("GET", "/no", {"x-b3-traceid": T[16:], "X-B3-Sampled": "1"})).status == 404
    await collector.until(1, "/no")
    body = next(each.body for each in collector.received if each.target == "/no")
    root, proxy = msgspec.json.decode(body)
    assert (root["traceId"], root["name"], proxy["name"]) == (T[16:], "GET", "GET (proxy)")
    assert (root["tags"]["http.status_code"], "remoteEndpoint" in proxy) == ("404", False)


async def test_propagation_decides_about_headers(node: Gateway, upstream: Upstream) -> None:
    await node.request("GET", "/own", {"apikey": "k", "traceparent": f"00-{T}-{S}-01"})
    assert upstream.received[-1].headers["b3"].startswith(f"{T}-")
    await node.request("GET", "/ignore", {"apikey": "k", "b3": f"{T}-{S}-1"})
    assert upstream.received[-1].headers["x-b3-traceid"] != T
    await node.request("GET", "/never", {"apikey": "k"})
    assert upstream.received[-1].headers["x-b3-sampled"] == "0"


@pytest.mark.parametrize("tags", ["[{name: error, value: x}]", "[{name: a, value: b}, {name: a, value: c}]"])
async def test_tags_that_are_taken_are_refused(node: Gateway, tags: str) -> None:
    config = f"_format_version: '3.0'\nplugins: [{{name: zipkin, config: {{static_tags: {tags}}}}}]\n"
    assert (await node.configure(config)).status == 400
