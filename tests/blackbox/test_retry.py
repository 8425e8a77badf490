"""retry and upstream-timeout: upstreams that fail, answer too late, or get well."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.gateway import Gateway
from tests.support.routes import routes
from tests.support.upstream import Received, Upstream, answer_ok

FAST = {"backoff": 1, "jitter": 1}
PLUGINS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("retry", {"retries": 3, **FAST}),
    "any": ("retry", {"conditions": ["error", "timeout", "http_500", "non_idempotent"], **FAST}),
    "late": ("retry", {"retries": 2, "timeout": 200, **FAST}),
    # Without the longest wait this would be longer than a test waits.
    "capped": ("retry", {"retries": 2, "backoff": 60000, "max_backoff": 1}),
    "never": ("retry", {"retries": 0}),
    "patient": ("upstream-timeout", {"read_timeout": 200, "connect_timeout": 1000, "send_timeout": 1000}),
}


class Flaky(Upstream):
    """Fails as often as it is told, in the way it is told: a status, `close` or `silence`."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.failures: list[str] = []

    async def _answer(self, received: Received, writer: asyncio.StreamWriter) -> bool:
        how = self.failures.pop(0) if self.failures else "ok"
        if how == "ok":
            return await answer_ok(received, writer)
        if how.isdigit():
            writer.write(f"HTTP/1.1 {how} Failed\r\nContent-Length: 3\r\nX-Own: 1\r\n\r\n{how}".encode())
            return True
        if how == "silence":
            await asyncio.Event().wait()
        return False


@pytest.fixture(scope="module")
async def upstream() -> AsyncIterator[Flaky]:
    server = Flaky()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def node(upstream: Flaky) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(routes(upstream.url, PLUGINS))
    yield gateway
    await gateway.stop()


@pytest.mark.parametrize(
    ("method", "path", "failures", "status", "attempts"),
    [
        ("GET", "/plain", ["503", "502", "504"], 200, 4),
        ("GET", "/plain", ["503"] * 4, 503, 4),
        ("GET", "/plain", ["500"], 500, 1),
        ("GET", "/plain", ["close", "close"], 200, 3),
        ("PUT", "/plain", ["503"], 200, 2),
        ("POST", "/plain", ["503"], 503, 1),
        ("POST", "/plain", ["close"], 502, 1),
        ("POST", "/any", ["500", "close"], 200, 3),
        ("GET", "/any", ["503"], 503, 1),
        ("GET", "/late", ["silence"], 200, 2),
        ("GET", "/late", ["silence"] * 3, 504, 3),
        ("GET", "/capped", ["503", "503"], 200, 3),
        ("GET", "/never", ["503"], 503, 1),
        ("GET", "/patient", ["silence"], 504, 1),
    ],
)
async def test_how_often_an_upstream_is_asked(
    node: Gateway, upstream: Flaky, method: str, path: str, failures: list[str], status: int, attempts: int
) -> None:
    upstream.received.clear()
    upstream.failures = [*failures]

    reply = await node.request(method, path, {}, b"body" if method in ("POST", "PUT") else b"")

    assert reply.status == status
    assert len(upstream.received) == attempts
    assert upstream.failures == []
    assert len({received.body for received in upstream.received}) == 1, "each attempt has the whole body"
