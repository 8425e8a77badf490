"""syslog: lines for the system's own syslog, urgent by status."""

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
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Datagrams]:
    collector = await Datagrams.listen(tmp_path_factory.mktemp("syslog") / "log")
    yield collector
    collector.stop()


@pytest.fixture(scope="module")
async def node(upstream: Upstream, system: Datagrams) -> AsyncIterator[Gateway]:
    plugins = {
        "sys": "",
        "sys-levels": f"log_level: debug, facility: local7, {SEVERITIES}",
        "sys-most": f"log_level: warning, {SEVERITIES}",
        "sys-custom": "custom_fields_by_lua: {request: return nil}",
    }
    routes = []
    for name, config in plugins.items():
        own = f"{{name: syslog, config: {{{config}}}}}"
        routes.append(f"  - {{name: {name}, paths: [/{name}], plugins: [{own}]}}")
        for status in (403, 503):
            ended = TERMINATED.format(status=status)
            routes.append(
                f"  - {{name: {name}.{status}, paths: [/{status}/{name}], plugins: [{own}, {ended}]}}"
            )
    lines = "\n".join(routes)
    gateway = await Gateway.start(
        f"_format_version: '3.0'\nservices:\n- url: {upstream.url}\n  routes:\n{lines}\n",
        environment={"KONG_SYSLOG_SOCKET": system.place},
    )
    yield gateway
    await gateway.stop()


async def test_the_system_gets_a_line_under_its_facility(node: Gateway, system: Datagrams) -> None:
    await node.request("GET", "/sys")
    line = (await system.until(1, naming("sys")))[0]
    found = re.fullmatch(rb"<14>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d tollhouse\[\d+\]: (\{.*\})", line)
    assert found, line
    assert msgspec.json.decode(found[1])["request"]["uri"] == "/sys"


@pytest.mark.parametrize(
    ("path", "name", "priority"),
    [
        ("/sys-levels", "sys-levels", 23 << 3 | 7),
        ("/403/sys-levels", "sys-levels.403", 23 << 3 | 4),
        ("/503/sys-levels", "sys-levels.503", 23 << 3 | 2),
    ],
)
async def test_severity_goes_by_status(
    node: Gateway, system: Datagrams, path: str, name: str, priority: int
) -> None:
    await node.request("GET", path)
    assert ((await system.until(1, naming(name)))[0]).startswith(b"<%d>" % priority)


async def test_what_is_less_urgent_than_the_level_is_not_sent(node: Gateway, system: Datagrams) -> None:
    await node.request("GET", "/sys-most")
    await node.request("GET", "/403/sys-most")
    (await system.until(1, naming("sys-most.403")))[0]
    assert not [piece for piece in system.heard if naming("sys-most")(piece)]


async def test_fields_can_be_taken_out(node: Gateway, system: Datagrams) -> None:
    await node.request("GET", "/sys-custom")
    assert b'"request":{' not in (await system.until(1, naming("sys-custom")))[0]
