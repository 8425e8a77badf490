"""session: who has proven who they are once, and is known by a cookie from then on."""

import re
from collections.abc import AsyncIterator

import pytest
from tests.support.gateway import Gateway, Reply
from tests.support.upstream import Upstream

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  plugins: [{{name: key-auth, config: {{anonymous: nobody}}}}, {{name: acl, config: {{allow: [staff]}}}}]
  routes:
  - {{name: plain, paths: [/plain],
      plugins: [{{name: session, config: {{secret: one, store_metadata: true}}}}]}}
  - {{name: same, paths: [/same], plugins: [{{name: session, config: {{secret: one}}}}]}}
  - {{name: other, paths: [/other], plugins: [{{name: session, config: {{secret: two}}}}]}}
  - {{name: audience, paths: [/audience], plugins: [{{name: session, config: {{secret: one, audience: x}}}}]}}
  - {{name: own, paths: [/own], plugins: [{{name: session}}]}}
  - {{name: named, paths: [/named], plugins: [{{name: session, config: {{cookie_name: c, cookie_path: /named,
      cookie_domain: a.test, cookie_samesite: "off", cookie_http_only: false, cookie_secure: false}}}}]}}
  - {{name: remember, paths: [/remember], plugins: [{{name: session, config: {{remember: true,
      remember_cookie_name: r, remember_rolling_timeout: 99, cookie_same_site: Default}}}}]}}
  - {{name: told, paths: [/told], plugins: [{{name: session, config: {{hash_subject: true,
      response_headers: [id, audience, subject, timeout, idling-timeout, rolling-timeout, absolute-timeout],
      request_headers: [id, subject]}}}}]}}
  - {{name: logout, paths: [/logout], plugins: [{{name: session, config: {{secret: one,
      logout_methods: [GET, POST],
      logout_query_arg: bye, logout_post_arg: leave, read_body_for_logout: true}}}}]}}
  - {{name: kept, paths: [/kept], plugins: [{{name: session, config: {{storage: kong, secret: one,
      remember: true, logout_query_arg: bye}}}}]}}
consumers:
- {{username: alice, keyauth_credentials: [{{key: alice-key}}], acls: [{{group: staff}}]}}
- {{username: nobody}}
"""
KEY = {"apikey": "alice-key"}
#: how a cookie is taken away
ENDED = "; Secure; HttpOnly; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(url=upstream.url))
    yield gateway
    await gateway.stop()


def given(reply: Reply) -> dict[str, str]:
    """The cookies of an answer, with their attributes."""
    lines = [value.partition("=") for name, value in reply.fields if name == "set-cookie"]
    return {name: rest for name, _, rest in lines}


async def cookie(node: Gateway, path: str, name: str = "session") -> dict[str, str]:
    """The header of a caller that has shown its key once."""
    reply = await node.request("GET", path, KEY)
    assert reply.status == 200
    return {"Cookie": f"{name}={given(reply)[name].partition(';')[0]}"}


@pytest.mark.parametrize(
    ("begun", "used", "status"),
    [
        ("/plain", "/plain", 200),
        ("/plain", "/same", 200),
        ("/plain", "/other", 401),
        ("/plain", "/audience", 401),
        ("/own", "/own", 200),
        ("/own", "/told", 401),
    ],
)
async def test_a_session_takes_the_place_of_the_key(
    node: Gateway, upstream: Upstream, begun: str, used: str, status: int
) -> None:
    headers = await cookie(node, begun)

    reply = await node.request("GET", used, headers)

    assert reply.status == status
    if status == 200:
        told = upstream.received[-1].headers
        assert (told["x-consumer-username"], told["x-consumer-groups"]) == ("alice", "staff")
        assert "x-anonymous-consumer" not in told
        assert given(reply) == {}  # nothing has changed


async def test_without_a_key_no_session_begins(node: Gateway) -> None:
    for headers in ({}, {"Cookie": "session=forged"}, {"Cookie": f"session={'A' * 200}"}):
        reply = await node.request("GET", "/plain", headers)
        assert reply.status == 401
        assert given(reply) == {}


async def test_what_the_cookie_says_to_browsers(node: Gateway) -> None:
    plain = given(await node.request("GET", "/plain", KEY))["session"]
    named = given(await node.request("GET", "/named", KEY))["c"]
    remembered = given(await node.request("GET", "/remember", KEY))

    assert plain.partition("; ")[2] == "Path=/; SameSite=Strict; Secure; HttpOnly"
    assert named.partition("; ")[2] == "Path=/named; Domain=a.test; SameSite=Lax"
    assert remembered["session"].partition("; ")[2] == "Path=/; Secure; HttpOnly"
    assert re.search(
        r"; Path=/; Secure; HttpOnly; Expires=\w{3}, \d\d \w{3} \d{4} [0-9:]{8} GMT; Max-Age=99$",
        remembered["r"],
    )


async def test_a_remembered_session_is_begun_again(node: Gateway) -> None:
    headers = await cookie(node, "/remember", "r")

    reply = await node.request("GET", "/remember", headers)

    assert reply.status == 200
    assert set(given(reply)) == {"session", "r"}


async def test_both_sides_are_told_of_a_session(node: Gateway, upstream: Upstream) -> None:
    begun = await node.request("GET", "/told", KEY)
    headers = {"Cookie": f"session={given(begun)['session'].partition(';')[0]}"}

    reply = await node.request("GET", "/told", headers)

    assert reply.headers["session-id"] == begun.headers["session-id"]
    assert reply.headers["session-audience"] == "default"
    assert int(reply.headers["session-idling-timeout"]) in range(890, 901)
    assert int(reply.headers["session-timeout"]) in range(890, 901)
    assert int(reply.headers["session-rolling-timeout"]) in range(3590, 3601)
    assert int(reply.headers["session-absolute-timeout"]) in range(86390, 86401)
    told = upstream.received[-1].headers
    assert told["session-id"] == reply.headers["session-id"]
    assert told["session-subject"] == reply.headers["session-subject"]
    assert told["session-subject"] != told["x-consumer-id"]


@pytest.mark.parametrize(
    ("method", "path", "body", "ends"),
    [
        ("POST", "/plain?session_logout=1", b"", True),
        ("DELETE", "/plain?session_logout", b"", True),
        ("GET", "/plain?session_logout=1", b"", False),
        ("POST", "/plain", b"session_logout=1", False),
        ("GET", "/logout?bye", b"", True),
        ("POST", "/logout", b"leave=1", True),
        ("DELETE", "/logout?bye", b"", False),
    ],
)
async def test_logging_out(node: Gateway, method: str, path: str, body: bytes, *, ends: bool) -> None:
    headers = await cookie(node, "/plain")

    reply = await node.request(method, path, headers | FORM, body)

    assert reply.status == 200
    if ends:
        assert reply.body == b""
        assert given(reply)["session"].endswith(ENDED)
    else:
        assert given(reply) == {}


@pytest.mark.parametrize("config", ["{storage: file}", "{logout_methods: [PUT]}"])
async def test_what_is_not_supported_is_refused(node: Gateway, config: str) -> None:
    text = f'_format_version: "3.0"\nplugins: [{{name: session, config: {config}}}]'

    assert (await node.configure(text)).status == 400


async def test_a_session_that_is_kept_ends_for_every_copy_of_its_cookie(node: Gateway) -> None:
    begun = await node.request("GET", "/kept", KEY)
    names = {name: rest.partition(";")[0] for name, rest in given(begun).items()}
    headers = {"Cookie": f"session={names['session']}"}
    assert names["remember"] == names["session"]
    assert len(names["session"]) < 50, "a name and nothing else"

    assert (await node.request("GET", "/kept", headers)).status == 200
    assert (await node.request("GET", "/plain", headers)).status == 401, "it is no session in itself"
    ended = await node.request("POST", "/kept?bye", headers)

    assert given(ended)["session"].endswith(ENDED)
    for name, value in names.items():
        assert (await node.request("GET", "/kept", {"Cookie": f"{name}={value}"})).status == 401
