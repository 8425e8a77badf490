"""file-log: one JSON line for each exchange, its fields in Kong's shape."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.client import connected
from tests.support.gateway import Gateway
from tests.support.lines import lines_of
from tests.support.load import Load
from tests.support.upstream import OK, Received, Upstream

ALICE = "11111111-1111-4111-8111-111111111111"
KEY = "21111111-1111-4111-8111-111111111111"
CONFIG = """_format_version: "3.0"
services:
- name: svc
  url: {url}/base
  tags: [t]
  retries: 1
  plugins: [{{name: file-log, config: {{path: {folder}/svc.log}}}}]
  routes:
  - {{name: plain, paths: [/plain]}}
  - {{name: keyed, paths: [/keyed], plugins: [{{name: key-auth}}, {{name: correlation-id}}]}}
  - {{name: load, paths: [/load], plugins: [{{name: file-log, config: {{path: {folder}/load.log}}}}]}}
  - {{name: reopened, paths: [/reopened],
      plugins: [{{name: file-log, config: {{path: {folder}/reopened.log, reopen: true}}}}]}}
  - name: custom
    paths: [/custom]
    plugins:
    - name: file-log
      config:
        path: {folder}/custom.log
        custom_fields_by_lua:
          added: return 'text'
          request.headers: return nil
          deep.er: return 12
          dotted\\.name: return true
          route: return nil
  - name: seen
    paths: ["~/seen/(?<who>[a-z]+)"]
    plugins:
    - name: file-log
      config:
        path: {folder}/seen.log
        custom_fields_by_lua:
          who: return kong.request.get_uri_captures().named.who
          version: return kong.request.get_http_version()
          from: return kong.response.get_source()
          status: return kong.service.response.get_status()
          two: return kong.service.response.get_header("X-Two")
          variables: return ngx.var.http_user_agent .. " " .. ngx.var.request_uri .. " " .. ngx.var.arg_a
          method: kong.log.notice("in the log") return ngx.req.get_method()
- host: 127.0.0.1
  port: {closed}
  retries: 1
  plugins:
  - name: file-log
    config:
      path: {folder}/dead.log
      custom_fields_by_lua: {{from: return kong.response.get_source()}}
  routes: [{{name: dead, paths: [/dead]}}]
consumers:
- {{id: {alice}, username: alice, custom_id: a-1, keyauth_credentials: [{{id: {key}, key: k}}]}}
plugins:
- {{name: file-log, config: {{path: {folder}/global.log}}}}
- {{name: response-transformer, config: {{add: {{headers: ["X-For-All:1"]}}}}}}
"""


class Slow(Upstream):
    """Keeps `/base/gone` waiting for ever, and repeats a header."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.ended = asyncio.Event()

    async def _answer(self, received: Received, writer: asyncio.StreamWriter) -> bool:
        if received.target == "/base/gone":
            await self.ended.wait()
        writer.write(OK.replace(b"\r\n", b"\r\nX-Two: a\r\nX-Two: b\r\nServer: up\r\n", 1))
        return True


@pytest.fixture(scope="module")
async def upstream() -> AsyncIterator[Slow]:
    server = Slow()
    await server.start()
    yield server
    server.ended.set()
    await server.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
async def node(upstream: Slow, folder: Path, unused_tcp_port_factory: Any) -> AsyncIterator[Gateway]:
    config = CONFIG.format(
        url=upstream.url, folder=folder, alice=ALICE, key=KEY, closed=unused_tcp_port_factory()
    )
    gateway = await Gateway.start(config, workers=2)
    yield gateway
    await gateway.stop()


async def record(path: Path, at_least: int = 1) -> dict[str, Any]:
    """The newest record."""
    found: dict[str, Any] = msgspec.json.decode((await lines_of(path, at_least))[-1])
    return found


def lines_in(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


async def test_a_proxied_request_is_told_in_full(node: Gateway, upstream: Slow, folder: Path) -> None:
    before, path = time.time(), folder / "svc.log"
    request = (
        b"GET /plain/x?a=1&b&a=%C3%A9 HTTP/1.1\r\nHost: Gw.test:80\r\nConnection: close\r\n"
        b"Authorization: Basic c2VjcmV0\r\nProxy-Authorization: secret\r\nX-Two: 1\r\nX-Two: 2\r\n\r\n"
    )
    had = lines_in(path)

    answer = await node.send(request)

    told = await record(path, had + 1)
    assert set(told) == {
        "request", "response", "upstream_uri", "upstream_status", "latencies", "tries", "client_ip",
        "started_at", "source", "workspace", "workspace_name", "route", "service",
    }  # fmt: skip
    seen = told["request"]
    assert set(seen) == {"id", "uri", "url", "querystring", "method", "headers", "size"}
    assert seen["uri"] == "/plain/x?a=1&b&a=%C3%A9"
    assert seen["url"].endswith(f":{node.proxy[1]}/plain/x?a=1&b&a=%C3%A9")
    assert seen["querystring"] == {"a": ["1", "Ã©"], "b": True} or seen["querystring"] == {
        "a": ["1", "é"],
        "b": True,
    }
    assert seen["size"] == len(request)
    assert seen["headers"]["authorization"] == "REDACTED"
    assert seen["headers"]["proxy-authorization"] == "REDACTED"
    assert seen["headers"]["x-two"] == ["1", "2"]
    got = told["response"]
    assert (got["status"], got["size"]) == (200, len(answer))
    assert got["headers"]["x-two"] == ["a", "b"]
    assert got["headers"]["server"] == "up"
    assert "date" not in got["headers"], "the upstream sent none, and nginx adds its own later"
    assert got["headers"]["x-kong-request-id"] == seen["id"]
    assert got["headers"]["via"].startswith("1.1 tollhouse/")
    assert told["upstream_uri"] == "/base/x?a=1&b&a=%C3%A9"
    assert told["upstream_status"] == "200"
    assert told["client_ip"] == "127.0.0.1"
    assert told["source"] == "upstream"
    assert before - 1 <= told["started_at"] / 1000 <= time.time() + 1
    latencies = told["latencies"]
    assert set(latencies) == {"request", "kong", "proxy", "receive"}
    assert all(isinstance(each, int) and each >= 0 for each in latencies.values())
    (attempt,) = told["tries"]
    assert (attempt["ip"], attempt["port"]) == ("127.0.0.1", upstream.port)
    assert attempt["balancer_start_ns"] // 1_000_000 == attempt["balancer_start"]
    assert told["route"]["name"] == "plain"
    assert told["route"]["service"]["id"] == told["service"]["id"]
    assert told["service"]["tags"] == ["t"]
    assert "secret" not in str(told).replace("REDACTED", "")


async def test_who_called_is_told(node: Gateway, folder: Path) -> None:
    had = lines_in(folder / "svc.log")

    await node.request("GET", "/keyed", {"apikey": "k", "Kong-Request-ID": "mine"})

    told = await record(folder / "svc.log", had + 1)
    assert told["consumer"]["username"] == "alice"
    assert told["consumer"]["custom_id"] == "a-1"
    assert told["authenticated_entity"]["id"] == KEY
    assert told["correlation_id"] == "mine"


async def test_a_refusal_is_kongs_own(node: Gateway, folder: Path) -> None:
    had = lines_in(folder / "svc.log")

    await node.request("GET", "/keyed")

    told = await record(folder / "svc.log", had + 1)
    assert told["response"]["status"] == 401
    assert told["source"] == "kong"
    assert told["tries"] == []
    assert told["upstream_status"] == ""
    assert told["latencies"]["proxy"] == -1
    assert told["latencies"]["receive"] == 0
    assert "consumer" not in told


async def test_what_no_route_took_is_logged_by_the_global_plugin(node: Gateway, folder: Path) -> None:
    had = lines_in(folder / "global.log")

    await node.request("GET", "/nowhere")

    told = await record(folder / "global.log", had + 1)
    assert told["response"]["status"] == 404
    assert told["source"] == "kong"
    assert told["upstream_uri"] == ""
    assert "route" not in told
    assert "service" not in told


@pytest.mark.parametrize(
    ("sent", "status", "method", "uri"),
    [
        (b"POST /plain?foo=bar HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000, 400, "POST", "/plain?foo=bar"),
        (b"PUT /?foo=" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a", 414, "PUT", "/"),
        (b"\x16\x03\x01\x02", 400, "", "/"),
    ],
    ids=["header", "line", "nonsense"],
)
async def test_what_is_no_request_is_told_by_what_is_for_everything(
    node: Gateway, folder: Path, sent: bytes, status: int, method: str, uri: str
) -> None:
    had = lines_in(folder / "global.log")

    answer = await node.send(sent + b"\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"x-for-all: 1" in answer.lower()
    told = await record(folder / "global.log", had + 1)
    assert (told["response"]["status"], told["source"]) == (status, "kong")
    assert (told["request"]["method"], told["request"]["uri"]) == (method, uri)
    assert (told["request"]["headers"], told["upstream_uri"]) == ({}, "")
    assert "route" not in told


async def test_every_attempt_that_failed_is_listed(node: Gateway, folder: Path) -> None:
    await node.request("GET", "/dead")

    told = await record(folder / "dead.log")
    assert told["response"]["status"] == 502
    assert [attempt.get("state") for attempt in told["tries"]] == ["failed", "failed"]
    assert all(attempt["balancer_latency"] >= 0 for attempt in told["tries"])
    assert told["upstream_status"] == "502, 502"
    assert told["from"] == "error"


async def test_a_client_that_went_away_is_told_as_499(node: Gateway, upstream: Slow, folder: Path) -> None:
    had = lines_in(folder / "svc.log")
    _, writer = await asyncio.open_connection(*node.proxy)
    writer.write(b"GET /plain/gone HTTP/1.1\r\nHost: a\r\n\r\n")
    await upstream.until(1, "/base/gone")

    writer.transport.abort()

    assert (await record(folder / "svc.log", had + 1))["response"]["status"] == 499


async def test_fields_can_be_added_and_taken_out(node: Gateway, folder: Path) -> None:
    await node.request("GET", "/custom")

    told = await record(folder / "custom.log")
    assert told["added"] == "text"
    assert told["deep"] == {"er": 12}
    assert told["dotted.name"] is True
    assert "route" not in told
    assert "headers" not in told["request"]


async def test_lua_sees_the_exchange(node: Gateway, folder: Path) -> None:
    await node.request("GET", "/seen/alice?a=1", {"User-Agent": "me"})

    told = await record(folder / "seen.log")
    wanted = {
        **{"who": "alice", "version": 1.1, "from": "service", "status": 200, "two": "a"},
        **{"variables": "me /seen/alice?a=1 1", "method": "GET"},
    }
    assert {name: told[name] for name in wanted} == wanted
    assert any("in the log" in line for line in node.errors)


async def test_under_load_every_exchange_has_one_whole_line(node: Gateway, folder: Path) -> None:
    load = Load(node.proxy, "/load").start(16)
    await load.until(500)
    await load.stop()

    lines = await lines_of(folder / "load.log", load.answers)

    ids = {msgspec.json.decode(line)["request"]["id"] for line in lines}
    assert len(lines) == len(ids) == load.answers


async def test_a_reopened_file_may_be_moved_away(node: Gateway, folder: Path) -> None:
    path = folder / "reopened.log"
    await node.request("GET", "/reopened")
    await lines_of(path, 1)
    path.rename(folder / "reopened.log.1")

    await node.request("GET", "/reopened")

    assert len(await lines_of(path, 1)) == 1
    assert len(await lines_of(folder / "reopened.log.1", 1)) == 1


async def test_the_end_of_the_node_loses_no_line(upstream: Slow, folder: Path) -> None:
    path = folder / "end.log"
    node = await Gateway.start(
        CONFIG.format(url=upstream.url, folder=folder, alice=ALICE, key=KEY, closed=1).replace(
            "svc.log", "end.log"
        )
    )
    for _ in range(20):
        await node.request("GET", "/plain")

    assert await node.stop() == 0

    assert lines_in(path) == 20


async def test_tls_of_the_client_is_told(upstream: Slow, tmp_path: Path) -> None:
    plugin = f"{{name: file-log, config: {{path: {tmp_path}/tls.log}}}}"
    node = await Gateway.start(
        f"_format_version: '3.0'\nservices: [{{url: '{upstream.url}', routes: [{{paths: [/]}}]}}]\n"
        f"plugins: [{plugin}]\n",
        environment={"KONG_PROXY_LISTEN": "127.0.0.1:0 ssl"},
    )
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with connected(node.proxy, tls=context, server_name="a.test") as client:
            client.get("/tls")
            await client.reply()
            secured = client.writer.get_extra_info("ssl_object")
            agreed = {"version": secured.version(), "cipher": secured.cipher()[0], "client_verify": "NONE"}
        told = await record(tmp_path / "tls.log")
    finally:
        await node.stop()

    assert told["request"]["tls"] == agreed
    assert told["request"]["url"].startswith("https://gw.test:")
