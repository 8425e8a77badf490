"""http-log: what a collector gets, field by field."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.support.gateway import Gateway
from tests.support.upstream import OK, Received, Upstream

PLUGINS = {
    "plain": "",
    "put": "method: PUT, content_type: application/json; charset=utf-8",
    "headers": "headers: {X-Log: 'yes', X-Other: a b}",
    "custom": "custom_fields_by_lua: {request: return nil, added: return 1}",
    "batch": "queue: {max_batch_size: 3, max_coalescing_delay: 3600}",
    "older": "queue_size: 2, flush_timeout: 3600, retry_count: 9",
    "retried": "queue: {initial_retry_delay: 0.001}",
    "fewer": "retry_count: 2, queue: {initial_retry_delay: 0.001}",
    "short": "keepalive: 0",
    "slow": "timeout: 50, queue: {max_retry_time: 0}",
}


class Collector(Upstream):
    """Refuses as often as it is told, and keeps `/slow` waiting."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.refusals = 0
        self.peers: list[object] = []

    async def _answer(self, received: Received, writer: asyncio.StreamWriter) -> bool:
        self.peers.append(writer.get_extra_info("peername"))
        if received.target == "/slow":
            await asyncio.Event().wait()
        if self.refusals:
            self.refusals -= 1
            writer.write(OK.replace(b"200 OK", b"503 No", 1))
        else:
            writer.write(OK)
        return True

    def bodies(self, target: str) -> list[object]:
        found = [received.body for received in self.received if received.target == target]
        return [msgspec.json.decode(body) for body in found]


@pytest.fixture(scope="module")
async def collector() -> AsyncIterator[Collector]:
    server = Collector()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def node(upstream: Upstream, collector: Collector) -> AsyncIterator[Gateway]:
    plugins = {name: f"http_endpoint: '{collector.url}/{name}', {rest}" for name, rest in PLUGINS.items()}
    plugins["login"] = f"http_endpoint: 'http://me:p%40ss@127.0.0.1:{collector.port}/login?k=1'"
    routes = "\n".join(
        f"  - {{name: {name}, paths: [/{name}], plugins: [{{name: http-log, config: {{{config}}}}}]}}"
        for name, config in plugins.items()
    )
    gateway = await Gateway.start(
        f"_format_version: '3.0'\nplugins: [{{name: prometheus}}]\n"
        f"services:\n- url: {upstream.url}\n  routes:\n{routes}\n"
    )
    yield gateway
    await gateway.stop()


async def asked(node: Gateway, collector: Collector, name: str, target: str | None = None) -> Received:
    await node.request("GET", f"/{name}/x")
    await collector.until(1, target or f"/{name}")
    return next(each for each in collector.received if each.target == (target or f"/{name}"))


async def test_a_record_is_posted_as_json(node: Gateway, collector: Collector) -> None:
    seen = await asked(node, collector, "plain")

    record = msgspec.json.decode(seen.body)
    assert seen.method == "POST"
    assert seen.headers["content-type"] == "application/json"
    assert record["request"]["uri"] == "/plain/x"
    assert record["route"]["name"] == "plain"


async def test_method_and_content_type_are_as_configured(node: Gateway, collector: Collector) -> None:
    seen = await asked(node, collector, "put")
    assert (seen.method, seen.headers["content-type"]) == ("PUT", "application/json; charset=utf-8")


async def test_headers_are_added(node: Gateway, collector: Collector) -> None:
    seen = await asked(node, collector, "headers")
    assert (seen.headers["x-log"], seen.headers["x-other"]) == ("yes", "a b")


async def test_user_and_password_of_the_url_are_sent_as_basic(node: Gateway, collector: Collector) -> None:
    seen = await asked(node, collector, "login")
    assert seen.headers["authorization"] == f"Basic {b64encode(b'me:p@ss').decode()}"
    assert seen.target == "/login", "as in Kong, without the query"
    assert seen.headers["host"] == f"127.0.0.1:{collector.port}"


async def test_fields_can_be_added_and_taken_out(node: Gateway, collector: Collector) -> None:
    record = msgspec.json.decode((await asked(node, collector, "custom")).body)
    assert record["added"] == 1
    assert "request" not in record


@pytest.mark.parametrize(("name", "size"), [("batch", 3), ("older", 2)])
async def test_a_batch_is_an_array(node: Gateway, collector: Collector, name: str, size: int) -> None:
    for _ in range(size):
        await node.request("GET", f"/{name}")
    await collector.until(1, f"/{name}")

    (records,) = collector.bodies(f"/{name}")
    assert isinstance(records, list)
    assert [record["route"]["name"] for record in records] == [name] * size


async def test_what_is_refused_is_sent_again(node: Gateway, collector: Collector) -> None:
    collector.refusals = 3
    await node.request("GET", "/retried")
    await collector.until(4, "/retried")

    assert len({str(body) for body in collector.bodies("/retried")}) == 1


async def test_retries_have_a_limit_and_what_is_lost_is_counted(node: Gateway, collector: Collector) -> None:
    collector.refusals = 3
    await node.request("GET", "/fewer")
    await collector.until(3, "/fewer")
    await node.until_logged("entries are dropped: the collector answered 503")
    await node.request("GET", "/fewer")
    await collector.until(4, "/fewer")

    metrics = (await node.admin_request("GET", "/metrics")).body.decode()
    assert f'tollhouse_log_dropped_total{{sink="http-log 127.0.0.1:{collector.port}"}} ' in metrics


async def test_connections_are_kept_unless_told_otherwise(node: Gateway, collector: Collector) -> None:
    for number in range(3):
        await node.request("GET", "/short")
        await collector.until(number + 1, "/short")
    places = [collector.peers[i] for i, each in enumerate(collector.received) if each.target == "/short"]
    assert len(set(places)) == 3

    await node.request("GET", "/plain")
    before = collector.connections
    for number in range(3):
        await node.request("GET", "/headers")
        await collector.until(number + 2, "/headers")
    assert collector.connections - before <= 1


async def test_a_collector_that_hangs_holds_up_no_request(node: Gateway, collector: Collector) -> None:
    for _ in range(3):
        assert (await node.request("GET", "/slow")).status == 200
    await node.until_logged("did not answer in time")


async def test_the_end_of_the_node_loses_no_record(upstream: Upstream, collector: Collector) -> None:
    config = f"http_endpoint: {collector.url}/end, queue: {{max_batch_size: 100, max_coalescing_delay: 3600}}"
    node = await Gateway.start(
        f"_format_version: '3.0'\nservices:\n- url: {upstream.url}\n  routes: [{{paths: [/]}}]\n"
        f"  plugins: [{{name: http-log, config: {{{config}}}}}]\n"
    )
    for _ in range(20):
        await node.request("GET", "/")

    assert await node.stop() == 0

    (records,) = collector.bodies("/end")
    assert isinstance(records, list)
    assert len(records) == 20
