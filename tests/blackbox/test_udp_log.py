"""udp-log: each record in a datagram of its own."""

from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.support.collectors import Datagrams, naming
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream


@pytest.fixture(scope="module")
async def node(upstream: Upstream, udp: Datagrams) -> AsyncIterator[Gateway]:
    at = f"host: localhost, port: {udp.port}"
    large = "return kong.request.get_header('X-Large') and string.rep('x', 70000)"
    plugins = {
        "udp": at,
        "udp-custom": f"{at}, timeout: 1000, custom_fields_by_lua: {{request: return nil}}",
        "udp-large": f'{at}, custom_fields_by_lua: {{large: "{large}"}}',
    }
    lines = "\n".join(
        f"  - {{name: {name}, paths: [/{name}], plugins: [{{name: udp-log, config: {{{config}}}}}]}}"
        for name, config in plugins.items()
    )
    gateway = await Gateway.start(
        f"_format_version: '3.0'\nservices:\n- url: {upstream.url}\n  routes:\n{lines}\n"
    )
    yield gateway
    await gateway.stop()


async def test_each_exchange_is_a_datagram_of_json(node: Gateway, udp: Datagrams) -> None:
    await node.request("GET", "/udp")
    record = msgspec.json.decode((await udp.until(1, naming("udp")))[0])
    assert record["request"]["uri"] == "/udp"


async def test_fields_can_be_taken_out(node: Gateway, udp: Datagrams) -> None:
    await node.request("GET", "/udp-custom")
    assert b'"request":{' not in (await udp.until(1, naming("udp-custom")))[0]


async def test_a_datagram_that_is_too_large_costs_only_itself(node: Gateway, udp: Datagrams) -> None:
    await node.request("GET", "/udp-large", {"X-Large": "yes"})
    await node.until_logged("are too many for a datagram")
    await node.request("GET", "/udp-large")
    (await udp.until(1, naming("udp-large")))[0]
