"""request-mirror: copies of requests, and what never harms the client."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.gateway import Gateway
from tests.support.routes import routes
from tests.support.upstream import Received, Upstream


class Silent(Upstream):
    """Never answers."""

    def __init__(self) -> None:
        super().__init__(self._answer)

    async def _answer(self, received: Received, writer: asyncio.StreamWriter) -> bool:
        await asyncio.Event().wait()
        return False


@pytest.fixture(scope="module")
async def copy() -> AsyncIterator[Upstream]:
    server = await Upstream().start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def silent() -> AsyncIterator[Silent]:
    server = Silent()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def node(upstream: Upstream, copy: Upstream, silent: Silent) -> AsyncIterator[Gateway]:
    plugins: dict[str, tuple[str, dict[str, Any]]] = {
        "copied": ("request-mirror", {"url": f"{copy.url}/shadow"}),
        "whole": ("request-mirror", {"url": copy.url, "send_credentials": True}),
        "none": ("request-mirror", {"url": f"{copy.url}/none", "percentage": 0}),
        "dead": ("request-mirror", {"url": "http://127.0.0.1:1"}),
        "silent": ("request-mirror", {"url": silent.url, "max_in_flight": 2, "timeout": 60000}),
    }
    gateway = await Gateway.start(routes(upstream.url, plugins))
    yield gateway
    await gateway.stop()


async def test_a_copy_has_all_but_the_credentials(node: Gateway, copy: Upstream) -> None:
    headers = {"X-A": "1", "Authorization": "Bearer s", "Cookie": "c=1", "Content-Type": "text/plain"}
    reply = await node.request("POST", "/copied/x?y=1", headers, b"body")
    assert reply.status == 200

    await copy.until(1, "/shadow")
    received = next(r for r in copy.received if r.target.startswith("/shadow"))
    assert (received.method, received.target, received.body) == ("POST", "/shadow/x?y=1", b"body")
    assert received.headers["x-a"] == "1"
    assert received.headers["x-request-id"] == reply.headers["x-kong-request-id"]
    assert not {"authorization", "cookie"} & set(received.headers)


async def test_credentials_go_along_only_if_told_so(node: Gateway, copy: Upstream) -> None:
    await node.request("GET", "/whole/all", {"Authorization": "Bearer s"})
    await copy.until(1, "/all")
    received = next(r for r in copy.received if r.target == "/all")
    assert received.headers["authorization"] == "Bearer s"


async def test_a_share_may_be_copied(node: Gateway, copy: Upstream) -> None:
    assert (await node.request("GET", "/none")).status == 200
    await node.request("GET", "/whole/after")
    await copy.until(1, "/after")
    assert not [r for r in copy.received if r.target.startswith("/none")]


@pytest.mark.parametrize("path", ["/dead", "/silent"])
async def test_a_copy_that_fails_harms_nobody(node: Gateway, silent: Silent, path: str) -> None:
    assert [(await node.request("GET", path)).status for _ in range(5)] == [200] * 5
    assert len(silent.received) <= 2, "no more than so many are under way"
