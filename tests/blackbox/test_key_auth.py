"""key-auth: where keys are found, what refusals say, what the upstream is told and what it never sees."""

from collections.abc import AsyncIterator
from urllib.parse import quote

import msgspec
import pytest
from tests.support.gateway import Gateway, Reply, send
from tests.support.upstream import Received, Upstream

ALICE = "11111111-1111-4111-8111-111111111111"
ALICE_KEY = "21111111-1111-4111-8111-111111111111"
CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes:
  - {{name: plain, paths: [/plain], plugins: [{{name: key-auth}}]}}
  - {{name: hide, paths: [/hide], plugins: [{{name: key-auth, config: {{hide_credentials: true,
      key_in_body: true, key_names: [apikey, x_key]}}}}]}}
  - {{name: realm, paths: [/realm], plugins: [{{name: key-auth, config: {{realm: the keep}}}}]}}
  - {{name: query, paths: [/query], plugins: [{{name: key-auth, config: {{key_in_header: false}}}}]}}
  - {{name: header, paths: [/header], plugins: [{{name: key-auth, config: {{key_in_query: false}}}}]}}
  - {{name: body, paths: [/body], plugins: [{{name: key-auth, config: {{key_in_body: true}}}}]}}
  - {{name: preflight, paths: [/preflight],
      plugins: [{{name: key-auth, config: {{run_on_preflight: false}}}}]}}
  - {{name: anonymous, paths: [/anonymous], plugins: [{{name: key-auth, config: {{anonymous: nobody}}}}]}}
  - {{name: ghost, paths: [/ghost], plugins: [{{name: key-auth, config: {{anonymous: missing}}}}]}}
consumers:
- id: {alice}
  username: alice
  custom_id: a-1
  keyauth_credentials: [{{id: {alice_key}, key: alice-key}}, {{key: "ключ"}}, {{key: "a b&c"}}]
- {{username: old, keyauth_credentials: [{{key: expired, created_at: 1000000000, ttl: 60}}]}}
- {{username: new, keyauth_credentials: [{{key: fresh, ttl: 100000}}]}}
- {{username: nobody}}
"""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b0"}


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(url=upstream.url, alice=ALICE, alice_key=ALICE_KEY))
    yield gateway
    await gateway.stop()


def message(reply: Reply) -> object:
    body = reply.json()
    assert isinstance(body, dict)
    assert set(body) == {"message", "request_id"}
    assert body["request_id"] == reply.headers["x-kong-request-id"]
    return body["message"]


def part(name: str, value: str) -> str:
    return f'--b0\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'


async def test_the_upstream_is_told_who_calls(node: Gateway, upstream: Upstream) -> None:
    forged = {"X-Consumer-Username": "root", "X-Anonymous-Consumer": "true", "X-Credential-Identifier": "9"}

    reply = await node.request("GET", "/plain", {"apikey": "alice-key", **forged})

    assert reply.status == 200
    told = upstream.received[-1].headers
    assert told["x-consumer-id"] == ALICE
    assert told["x-consumer-username"] == "alice"
    assert told["x-consumer-custom-id"] == "a-1"
    assert told["x-credential-identifier"] == ALICE_KEY
    assert "x-anonymous-consumer" not in told
    assert told["apikey"] == "alice-key"  # as in Kong, unless hide_credentials says otherwise


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/plain", {"apikey": "alice-key"}, b""),
        ("/plain", {"ApiKey": "alice-key"}, b""),
        ("/plain?apikey=alice-key", {}, b""),
        ("/plain?a=1&apikey=alice%2Dkey&b=2", {}, b""),
        (f"/plain?apikey={quote('a b&c')}", {}, b""),
        ("/plain?apikey=a+b%26c", {}, b""),
        (f"/plain?apikey={quote('ключ')}", {}, b""),
        ("/plain", {"apikey": "ключ".encode().decode("latin-1")}, b""),
        ("/body", FORM, b"x=1&apikey=alice-key"),
        ("/body", JSON, b'{"apikey": "alice-key"}'),
        ("/body", JSON, '{"apikey": "ключ"}'.encode()),
        ("/body", JSON | {"Content-Type": "application/json; charset=utf-8"}, b'{"apikey": "alice-key"}'),
        ("/body", MULTIPART, f"{part('a', 'b')}{part('apikey', 'alice-key')}--b0--\r\n".encode()),
        ("/query?apikey=alice-key", {"apikey": "wrong"}, b""),
        ("/header?apikey=wrong", {"apikey": "alice-key"}, b""),
        ("/plain", {"apikey": "fresh"}, b""),
    ],
)
async def test_a_key_is_found(node: Gateway, path: str, headers: dict[str, str], body: bytes) -> None:
    assert (await node.request("POST", path, headers, body)).status == 200


@pytest.mark.parametrize(
    ("path", "headers", "body", "expected"),
    [
        ("/plain", {}, b"", "No API key found in request"),
        ("/plain", {"apikey": ""}, b"", "No API key found in request"),
        ("/plain?apikey=alice-key", {"apikey": ""}, b"", "No API key found in request"),
        ("/plain?apikey", {}, b"", "No API key found in request"),
        ("/plain?apikey=", {}, b"", "No API key found in request"),
        ("/plain?APIKEY=alice-key", {}, b"", "No API key found in request"),
        ("/plain", FORM, b"apikey=alice-key", "No API key found in request"),
        ("/header?apikey=alice-key", {}, b"", "No API key found in request"),
        ("/query", {"apikey": "alice-key"}, b"", "No API key found in request"),
        ("/body", JSON, b'{"apikey": 5}', "No API key found in request"),
        ("/body", JSON, b'{"apikey": ', "No API key found in request"),
        ("/body", JSON, b'["apikey"]', "No API key found in request"),
        ("/body", MULTIPART, b"no multipart at all", "No API key found in request"),
        ("/plain?apikey=a&apikey=b", {}, b"", "Duplicate API key found"),
        ("/body", FORM, b"apikey=a&apikey=b", "Duplicate API key found"),
        ("/body", JSON, b'{"apikey": ["alice-key"]}', "Duplicate API key found"),
        ("/plain", {"apikey": "alice-ke"}, b"", "Unauthorized"),
        ("/plain", {"apikey": "alice-key2"}, b"", "Unauthorized"),
        ("/plain", {"apikey": "ALICE-KEY"}, b"", "Unauthorized"),
        ("/plain", {"apikey": "expired"}, b"", "Unauthorized"),
    ],
)
async def test_a_request_without_a_good_key_never_reaches_the_upstream(
    node: Gateway, upstream: Upstream, path: str, headers: dict[str, str], body: bytes, expected: str
) -> None:
    before = len(upstream.received)

    reply = await node.request("POST", path, headers, body)

    assert reply.status == 401
    assert message(reply) == expected
    assert reply.headers["www-authenticate"] == "Key"
    assert "x-kong-response-latency" in reply.headers
    assert len(upstream.received) == before


async def test_a_key_in_two_header_lines_is_refused(node: Gateway) -> None:
    answer = await send(
        node.proxy,
        b"GET /plain HTTP/1.1\r\nHost: a\r\napikey: alice-key\r\napikey: other\r\nConnection: close\r\n\r\n",
    )

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"Duplicate API key found" in answer


async def test_a_realm_is_named(node: Gateway) -> None:
    assert (await node.request("GET", "/realm")).headers["www-authenticate"] == 'Key realm="the keep"'


def leaks(received: Received) -> bool:
    return "alice-key" in f"{received.target}{received.fields}{received.body.decode()}"


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/hide?a=1&apikey=alice-key&b=2", {}, b""),
        ("/hide?apikey=alice-key", {}, b""),
        ("/hide?%61pikey=alice-key", {}, b""),
        ("/hide", {"apikey": "alice-key"}, b""),
        ("/hide", {"X-Key": "alice-key"}, b""),
        ("/hide", {"X_Key": "alice-key"}, b""),
        ("/hide", FORM, b"a=1&apikey=alice-key"),
        ("/hide", JSON, b'{"a": [1.0, 12345678901234567890], "apikey": "alice-key"}'),
        ("/hide", MULTIPART, f"{part('a', 'b')}{part('apikey', 'alice-key')}--b0--\r\n".encode()),
        (
            "/hide",
            MULTIPART,
            b"--b0\r\ncontent-disposition: form-data; name=apikey\r\n\r\nalice-key\r\n--b0--\r\n",
        ),
        ("/hide?apikey=alice-key", {"apikey": "alice-key"}, b""),
        ("/hide?apikey=alice-key", {"apikey": "alice-key", **FORM}, b"apikey=alice-key&z=1"),
    ],
)
async def test_a_hidden_key_reaches_the_upstream_by_no_way(
    node: Gateway, upstream: Upstream, path: str, headers: dict[str, str], body: bytes
) -> None:
    reply = await node.request("POST", path, headers, body)

    assert reply.status == 200
    assert not leaks(upstream.received[-1])
    assert upstream.received[-1].headers["x-consumer-username"] == "alice"


async def test_hiding_a_key_leaves_the_rest_as_it_is(node: Gateway, upstream: Upstream) -> None:
    body = b'{"a": [1.0, 12345678901234567890], "apikey": "alice-key", "u": "\xc3\xa9"}'

    await node.request("POST", "/hide/p%20q?c=%7e%651&api%6bey=alice-key&&b+%26&a=%41*", JSON, body)

    received = upstream.received[-1]
    assert received.target == "/p%20q?c=%7Ee1&b%20%26=&a=A*"  # as Kong writes a query anew
    assert received.headers["content-length"] == str(len(received.body))
    await node.request("POST", "/hide", JSON, body)
    hidden = upstream.received[-1].body
    assert msgspec.json.decode(hidden) == {"a": [1.0, 12345678901234567890], "u": "é"}
    assert b"12345678901234567890" in hidden


async def test_a_preflight_needs_no_key_if_so_configured(node: Gateway) -> None:
    assert (await node.request("OPTIONS", "/preflight")).status == 200
    assert (await node.request("GET", "/preflight")).status == 401
    assert (await node.request("OPTIONS", "/plain")).status == 401


@pytest.mark.parametrize("headers", [{}, {"apikey": "unknown"}])
async def test_who_has_no_key_may_be_anonymous(
    node: Gateway, upstream: Upstream, headers: dict[str, str]
) -> None:
    forged = {"X-Credential-Identifier": "9", "X-Consumer-Custom-ID": "9"}

    assert (await node.request("GET", "/anonymous", headers | forged)).status == 200

    told = upstream.received[-1].headers
    assert told["x-anonymous-consumer"] == "true"
    assert told["x-consumer-username"] == "nobody"
    assert "x-credential-identifier" not in told
    assert "x-consumer-custom-id" not in told


async def test_with_a_key_nobody_is_anonymous(node: Gateway, upstream: Upstream) -> None:
    assert (await node.request("GET", "/anonymous", {"apikey": "alice-key"})).status == 200
    assert "x-anonymous-consumer" not in upstream.received[-1].headers


async def test_an_anonymous_consumer_that_is_not_there_is_the_operators_fault(node: Gateway) -> None:
    reply = await node.request("GET", "/ghost")

    assert reply.status == 500
    assert message(reply) == "anonymous consumer missing is configured but doesn't exist"


async def test_a_key_that_is_taken_away_is_refused_from_the_next_answer_on(upstream: Upstream) -> None:
    config = CONFIG.format(url=upstream.url, alice=ALICE, alice_key=ALICE_KEY)
    node = await Gateway.start(config, workers=2)
    try:
        assert (await node.request("GET", "/plain", {"apikey": "alice-key"})).status == 200
        assert (await node.configure(config.replace("alice-key", "other-key"))).status == 201
        for _ in range(10):
            assert (await node.request("GET", "/plain", {"apikey": "alice-key"})).status == 401
            assert (await node.request("GET", "/plain", {"apikey": "other-key"})).status == 200
    finally:
        await node.stop()
