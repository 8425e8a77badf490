"""The Admin API as far as it exists: node, status, readiness and the declarative configuration."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from tests.support.entities import EC, certificate, pem
from tests.support.gateway import Gateway, Reply, request, send
from tests.support.upstream import Upstream

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes: [{{name: r, paths: [/a], tags: [x]}}]
  plugins: [{{name: rate-limiting, config: {{year: 5}}}}]
consumers: [{{username: alice, keyauth_credentials: [{{key: "кey"}}]}}, {{username: ål}}]
upstreams: [{{name: u, targets: [{{target: "10.0.0.1:80", weight: 5}}]}}]
"""
OTHER = '_format_version: "3.0"\nconsumers: [{username: bob}]\n'
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(
        CONFIG.format(url=upstream.url), workers=2, environment={"KONG_STATUS_LISTEN": "127.0.0.1:0"}
    )
    yield gateway
    await gateway.stop()


def body(reply: Reply) -> dict[str, Any]:
    found = reply.json()
    assert isinstance(found, dict)
    return found


async def get(node: Gateway, path: str) -> Reply:
    return await node.admin_request("GET", path)


async def test_the_root_tells_who_the_node_is(node: Gateway) -> None:
    reply = await get(node, "/")

    told = body(reply)
    assert reply.status == 200
    assert told["tagline"] == "Welcome to kong"
    assert len(told["pids"]["workers"]) == 2
    assert told["pids"]["master"] == node.process.pid
    assert told["plugins"]["available_on_server"]["key-auth"]
    assert told["configuration"]["proxy_listen"] == [f"127.0.0.1:{node.proxy[1]}"]
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "x-kong-admin-latency" in reply.headers
    assert reply.headers["server"].startswith("tollhouse/")


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/nowhere", 404, "Not found"),
        ("GET", "/services/x/y/z", 404, "Not found"),
        # There are no workspaces in Kong's open-source edition but the one that needs no name.
        ("GET", "/workspaces", 404, "Not found"),
        ("GET", "/workspaces/default", 404, "Not found"),
        ("GET", "/default/services", 404, "Not found"),
        ("DELETE", "/config", 405, "Method not allowed"),
        ("PATCH", "/", 405, "Method not allowed"),
        ("POST", "/config", 400, "expected a declarative configuration"),
        ("GET", "/certificates/no.test", 404, "SNI not found"),
        ("GET", "/certificates/no.test/snis", 404, "SNI not found"),
        ("GET", "/snis/no.test/certificate", 404, "Not found"),
        ("DELETE", "/routes/none/service", 404, "Not found"),
        ("DELETE", "/consumers/alice/key-auth/none", 404, "Not found"),
    ],
)
async def test_what_cannot_be_done_is_said_in_kongs_words(
    node: Gateway, method: str, path: str, status: int, message: str
) -> None:
    reply = await node.admin_request(method, path)

    assert reply.status == status
    assert body(reply) == {"message": message}


async def test_head_and_options(node: Gateway) -> None:
    head = await node.admin_request("HEAD", "/status")
    options = await node.admin_request("OPTIONS", "/config")

    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) > 100
    assert (options.status, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    wanted = {"Access-Control-Request-Headers": "X-One, X-Two"}
    asked = await node.admin_request("OPTIONS", "/config", wanted)
    assert asked.headers["access-control-allow-headers"] == "X-One, X-Two"


async def test_names_are_found_by_their_bytes_as_well(node: Gateway) -> None:
    lines = "GET /consumers/ål HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

    assert (await send(node.admin, lines.encode())).startswith(b"HTTP/1.1 200 ")
    for path in ("/tags/%ff", "/consumers?tags=%ff"):
        assert (await get(node, path)).status == 400


async def test_the_status_api_shows_upstreams_and_changes_none(node: Gateway) -> None:
    status = node.addresses["status"]
    for path in ("health", "targets", "targets/all"):
        rows = body(await request(status, "GET", f"/upstreams/u/{path}"))["data"]
        assert [row["target"] for row in rows] == ["10.0.0.1:80"]
    target = "/upstreams/u/targets/10.0.0.1:80"

    assert (await request(status, "GET", target)).status == 200
    assert (await request(status, "PATCH", target)).status == 405
    assert (await request(status, "GET", "/upstreams")).status == 404
    assert (await request(status, "PUT", f"{target}/healthy")).status == 404


async def test_a_node_without_a_database_waits_to_be_configured(tmp_path: Path) -> None:
    environment = {
        "KONG_DATABASE": "off",
        "KONG_STATUS_LISTEN": "127.0.0.1:0",
        "KONG_PREFIX": str(tmp_path),
    }
    node = await Gateway.start(None, environment=environment)
    try:
        ready = await request(node.addresses["status"], "GET", "/status/ready")
        assert (ready.status, body(await get(node, "/services"))["data"]) == (503, [])
        assert body(ready) == {"message": "no configuration available (empty configuration present)"}
        assert body(await get(node, "/status"))["configuration_hash"] == "0" * 32
        assert (await node.configure(OTHER)).status == 201
        assert "custom_id: null" in body(await get(node, "/config"))["config"]
        async with asyncio.timeout(10):
            while (await request(node.addresses["status"], "GET", "/status/ready")).status != 200:
                assert node.process.returncode is None
    finally:
        await node.stop()
    again = await Gateway.start(None, environment=environment)
    try:
        assert body(await get(again, "/consumers/bob"))["username"] == "bob"
    finally:
        await again.stop()


async def test_bytes_that_are_no_request_are_refused(node: Gateway) -> None:
    assert (await send(node.admin, b"rubbish\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_a_connection_serves_many_calls(node: Gateway) -> None:
    one = b"GET /status/ready HTTP/1.1\r\nHost: a\r\n\r\n"
    last = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")

    answer = await send(node.admin, one * 3 + last)

    assert answer.count(b"HTTP/1.1 200 OK") == 4


async def test_status_counts_connections_and_requests_of_all_workers(node: Gateway) -> None:
    before = body(await get(node, "/status"))["server"]
    for _ in range(20):
        assert (await node.request("GET", "/nothing")).status == 404

    async with asyncio.timeout(10):  # workers report once a second
        while True:
            status = body(await get(node, "/status"))
            if status["server"]["total_requests"] >= before["total_requests"] + 20:
                break
            await get(node, "/metrics")  # asks them now

    server = status["server"]
    assert set(server) == {
        "connections_accepted", "connections_active", "connections_handled", "connections_reading",
        "connections_waiting", "connections_writing", "total_requests",
    }  # fmt: skip
    assert server["total_requests"] == before["total_requests"] + 20
    assert server["connections_accepted"] == server["connections_handled"] >= 20
    assert len(status["memory"]["workers_lua_vms"]) == 2
    assert len(status["configuration_hash"]) == 32


@pytest.mark.parametrize(
    ("query", "form"),
    [
        ("", r"\d+\.\d\d MiB"),
        ("?unit=k", r"\d+\.\d\d KiB"),
        ("?unit=K&scale=0", r"\d+ KiB"),
        ("?unit=g&scale=3", r"\d+\.\d{3} GiB"),
    ],
)
async def test_status_shows_memory_in_the_unit_that_is_asked_for(
    node: Gateway, query: str, form: str
) -> None:
    await get(node, "/metrics")
    status = body(await get(node, f"/status{query}"))

    assert all(re.fullmatch(form, vm["http_allocated_gc"]) for vm in status["memory"]["workers_lua_vms"])


async def test_status_counts_bytes_as_numbers(node: Gateway) -> None:
    memory = body(await get(node, "/status?unit=b"))["memory"]

    assert all(isinstance(vm["http_allocated_gc"], int) for vm in memory["workers_lua_vms"])
    assert all(isinstance(shared["capacity"], int) for shared in memory["lua_shared_dicts"].values())


@pytest.mark.parametrize("query", ["?unit=x", "?scale=4", "?scale=-1", "?unit"])
async def test_status_refuses_units_it_does_not_know(node: Gateway, query: str) -> None:
    assert (await get(node, f"/status{query}")).status == 400


async def test_the_status_listener_answers_probes_and_nothing_else(node: Gateway) -> None:
    status = node.addresses["status"]

    ready = await request(status, "GET", "/status/ready")

    assert (ready.status, body(ready)) == (200, {"message": "ready"})
    assert (await request(status, "GET", "/status")).status == 200
    for path in ("/", "/config"):
        assert (await request(status, "GET", path)).status == 404


async def test_the_configuration_that_is_served_can_be_read_and_served_again(
    node: Gateway, upstream: Upstream
) -> None:
    assert (await node.configure(CONFIG.format(url=upstream.url))).status == 201
    text = body(await get(node, "/config"))["config"]

    assert "rate-limiting" in text
    assert "кey" in text
    again = await node.configure(text)
    assert again.status == 201
    before, after = msgspec.yaml.decode(text), msgspec.yaml.decode(body(await get(node, "/config"))["config"])
    for kind in ("services", "routes", "consumers", "keyauth_credentials", "targets", "plugins"):
        for one, other in zip(before[kind], after[kind], strict=True):
            assert {**one, "updated_at": 0} == {**other, "updated_at": 0}


async def test_right_after_its_start_a_node_tells_its_configuration(upstream: Upstream) -> None:
    node = await Gateway.start(CONFIG.format(url=upstream.url))
    try:
        assert "username: alice" in body(await get(node, "/config"))["config"]
    finally:
        await node.stop()


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        (JSON, msgspec.json.encode({"config": OTHER})),
        (JSON, b'{"_format_version": "3.0", "consumers": [{"username": "bob"}]}'),
        ({"Content-Type": "text/yaml"}, OTHER.encode()),
        ({"Content-Type": "application/x-yaml"}, OTHER.encode()),
        ({"Content-Type": "application/x-www-form-urlencoded"}, OTHER.encode()),
        ({}, OTHER.encode()),
        ({"Content-Type": "application/x-www-form-urlencoded"}, urlencode({"config": OTHER}).encode()),
        (
            {"Content-Type": "multipart/form-data; boundary=b0"},
            f'--b0\r\nContent-Disposition: form-data; name="config"; filename="kong.yml"\r\n'
            f"Content-Type: text/yaml\r\n\r\n{OTHER}\r\n--b0--\r\n".encode(),
        ),
    ],
)
async def test_a_configuration_is_taken_in_every_shape_that_kong_takes(
    node: Gateway, upstream: Upstream, headers: dict[str, str], content: bytes
) -> None:
    assert (await node.configure(CONFIG.format(url=upstream.url))).status == 201

    reply = await node.admin_request("POST", "/config", headers, content)

    assert reply.status == 201
    (consumer,) = body(reply)["consumers"].values()
    assert consumer["username"] == "bob"
    assert (await node.request("GET", "/a")).status == 404


async def test_the_answer_lists_entities_by_kind_and_id(node: Gateway, upstream: Upstream) -> None:
    told = body(await node.configure(CONFIG.format(url=upstream.url)))

    (route,) = told["routes"].values()
    (service,) = told["services"].values()
    assert route["service"] == {"id": service["id"]}
    assert route["methods"] is None
    assert set(told) == {
        "services", "routes", "plugins", "consumers", "keyauth_credentials", "upstreams", "targets",
    }  # fmt: skip


async def test_an_unchanged_configuration_need_not_be_loaded(node: Gateway) -> None:
    content = msgspec.json.encode({"config": OTHER})
    assert (await node.admin_request("POST", "/config", JSON, content)).status == 201
    reload_count = sum("serving configuration" in line for line in node.errors)

    unchanged = await node.admin_request("POST", "/config?check_hash=1", JSON, content)

    assert (unchanged.status, unchanged.body) == (304, b"")
    assert sum("serving configuration" in line for line in node.errors) == reload_count
    changed = msgspec.json.encode({"config": OTHER + "# changed\n"})
    assert (await node.admin_request("POST", "/config?check_hash=1", JSON, changed)).status == 201
    assert (await node.admin_request("POST", "/config", JSON, changed)).status == 201


async def test_the_hash_of_the_file_at_start_counts_as_well(upstream: Upstream) -> None:
    config = CONFIG.format(url=upstream.url)
    node = await Gateway.start(config)
    try:
        content = msgspec.json.encode({"config": config})
        assert (await node.admin_request("POST", "/config?check_hash=1", JSON, content)).status == 304
    finally:
        await node.stop()


async def test_of_many_configurations_at_once_each_is_served_whole_or_told_to_wait(node: Gateway) -> None:
    texts = [OTHER.replace("bob", f"bob{n}") for n in range(12)]

    replies = await asyncio.gather(*map(node.configure, texts))

    statuses = {reply.status for reply in replies}
    assert 201 in statuses
    assert statuses <= {201, 429}
    for reply in replies:
        if reply.status == 429:
            assert body(reply) == {"message": "Currently loading previous configuration"}
            assert int(reply.headers["retry-after"]) >= 1
    served = body(await get(node, "/config"))["config"]
    taken = {f"bob{n}" for n, reply in enumerate(replies) if reply.status == 201}
    assert any(f"username: {name}\n" in served for name in taken)


async def test_json_that_is_none_is_refused(node: Gateway) -> None:
    reply = await node.admin_request("POST", "/config", JSON, b'{"config": ')

    assert (reply.status, body(reply)) == (400, {"message": "Cannot parse JSON body"})


PAGED = """_format_version: "3.0"
upstreams:
- name: u
  targets:
  - {target: "10.0.0.1:80", tags: [a]}
  - {target: "10.0.0.2:80", tags: [a, b]}
  - {target: "10.0.0.3:80"}
- {name: slow, slow_start: 5}
plugins:
- {name: cors, instance_name: plain}
- {name: cors, instance_name: strict, service: s, config: {allow_origin_absent: false}}
services: [{name: s, host: a.test}]
"""


@pytest.fixture(scope="module")
async def paged() -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(PAGED)
    yield gateway
    await gateway.stop()


@pytest.mark.parametrize("path", ["targets", "targets/all", "health"])
async def test_targets_and_their_health_come_in_pages_whatever_their_tags(paged: Gateway, path: str) -> None:
    first = body(await get(paged, f"/upstreams/u/{path}?size=2"))
    second = body(await get(paged, first["next"]))
    found = [row["target"] for row in (*first["data"], *second["data"])]
    tagged = body(await get(paged, f"/upstreams/u/{path}?tags=a,b"))

    assert sorted(found) == ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
    assert (len(first["data"]), second["next"]) == (2, None)
    assert len(tagged["data"]) == 3
    assert first["next"] == f"/upstreams/u/{path}?offset={first['offset']}"
    assert (await get(paged, f"/upstreams/u/{path}?offset=x")).status == 400
    assert (await get(paged, f"/upstreams/u/{path}?size=0")).status == 400


async def test_fields_that_kongs_version_lacks_are_shown_when_they_are_set(paged: Gateway) -> None:
    upstreams = [body(await get(paged, f"/upstreams/{name}")) for name in ("u", "slow")]
    configs = [body(await get(paged, f"/plugins/{name}"))["config"] for name in ("plain", "strict")]
    published = body(await get(paged, "/schemas/plugins/cors"))
    taken = body(await paged.configure(PAGED))["plugins"].values()
    told = {plugin["instance_name"]: plugin["config"].get("allow_origin_absent", "-") for plugin in taken}

    assert [upstream.get("slow_start", "-") for upstream in upstreams] == ["-", 5]
    assert [config.get("allow_origin_absent", "-") for config in configs] == ["-", False]
    assert told == {"plain": "-", "strict": False}
    assert "allow_origin_absent" in str(published)


async def test_schemas_of_what_is_not_kept_are_there(node: Gateway) -> None:
    for name, first in (("tags", "tag"), ("workspaces", "id")):
        assert first in body(await get(node, f"/schemas/{name}"))["fields"][0]
    refused = await node.admin_request("POST", "/schemas/workspaces/validate", JSON, b'{"name": "tags"}')
    assert body(refused)["fields"]["name"].startswith("must not be one of: workspaces, ")


PAIR = {"cert": certificate(EC), "key": pem(EC)}


@pytest.mark.parametrize(
    ("kind", "given", "fields"),
    [
        ("certificates", {**PAIR, "snis": ["a.test"]}, None),
        ("certificates", {**PAIR, "snis": ["a.test", "10.0.0.1"]}, {"snis": [None, "must not be an IP"]}),
        ("vaults", {"name": "env", "prefix": "env"}, {"prefix": "must not be one of: env"}),
        (
            "keys",
            {"kid": "k", "jwk": '{"kid": "k"}'},
            {"@entity": ["could not load JWK, likely not a valid key"]},
        ),
    ],
)
async def test_what_would_be_wrong_is_told_before(
    node: Gateway, kind: str, given: dict[str, Any], fields: dict[str, Any] | None
) -> None:
    path = f"/schemas/{kind}/validate"
    reply = await node.admin_request("POST", path, JSON, msgspec.json.encode(given))

    assert (reply.status, body(reply).get("fields")) == (200 if fields is None else 400, fields)


async def test_what_kong_leaves_to_nginx_is_a_page(node: Gateway) -> None:
    wrong = await node.admin_request("PATCH", "/services/s", {"Content-Type": "text/plain"}, b"x")
    unknown = await get(node, "/proxy-cache/nothing")
    untold = await node.admin_request("PATCH", "/services/s", {}, b"x")

    for reply, status in ((wrong, 415), (unknown, 404), (untold, 415)):
        assert reply.status == status
        assert reply.headers["content-type"] == "text/html; charset=UTF-8"
        assert f"<center><h1>{status} ".encode() in reply.body
