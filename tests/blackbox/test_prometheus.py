"""prometheus: every request counted once, whichever worker had it and whatever became of that worker."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
from tests.support.gateway import Gateway
from tests.support.load import Load
from tests.support.prometheus import Scrape
from tests.support.upstream import OK, Received, Upstream

CONFIG = """_format_version: "3.0"
services:
- name: svc
  url: {url}
  routes:
  - {{name: counted, paths: [/counted]}}
  - {{name: load, paths: [/load]}}
  - {{name: keyed, paths: [/keyed], plugins: [{{name: key-auth}}]}}
  - {{name: gone, paths: [/gone], strip_path: false}}
  - {{id: 99999999-9999-4999-8999-999999999999, paths: [/nameless]}}
  - {{name: own, paths: [/own], plugins: [{{name: prometheus, config: {{status_code_metrics: true}}}}]}}
- host: dead.invalid
  routes: [{{name: dead, paths: [/dead]}}]
consumers: [{{username: 'al"ice', keyauth_credentials: [{{key: k}}]}}]
upstreams: [{{name: up.test, targets: [{{target: "10.0.0.1:80"}}]}}]
plugins:
- name: prometheus
  config: {{status_code_metrics: true, latency_metrics: true, bandwidth_metrics: true, per_consumer: true,
    upstream_health_metrics: true}}
"""


class Hanging(Upstream):
    """Never answers `/gone`."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.ended = asyncio.Event()

    async def _answer(self, received: Received, writer: asyncio.StreamWriter) -> bool:
        if received.target.startswith("/gone"):
            await self.ended.wait()
        writer.write(OK)
        return True


@pytest.fixture(scope="module")
async def upstream() -> AsyncIterator[Hanging]:
    server = Hanging()
    await server.start()
    yield server
    server.ended.set()
    await server.stop()


@pytest.fixture(scope="module")
async def node(upstream: Hanging) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(
        CONFIG.format(url=upstream.url), workers=3, environment={"KONG_STATUS_LISTEN": "127.0.0.1:0"}
    )
    yield gateway
    await gateway.stop()


async def scrape(node: Gateway) -> Scrape:
    reply = await node.admin_request("GET", "/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/plain; charset=UTF-8"
    return Scrape.of(reply.body.decode())


REQUESTS = "kong_http_requests_total"


async def test_requests_are_counted_once_over_all_workers(node: Gateway) -> None:
    load = Load(node.proxy, "/counted").start(12)
    await load.until(300)
    await load.stop()

    page = await scrape(node)

    assert page.value(REQUESTS, route="counted") == load.statuses[200]
    assert [labels for labels in page.labels(REQUESTS) if labels["route"] == "counted"] == [
        {
            "service": "svc", "route": "counted", "code": "200", "source": "service",
            "workspace": "default", "consumer": "",
        }
    ]  # fmt: skip
    assert page.value("kong_request_latency_ms_count", route="counted") == load.statuses[200]
    assert page.value("kong_upstream_latency_ms_bucket", route="counted", le="+Inf") == load.statuses[200]
    assert page.value("kong_kong_latency_ms_count", route="counted") == load.statuses[200]


async def test_bandwidth_is_what_went_over_the_wire(node: Gateway) -> None:
    before = await scrape(node)
    request = b"GET /counted HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

    answer = await node.send(request)

    after = await scrape(node)
    for direction, size in (("ingress", len(request)), ("egress", len(answer))):
        labels = {"route": "counted", "direction": direction}
        grown = after.value("kong_bandwidth_bytes", **labels) - before.value("kong_bandwidth_bytes", **labels)
        assert grown == size, direction


@pytest.mark.parametrize(
    ("path", "headers", "labels"),
    [
        ("/keyed", {}, {"route": "keyed", "code": "401", "source": "kong", "consumer": ""}),
        ("/keyed", {"apikey": "k"}, {"route": "keyed", "code": "200", "consumer": 'al\\"ice'}),
        ("/nameless", {}, {"route": "99999999-9999-4999-8999-999999999999", "code": "200"}),
        ("/dead", {}, {"service": "dead.invalid", "route": "dead", "code": "503", "source": "kong"}),
    ],
)
async def test_labels_tell_what_happened(
    node: Gateway, path: str, headers: dict[str, str], labels: dict[str, str]
) -> None:
    before = (await scrape(node)).value(REQUESTS, **labels)

    await node.request("GET", path, headers)

    assert (await scrape(node)).value(REQUESTS, **labels) == before + 1


async def test_what_no_route_took_is_not_counted(node: Gateway) -> None:
    before = (await scrape(node)).value(REQUESTS)

    assert (await node.request("GET", "/nowhere")).status == 404

    assert (await scrape(node)).value(REQUESTS) == before


async def test_a_client_that_goes_away_counts_as_499(node: Gateway, upstream: Hanging) -> None:
    _, writer = await asyncio.open_connection(*node.proxy)
    writer.write(b"GET /gone HTTP/1.1\r\nHost: a\r\n\r\n")
    await upstream.until(1, "/gone")

    writer.transport.abort()

    async with asyncio.timeout(10):
        while (await scrape(node)).value(REQUESTS, route="gone", code="499") != 1:
            await asyncio.sleep(0.01)


async def test_the_plugin_of_a_route_replaces_the_global_one(node: Gateway) -> None:
    await node.request("GET", "/own")

    page = await scrape(node)

    assert page.value(REQUESTS, route="own") == 1
    assert page.value("kong_request_latency_ms_count", route="own") == 0


async def test_a_dead_workers_counts_stay_and_grow_on(node: Gateway) -> None:
    load = Load(node.proxy, "/load").start(12)
    await load.until(200)
    before = (await scrape(node)).value(REQUESTS, route="load")
    body = (await node.admin_request("GET", "/")).json()
    assert isinstance(body, dict)
    pids = body["pids"]["workers"]
    os.kill(pids[0], signal.SIGKILL)

    await load.until(300)
    await load.stop()

    async with asyncio.timeout(20):
        while (await node.admin_request("GET", "/status/ready")).status != 200:
            await asyncio.sleep(0.01)
    after = (await scrape(node)).value(REQUESTS, route="load")
    # What the dead worker had not handed over is lost, at most a second's requests of one of three.
    assert before + 200 <= after <= load.statuses[200]
    assert after >= before
    status = (await node.admin_request("GET", "/status")).json()
    assert isinstance(status, dict)
    assert len(status["memory"]["workers_lua_vms"]) == 3
    assert status["server"]["total_requests"] >= before + 300, "the node's own totals do not fall back"


async def test_the_node_itself_is_always_described(node: Gateway) -> None:
    page = await scrape(node)

    assert page.value("kong_datastore_reachable") == 1
    assert page.value("kong_node_info") == 1
    assert page.value("kong_nginx_requests_total", subsystem="http") > 0
    states = {labels["state"] for labels in page.labels("kong_nginx_connections_total")}
    assert states == {"accepted", "handled", "total", "active", "reading", "writing", "waiting"}
    assert page.value("kong_nginx_metric_errors_total") == 0
    assert page.value("kong_memory_workers_lua_vms_bytes") > 1e6
    assert page.value("kong_upstream_target_health", upstream="up.test", state="healthchecks_off") == 1
    assert page.value("kong_upstream_target_health", upstream="up.test", state="healthy") == 0


async def test_the_status_listener_shows_the_same_page(node: Gateway) -> None:
    from tests.support.gateway import request

    reply = await request(node.addresses["status"], "GET", "/metrics")

    assert reply.status == 200
    names = {name for name, _ in Scrape.of(reply.body.decode()).samples}
    assert names == {name for name, _ in (await scrape(node)).samples}
    assert (await request(node.addresses["status"], "GET", "/config")).status == 404


async def test_without_the_plugin_only_the_node_is_shown(upstream: Hanging) -> None:
    config = CONFIG.format(url=upstream.url)
    node = await Gateway.start(config)
    try:
        await node.request("GET", "/counted")
        assert (await scrape(node)).value(REQUESTS) == 1
        stripped = '_format_version: "3.0"\nservices: [{host: a, routes: [{paths: [/]}]}]\n'
        assert (await node.configure(stripped)).status == 201
        page = await scrape(node)
        assert page.value(REQUESTS) == 0
        assert page.value("kong_node_info") == 1
        assert (await node.configure(config)).status == 201
        assert (await scrape(node)).value(REQUESTS) == 1, "a reload forgets no count"
    finally:
        await node.stop()
