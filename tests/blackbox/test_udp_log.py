"""Records in datagrams: udp-log, and syslog's forms of the plugins syslog and loggly."""

import re
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.support.collectors import Datagrams
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

SEVERITIES = "successful_severity: debug, client_errors_severity: warning, server_errors_severity: crit"
TERMINATED = "{{name: request-termination, config: {{status_code: {status}}}}}"


@pytest.fixture(scope="module")
async def upstream() -> AsyncIterator[Upstream]:
    server = await Upstream().start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def udp() -> AsyncIterator[Datagrams]:
    collector = await Datagrams.listen()
    yield collector
    collector.stop()


@pytest.fixture(scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Datagrams]:
    collector = await Datagrams.listen(tmp_path_factory.mktemp("syslog") / "log")
    yield collector
    collector.stop()


@pytest.fixture(scope="module")
async def node(upstream: Upstream, udp: Datagrams, system: Datagrams) -> AsyncIterator[Gateway]:
    at = f"host: 127.0.0.1, port: {udp.port}"
    plugins = {
        "udp": ("udp-log", at),
        "udp-custom": ("udp-log", f"{at}, timeout: 1000, custom_fields_by_lua: {{request: return nil}}"),
        "udp-large": (
            "udp-log",
            f"{at}, custom_fields_by_lua: "
            "{large: \"return kong.request.get_header('X-Large') and string.rep('x', 70000)\"}",
        ),
        "sys": ("syslog", ""),
        "sys-levels": ("syslog", f"log_level: debug, facility: local7, {SEVERITIES}"),
        "sys-most": ("syslog", f"log_level: warning, {SEVERITIES}"),
        "sys-custom": ("syslog", "custom_fields_by_lua: {request: return nil}"),
        "loggly": ("loggly", f"{at}, key: 1a-2b"),
        "loggly-levels": ("loggly", f"{at}, key: k, tags: [a, b], log_level: debug, {SEVERITIES}"),
    }
    routes = []
    for name, (plugin, config) in plugins.items():
        own = f"{{name: {plugin}, config: {{{config}}}}}"
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


def of(name: str) -> "re.Pattern[bytes]":
    return re.compile(rb'"name":"%b"' % name.encode())


async def heard(collector: Datagrams, name: str) -> bytes:
    pattern = of(name)
    return (await collector.until(1, lambda piece: bool(pattern.search(piece))))[0]


async def test_each_exchange_is_a_datagram_of_json(node: Gateway, udp: Datagrams) -> None:
    await node.request("GET", "/udp")
    record = msgspec.json.decode(await heard(udp, "udp"))
    assert record["request"]["uri"] == "/udp"


async def test_fields_can_be_taken_out(node: Gateway, udp: Datagrams, system: Datagrams) -> None:
    await node.request("GET", "/udp-custom")
    await node.request("GET", "/sys-custom")
    assert b'"request":{' not in await heard(udp, "udp-custom")
    assert b'"request":{' not in await heard(system, "sys-custom")


async def test_a_datagram_that_is_too_large_costs_only_itself(node: Gateway, udp: Datagrams) -> None:
    await node.request("GET", "/udp-large", {"X-Large": "yes"})
    await node.until_logged("are too many for a datagram")
    await node.request("GET", "/udp-large")
    await heard(udp, "udp-large")


async def test_the_system_gets_a_line_under_its_facility(node: Gateway, system: Datagrams) -> None:
    await node.request("GET", "/sys")
    line = await heard(system, "sys")
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
    assert (await heard(system, name)).startswith(b"<%d>" % priority)


async def test_what_is_less_urgent_than_the_level_is_not_sent(node: Gateway, system: Datagrams) -> None:
    await node.request("GET", "/sys-most")
    await node.request("GET", "/403/sys-most")
    await heard(system, "sys-most.403")
    assert not [piece for piece in system.heard if of("sys-most").search(piece)]


async def test_loggly_gets_token_and_tags(node: Gateway, udp: Datagrams) -> None:
    await node.request("GET", "/loggly")
    line = await heard(udp, "loggly")
    found = re.fullmatch(
        rb'<14>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \S+ kong - - \[1a-2b@41058 tag="kong"\] (\{.*\})', line
    )
    assert found, line
    assert msgspec.json.decode(found[1])["request"]["uri"] == "/loggly"


async def test_loggly_has_severities_and_tags_of_ones_own(node: Gateway, udp: Datagrams) -> None:
    await node.request("GET", "/503/loggly-levels")
    line = await heard(udp, "loggly-levels.503")
    assert line.startswith(b"<10>1 ")
    assert b' [k@41058 tag="a" tag="b"] ' in line
