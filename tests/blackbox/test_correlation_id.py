"""correlation-id: one id from the client through the upstream and back."""

import re
from collections.abc import AsyncIterator

import pytest
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes:
  - {{name: default, paths: [/default], plugins: [{{name: correlation-id}}]}}
  - {{name: uuid, paths: [/uuid], plugins: [{{name: correlation-id,
      config: {{generator: uuid, header_name: X-Trace, echo_downstream: true}}}}]}}
  - {{name: tracker, paths: [/tracker], plugins: [{{name: correlation-id,
      config: {{generator: tracker, echo_downstream: true}}}}]}}
  - {{name: keyed, paths: [/keyed], plugins: [{{name: key-auth}},
      {{name: correlation-id, config: {{echo_downstream: true}}}}]}}
"""


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(url=upstream.url), workers=2)
    yield gateway
    await gateway.stop()


async def test_ids_count_on_within_a_worker_and_are_never_given_twice(
    node: Gateway, upstream: Upstream
) -> None:
    before = len(upstream.received)
    for _ in range(30):
        reply = await node.request("GET", "/default")
        assert "kong-request-id" not in reply.headers

    ids = [received.headers["kong-request-id"] for received in upstream.received[before:]]
    found = [re.fullmatch(rf"({UUID})#(\d+)", each) for each in ids]
    assert all(found)
    assert len(set(ids)) == 30
    assert len({each[1] for each in found if each}) == 2, "each worker has a uuid of its own"


async def test_a_uuid_is_new_each_time_and_told_to_both_sides(node: Gateway, upstream: Upstream) -> None:
    ids = set()
    for _ in range(5):
        reply = await node.request("GET", "/uuid")
        assert re.fullmatch(UUID, reply.headers["x-trace"])
        assert upstream.received[-1].headers["x-trace"] == reply.headers["x-trace"]
        ids.add(reply.headers["x-trace"])
    assert len(ids) == 5


async def test_a_tracker_tells_address_port_process_connection_request_and_time(node: Gateway) -> None:
    tracker = (await node.request("GET", "/tracker")).headers["kong-request-id"]

    found = re.fullmatch(r"127\.0\.0\.1-(\d+)-(\d+)-(\d+)-1-(\d+\.\d{3})", tracker)
    assert found, tracker
    assert int(found[1]) == node.proxy[1]
    body = (await node.admin_request("GET", "/")).json()
    assert isinstance(body, dict)
    assert int(found[2]) in body["pids"]["workers"]


@pytest.mark.parametrize("own", ["mine", "caf\xe9 #1, x"])
async def test_an_id_that_the_client_brings_is_kept(node: Gateway, upstream: Upstream, own: str) -> None:
    reply = await node.request("GET", "/uuid", {"x-trace": own})

    assert reply.headers["x-trace"] == own
    assert upstream.received[-1].headers["x-trace"] == own


async def test_an_empty_id_is_none(node: Gateway, upstream: Upstream) -> None:
    reply = await node.request("GET", "/uuid", {"X-Trace": ""})

    assert re.fullmatch(UUID, reply.headers["x-trace"])
    assert [value for name, value in upstream.received[-1].fields if name == "x-trace"] == [
        reply.headers["x-trace"]
    ]


async def test_a_refusal_has_an_id_as_well(node: Gateway) -> None:
    refused = await node.request("GET", "/keyed")

    assert refused.status == 401
    assert re.fullmatch(rf"{UUID}#\d+", refused.headers["kong-request-id"])
