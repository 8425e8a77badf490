"""Headers on the way up and on the way back: hop-by-hop fields, Host, X-Forwarded-*, Via, X-Kong-*."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from tests.support.client import connected
from tests.support.gateway import Gateway, Reply
from tests.support.upstream import Received, Upstream

CONFIG = """_format_version: "3.0"
services:
- name: plain
  url: {url}
  retries: 0
  routes:
  - {{name: all, paths: [/], strip_path: false}}
  - {{name: stripped, paths: [/api/v1], strip_path: true}}
  - {{name: captured, paths: ["~/users/(?<id>[^/]+)"], strip_path: true}}
  - {{name: preserving, paths: [/preserving], preserve_host: true}}
- name: based
  url: {url}/base
  routes: [{{name: based, paths: [/based]}}]
- name: balanced
  host: pool.test
  routes: [{{name: balanced, paths: [/balanced]}}]
- name: renamed
  host: renamed.test
  routes: [{{name: renamed, paths: [/renamed]}}]
upstreams:
- name: pool.test
  targets: [{{target: "127.0.0.1:{port}"}}]
- name: renamed.test
  host_header: shown.test
  targets: [{{target: "127.0.0.1:{port}"}}]
"""
HEX = re.compile(r"[0-9a-f]{32}")
OWN_OF_ANSWERS = {
    "via", "server", "x-kong-request-id", "x-kong-upstream-latency", "x-kong-proxy-latency",
    "x-kong-response-latency", "x-kong-upstream-status",
}  # fmt: skip


def answering(fields: str, body: str = "ok", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\n{fields}Content-Length: {len(body)}\r\n\r\n{body}".encode("latin-1")


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(url=upstream.url, port=upstream.port))
    yield gateway
    await gateway.stop()


async def reached(node: Gateway, upstream: Upstream, fields: str = "", path: str = "/") -> Received:
    """What the upstream got for a request with these field lines."""
    upstream.received.clear()
    async with connected(node.proxy) as client:
        client.get(path, fields)
        assert (await client.reply()).status == 200
    return upstream.received[-1]


async def returned(
    node: Gateway, upstream: Upstream, answer: bytes, path: str = "/", fields: str = ""
) -> Reply:
    """What the client gets of an upstream's answer."""

    async def say(received: Received, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer)
        return True

    before, upstream.answer = upstream.answer, say
    try:
        async with connected(node.proxy) as client:
            client.get(path, fields)
            return await client.reply()
    finally:
        upstream.answer = before


# Towards the upstream


async def test_end_to_end_fields_pass_unchanged_and_in_order(node: Gateway, upstream: Upstream) -> None:
    sent = [("x-b", "2"), ("x-a", "1"), ("x-a", "3"), ("x-empty", ""), ("x-odd", 'caf\xe9, "q" ;=')]

    got = await reached(node, upstream, "".join(f"{name}: {value}\r\n" for name, value in sent))

    assert [pair for pair in got.fields if pair[0] in {"x-a", "x-b", "x-empty", "x-odd"}] == sent


@pytest.mark.parametrize(
    ("fields", "gone"),
    [
        ("Connection: close, X-Private\r\nX-Private: 1\r\n", "x-private"),
        ("Connection: X-One\r\nConnection: X-Two\r\nX-Two: 1\r\n", "x-two"),
        ("Connection: keep-alive\r\nConnection: X-Two\r\nX-Two: 1\r\n", "x-two"),
        ("Keep-Alive: timeout=5\r\n", "keep-alive"),
        ("Proxy-Connection: keep-alive\r\n", "proxy-connection"),
        ("Proxy: http://evil.test\r\n", "proxy"),
        ("Upgrade: h2c\r\nConnection: Upgrade\r\n", "upgrade"),
        ("Upgrade: websocket\r\n", "upgrade"),
        ("TE: gzip\r\n", "te"),
        ("X.Dotted: 1\r\n", "x.dotted"),
        ("Content_Length: 5\r\n", "content_length"),
        ("Transfer_Encoding: chunked\r\n", "transfer_encoding"),
    ],
)
async def test_a_field_of_the_clients_hop_ends_here(
    node: Gateway, upstream: Upstream, fields: str, gone: str
) -> None:
    got = await reached(node, upstream, fields)

    assert gone not in got.headers
    assert [value for name, value in got.fields if name == "connection"] == ["keep-alive"]


async def test_the_client_cannot_withhold_what_the_gateway_sends(node: Gateway, upstream: Upstream) -> None:
    names = "Host, X-Forwarded-For, X-Real-IP, X-Kong-Request-Id, Via, Content-Length"

    got = await reached(node, upstream, f"Connection: {names}\r\n")

    assert got.headers["x-real-ip"] == got.headers["x-forwarded-for"] == "127.0.0.1"
    assert got.headers["host"] == f"127.0.0.1:{upstream.port}"
    assert {"x-kong-request-id", "via"} <= got.headers.keys()


async def test_only_trailers_is_left_of_te(node: Gateway, upstream: Upstream) -> None:
    assert (await reached(node, upstream, "TE: gzip, trailers\r\n")).headers["te"] == "trailers"


async def test_the_upstream_is_told_who_asks_for_what(node: Gateway, upstream: Upstream) -> None:
    got = await reached(node, upstream, path="/api/v1/x%20y?q=1")

    assert got.target == "/x%20y?q=1"
    told = {name: value for name, value in got.fields if name.startswith("x-")}
    assert HEX.fullmatch(told.pop("x-kong-request-id"))
    assert told == {
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "gw.test",
        "x-forwarded-port": str(node.proxy[1]),
        "x-forwarded-path": "/api/v1/x%20y",
        "x-forwarded-prefix": "/api/v1",
        "x-real-ip": "127.0.0.1",
    }


async def test_what_an_untrusted_client_claims_is_replaced(node: Gateway, upstream: Upstream) -> None:
    claims = {"Proto": "https", "Host": "evil.test", "Port": "1", "Path": "/evil", "Prefix": "/evil"}
    lines = "".join(f"X-Forwarded-{name}: {value}\r\n" for name, value in claims.items())

    got = await reached(node, upstream, lines + "X-Real-IP: 6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\n")

    assert got.headers["x-forwarded-for"] == "6.6.6.6, 127.0.0.1"
    assert got.headers["x-real-ip"] == "127.0.0.1"
    assert not any("evil" in value for _, value in got.fields)
    assert got.headers["x-forwarded-proto"] == "http"


async def test_each_forwarded_field_occurs_once(node: Gateway, upstream: Upstream) -> None:
    got = await reached(
        node, upstream, "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nVia: 1.0 a\r\n"
    )

    names = [name for name, _ in got.fields]
    assert len(names) == len(set(names))
    assert got.headers["x-forwarded-for"] == "1.1.1.1, 127.0.0.1"
    assert re.fullmatch(r"1\.0 a, 1\.1 tollhouse/\S+", got.headers["via"])


async def test_one_connection_may_ask_several_hosts(node: Gateway, upstream: Upstream) -> None:
    upstream.received.clear()
    async with connected(node.proxy) as client:
        for host in ("One.test:81", "two.test", "[::1]:9", "two.test"):
            client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
            await client.reply()

    shown = [received.headers["x-forwarded-host"] for received in upstream.received]
    assert shown == ["one.test", "two.test", "[::1]", "two.test"]


@pytest.mark.parametrize("host", ["", "Host:\r\n"])
async def test_a_1_0_request_without_a_host_is_forwarded_for_its_client(
    node: Gateway, upstream: Upstream, host: str
) -> None:
    upstream.received.clear()

    await node.send(f"GET / HTTP/1.0\r\n{host}\r\n".encode())

    got = upstream.received[-1].headers
    assert got["x-forwarded-for"] == got["x-real-ip"] == "127.0.0.1"
    assert "x-forwarded-host" not in got
    assert got["host"] == f"127.0.0.1:{upstream.port}"


async def test_escapes_in_a_path_never_become_field_lines(node: Gateway, upstream: Upstream) -> None:
    got = await reached(node, upstream, path="/users/a%0d%0aX-Injected:%20yes")

    assert "x-injected" not in got.headers
    assert got.headers["x-forwarded-prefix"] == "/users/a%0D%0AX-Injected: yes"


@pytest.mark.parametrize(
    ("path", "host"),
    [
        ("/", "127.0.0.1:{port}"),
        ("/preserving", "gw.test"),
        ("/balanced", "127.0.0.1:{port}"),
        ("/renamed", "shown.test:{port}"),
    ],
)
async def test_host_is_the_targets_or_the_clients(
    node: Gateway, upstream: Upstream, path: str, host: str
) -> None:
    assert (await reached(node, upstream, path=path)).headers["host"] == host.format(port=upstream.port)


async def test_a_preserved_host_keeps_its_port(node: Gateway, upstream: Upstream) -> None:
    upstream.received.clear()

    await node.request("GET", "/preserving", {"Host": "Shop.test:8443"})

    assert upstream.received[-1].headers["host"] == "Shop.test:8443"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/v1", "/"),
        ("/api/v1/", "/"),
        ("/api/v1/a/../b", "/b"),
        ("/api/v1//a?x=/../y", "/a?x=/../y"),
        ("/api/v1?", "/?"),
        ("/based", "/base"),
        ("/based/x", "/base/x"),
        ("/a%7Eb", "/a~b"),
        ("/a%2fb", "/a%2Fb"),
    ],
)
async def test_the_upstream_is_asked_for_the_mapped_path(
    node: Gateway, upstream: Upstream, path: str, target: str
) -> None:
    assert (await reached(node, upstream, path=path)).target == target


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "QUERY"])
async def test_a_declared_empty_body_stays_declared(node: Gateway, upstream: Upstream, method: str) -> None:
    upstream.received.clear()
    async with connected(node.proxy) as client:
        start = f"{method} / HTTP/1.1\r\nHost: a\r\n"
        client.send(f"{start}Content-Length: 0\r\n\r\n{start}\r\n")
        await client.reply()
        await client.reply()

    assert [received.framing for received in upstream.received] == ["length", "none"]


# Towards the client


async def test_an_upstreams_answer_carries_the_gateways_fields(node: Gateway, upstream: Upstream) -> None:
    reply = await returned(node, upstream, answering("X-A: 1\r\n"))

    assert HEX.fullmatch(reply.headers["x-kong-request-id"])
    assert reply.headers["via"].startswith("1.1 tollhouse/")
    assert reply.headers["server"].startswith("tollhouse/")
    assert int(reply.headers["x-kong-proxy-latency"]) >= 0
    assert int(reply.headers["x-kong-upstream-latency"]) >= 0
    assert "x-kong-response-latency" not in reply.headers
    assert reply.headers["date"].endswith(" GMT")


async def test_an_upstreams_own_server_date_and_via_stay(node: Gateway, upstream: Upstream) -> None:
    fields = "Server: u/1\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nVia: 1.0 inner\r\n"

    reply = await returned(node, upstream, answering(fields))

    names = [name for name, _ in reply.fields]
    assert all(names.count(name) == 1 for name in ("server", "date", "via"))
    assert reply.headers["server"] == "u/1"
    assert reply.headers["date"].startswith("Thu, 01 Jan 1970")
    assert reply.headers["via"].startswith("1.0 inner, 1.1 tollhouse/")


async def test_the_gateways_answer_carries_its_own_fields(node: Gateway) -> None:
    reply = await node.request("GET", "/", {"Host": "a"}, b"")
    refused = await node.send(b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n")

    assert reply.status == 200
    head = refused.partition(b"\r\n\r\n")[0].decode().lower()
    assert "x-kong-response-latency: " in head
    assert "server: tollhouse/" in head
    assert "via: " not in head


@pytest.mark.parametrize(
    ("fields", "gone"),
    [
        ("Connection: X-Private\r\nX-Private: 1\r\n", "x-private"),
        ("Connection: close\r\nConnection: X-Two\r\nX-Two: 1\r\n", "x-two"),
        ("Keep-Alive: timeout=5\r\n", "keep-alive"),
        ("Upgrade: h2c\r\n", "upgrade"),
        ("Trailer: X-T\r\n", "trailer"),
        ("Proxy-Connection: close\r\n", "proxy-connection"),
        ("X.Dotted: 1\r\n", "x.dotted"),
    ],
)
async def test_a_field_of_the_upstreams_hop_ends_here(
    node: Gateway, upstream: Upstream, fields: str, gone: str
) -> None:
    reply = await returned(node, upstream, answering(fields))

    assert gone not in reply.headers
    assert reply.body == b"ok"


async def test_a_client_that_takes_trailers_is_told_which(node: Gateway, upstream: Upstream) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nok\r\n0\r\n\r\n"

    for fields, told in (("TE: trailers\r\n", "X-T"), ("", None), ("TE: trailers\r\n", "X-T")):
        reply = await returned(node, upstream, chunked, fields=fields)
        assert reply.headers.get("trailer") == told


async def test_what_comes_in_chunks_goes_on_in_chunks(node: Gateway, upstream: Upstream) -> None:
    for body in (b"2\r\nok\r\n0\r\n\r\n", b"0\r\n\r\n"):
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
        reply = await returned(node, upstream, chunked)
        assert reply.headers["transfer-encoding"] == "chunked"
        assert "content-length" not in reply.headers
        assert reply.body == body[3:5].strip()


async def test_an_upstream_cannot_withhold_the_length(node: Gateway, upstream: Upstream) -> None:
    reply = await returned(node, upstream, answering("Connection: Content-Length\r\n"))

    assert reply.headers["content-length"] == "2"


async def test_repeated_fields_come_back_as_they_were(node: Gateway, upstream: Upstream) -> None:
    reply = await returned(node, upstream, answering("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"))

    assert [value for name, value in reply.fields if name == "set-cookie"] == ["a=1", "b=2"]


@pytest.mark.parametrize("body", [True, False])
async def test_a_204_announces_no_body(node: Gateway, upstream: Upstream, body: bool) -> None:
    answer = f"HTTP/1.1 204 No Content\r\nContent-Length: {5 if body else 0}\r\n\r\n"

    reply = await returned(node, upstream, answer.encode())

    assert reply.status == 204
    assert "content-length" not in reply.headers


async def test_a_304_keeps_the_length_that_it_tells_of(node: Gateway, upstream: Upstream) -> None:
    reply = await returned(
        node, upstream, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: x\r\n\r\n"
    )

    assert (reply.status, reply.headers["content-length"], reply.body) == (304, "9", b"")


@pytest.mark.parametrize("status", ["299 Odd", "418", "599 \xe9", "700 Beyond"])
async def test_odd_status_lines_pass(node: Gateway, upstream: Upstream, status: str) -> None:
    reply = await returned(node, upstream, answering("", status=status))

    assert reply.status == int(status[:3])


async def test_many_interim_answers_are_passed_over(node: Gateway, upstream: Upstream) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" * 3000

    assert (await returned(node, upstream, interim + answering(""))).body == b"ok"


async def test_text_without_a_charset_gets_one(node: Gateway, upstream: Upstream) -> None:
    types = {
        "text/html": "text/html; charset=UTF-8",
        "text/html; charset=latin1": "text/html; charset=latin1",
        "application/json": "application/json",
    }
    for given, shown in types.items():
        reply = await returned(node, upstream, answering(f"Content-Type: {given}\r\n"))
        assert reply.headers["content-type"] == shown


# KONG_HEADERS


@pytest.mark.parametrize(
    ("setting", "proxied", "own"),
    [
        ("off", set(), set()),
        ("server_tokens", {"via", "server"}, {"server"}),
        (
            "latency_tokens",
            {"x-kong-upstream-latency", "x-kong-proxy-latency"},
            {"x-kong-response-latency"},
        ),
        ("X-Kong-Upstream-Status, via", {"x-kong-upstream-status", "via"}, set()),
    ],
)
async def test_the_setting_chooses_what_answers_carry(
    upstream: Upstream, setting: str, proxied: set[str], own: set[str]
) -> None:
    environment = {"KONG_HEADERS": setting, "KONG_HEADERS_UPSTREAM": "off"}
    node = await Gateway.start(CONFIG.format(url=upstream.url, port=upstream.port), environment=environment)
    try:
        reply = await node.request("GET", "/")
        assert OWN_OF_ANSWERS & reply.headers.keys() == proxied
        assert reply.headers.get("x-kong-upstream-status", "200") == "200"
        refused = await node.request("GET", "/%00")
        assert OWN_OF_ANSWERS & refused.headers.keys() == own
        assert "x-kong-request-id" not in upstream.received[-1].headers
        passed = await returned(
            node, upstream, answering("Via: 1.0 u\r\nServer: u\r\nX-Kong-Request-Id: u\r\n")
        )
        assert (passed.headers["server"], passed.headers["via"][:5]) == ("u", "1.0 u")
        assert passed.headers["x-kong-request-id"] == "u"
    finally:
        await node.stop()
