"""redirect: where clients are sent."""

from typing import Any

import pytest
from tests.support.gateway import Gateway
from tests.support.routes import routes

PLUGINS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("redirect", {"location": "https://other.test/there?x=1"}),
    "kept": (
        "redirect",
        {"location": "https://other.test:8443/there", "keep_incoming_path": True, "status_code": 308},
    ),
}


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("/plain/a?b=c", 301, "https://other.test/there?x=1"),
        ("/kept/a%20b?c=d", 308, "https://other.test:8443/kept/a%20b?c=d"),
    ],
)
async def test_clients_are_sent_elsewhere(path: str, status: int, location: str) -> None:
    node = await Gateway.start(routes("http://127.0.0.1:1", PLUGINS))
    try:
        reply = await node.request("GET", path)
        assert (reply.status, reply.headers["location"], reply.body) == (status, location, b"redirecting")
    finally:
        await node.stop()


async def test_a_location_has_to_be_a_url() -> None:
    with pytest.raises(AssertionError, match="missing host in url"):
        await Gateway.start(routes("http://127.0.0.1:1", {"bad": ("redirect", {"location": "/there"})}))
