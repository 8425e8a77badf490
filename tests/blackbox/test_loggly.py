"""loggly: syslog messages with the customer's token, over UDP."""

import re
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.support.collectors import Datagrams, naming
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

SEVERITIES = "successful_severity: debug, client_errors_severity: warning, server_errors_severity: crit"
TERMINATED = "{{name: request-termination, config: {{status_code: {status}}}}}"


@pytest.fixture(scope="module")
async def node(upstream: Upstream, udp: Datagrams) -> AsyncIterator[Gateway]:
    at = f"host: 127.0.0.1, port: {udp.port}"
    plugins = {
        "loggly": f"{at}, key: 1a-2b",
        "loggly-levels": f"{at}, key: k, tags: [a, b], log_level: debug, timeout: 1000, {SEVERITIES}",
        "loggly-most": f"{at}, key: k, log_level: err, {SEVERITIES}",
        "loggly-custom": f"{at}, key: k, tags: [], custom_fields_by_lua: {{request: return nil}}",
    }
    routes = []
    for name, config in plugins.items():
        own = f"{{name: loggly, config: {{{config}}}}}"
        routes.append(f"  - {{name: {name}, paths: [/{name}], plugins: [{own}]}}")
        for status in (403, 503):
            ended = TERMINATED.format(status=status)
            routes.append(
                f"  - {{name: {name}.{status}, paths: [/{status}/{name}], plugins: [{own}, {ended}]}}"
            )
    lines = "\n".join(routes)
    gateway = await Gateway.start(
        f"_format_version: '3.0'\nservices:\n- url: {upstream.url}\n  routes:\n{lines}\n"
    )
    yield gateway
    await gateway.stop()


async def test_loggly_gets_token_and_tags(node: Gateway, udp: Datagrams) -> None:
    await node.request("GET", "/loggly")
    line = (await udp.until(1, naming("loggly")))[0]
    found = re.fullmatch(
        rb'<14>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \S+ kong - - \[1a-2b@41058 tag="kong"\] (\{.*\})', line
    )
    assert found, line
    assert msgspec.json.decode(found[1])["request"]["uri"] == "/loggly"


async def test_loggly_has_severities_and_tags_of_ones_own(node: Gateway, udp: Datagrams) -> None:
    await node.request("GET", "/503/loggly-levels")
    line = (await udp.until(1, naming("loggly-levels.503")))[0]
    assert line.startswith(b"<10>1 ")
    assert b' [k@41058 tag="a" tag="b"] ' in line


async def test_what_is_less_urgent_than_the_level_is_not_sent(node: Gateway, udp: Datagrams) -> None:
    await node.request("GET", "/403/loggly-most")
    await node.request("GET", "/503/loggly-most")
    (await udp.until(1, naming("loggly-most.503")))[0]
    assert not [piece for piece in udp.heard if naming("loggly-most.403")(piece)]


async def test_fields_can_be_taken_out(node: Gateway, udp: Datagrams) -> None:
    await node.request("GET", "/loggly-custom")
    line = (await udp.until(1, naming("loggly-custom")))[0]
    assert b" [k@41058] " in line
    assert b'"request":{' not in line
