"""basic-auth: which passwords let a caller in, and what the upstream is told."""

from base64 import b64encode
from collections.abc import AsyncIterator

import pytest
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes:
  - {{name: plain, paths: [/plain], plugins: [{{name: basic-auth}}]}}
  - {{name: hide, paths: [/hide], plugins: [{{name: basic-auth, config: {{hide_credentials: true}}}}]}}
  - {{name: realm, paths: [/realm], plugins: [{{name: basic-auth, config: {{realm: the keep}}}}]}}
  - {{name: anonymous, paths: [/anonymous], plugins: [{{name: basic-auth, config: {{anonymous: nobody}}}}]}}
consumers:
- username: alice
  basicauth_credentials: [{{username: al, password: "s3:cret"}}, {{username: "ключ", password: "пароль"}}]
- {{username: nobody}}
"""


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(url=upstream.url))
    yield gateway
    await gateway.stop()


def basic(name: str, password: str, scheme: str = "Basic") -> str:
    return f"{scheme} {b64encode(f'{name}:{password}'.encode()).decode()}"


GOOD = basic("al", "s3:cret")
BAD = basic("al", "wrong")
STRANGER = basic("bo", "s3:cret")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": GOOD}, 200),
        ({"Authorization": basic("al", "s3:cret", "basic")}, 200),
        ({"Authorization": GOOD.rstrip("=")}, 200),
        ({"Authorization": basic("ключ", "пароль")}, 200),
        ({"Proxy-Authorization": GOOD}, 200),
        ({"Proxy-Authorization": STRANGER, "Authorization": GOOD}, 200),
        ({"Proxy-Authorization": BAD, "Authorization": GOOD}, 401),
        ({"Authorization": BAD}, 401),
        ({"Authorization": STRANGER}, 401),
        ({"Authorization": "Basic"}, 401),
        ({"Authorization": "Basic %%%"}, 401),
        ({"Authorization": f"Basic {b64encode(b'al').decode()}"}, 401),
        ({"Authorization": f"Bearer {GOOD}"}, 401),
    ],
)
async def test_names_and_passwords_decide(node: Gateway, headers: dict[str, str], status: int) -> None:
    reply = await node.request("GET", "/plain", headers)

    assert reply.status == status
    if status == 401:
        assert '"message":"Unauthorized"' in reply.body.decode()
        assert reply.headers["www-authenticate"] == 'Basic realm="service"'


async def test_the_upstream_is_told_the_name_and_keeps_the_header(node: Gateway, upstream: Upstream) -> None:
    await node.request("GET", "/plain", {"Authorization": GOOD})

    told = upstream.received[-1].headers
    assert (told["x-consumer-username"], told["x-credential-identifier"]) == ("alice", "al")
    assert told["authorization"] == GOOD


@pytest.mark.parametrize("header", ["Authorization", "Proxy-Authorization"])
async def test_a_hidden_password_stays_here(node: Gateway, upstream: Upstream, header: str) -> None:
    assert (await node.request("GET", "/hide", {header: GOOD})).status == 200

    assert header.lower() not in upstream.received[-1].headers


async def test_a_realm_is_named(node: Gateway) -> None:
    assert (await node.request("GET", "/realm")).headers["www-authenticate"] == 'Basic realm="the keep"'


async def test_a_wrong_password_may_be_anonymous(node: Gateway, upstream: Upstream) -> None:
    assert (await node.request("GET", "/anonymous", {"Authorization": BAD})).status == 200

    told = upstream.received[-1].headers
    assert (told["x-consumer-username"], told["x-anonymous-consumer"]) == ("nobody", "true")


async def test_a_plain_request_to_change_the_password_takes_effect(upstream: Upstream) -> None:
    config = CONFIG.format(url=upstream.url)
    node = await Gateway.start(config)
    try:
        assert (await node.configure(config.replace("s3:cret", "other"))).status == 201
        assert (await node.request("GET", "/plain", {"Authorization": GOOD})).status == 401
        assert (await node.request("GET", "/plain", {"Authorization": basic("al", "other")})).status == 200
    finally:
        await node.stop()
