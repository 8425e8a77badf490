"""Where the gateway's own time went: in log records and, on request, in a Server-Timing header."""

import re
from pathlib import Path

import msgspec
import pytest
from tests.support.gateway import Gateway
from tests.support.lines import lines_of
from tests.support.upstream import Upstream

CONFIG = """_format_version: "3.0"
services:
- url: {url}
  routes:
  - {{name: r, paths: [/r], plugins: [{{name: correlation-id}}, {{name: response-transformer}}]}}
  - {{name: refused, paths: [/refused], plugins: [{{name: key-auth}}]}}
plugins: [{{name: file-log, config: {{path: {log}}}}}]
"""


async def started(upstream: Upstream, log: Path, timing: str) -> Gateway:
    config = CONFIG.format(url=upstream.url, log=log)
    return await Gateway.start(config, environment={"KONG_TIMING": timing})


async def test_on_request_a_header_tells_and_records_always_do(upstream: Upstream, tmp_path: Path) -> None:
    node = await started(upstream, tmp_path / "log", "on_request")
    try:
        plain = await node.request("GET", "/r")
        asked = await node.request("GET", "/r", {"X-Tollhouse-Timing": "1"})
        refused = await node.request("GET", "/refused", {"X-Tollhouse-Timing": "1"})
        records = [msgspec.json.decode(line) for line in await lines_of(tmp_path / "log", 3)]
    finally:
        await node.stop()

    assert "server-timing" not in plain.headers
    told = dict(re.findall(r"([\w.-]+);dur=([\d.]+)", asked.headers["server-timing"]))
    assert {"gateway", "router", "upstream", "access.correlation-id"} <= set(told)
    assert "header_filter.response-transformer" in told
    assert "access.key-auth" in refused.headers["server-timing"]
    assert "upstream" not in refused.headers["server-timing"]
    timing = records[0]["timing"]
    assert set(timing) == {"gateway", "router", "plugins"}
    assert "correlation-id" in timing["plugins"]["access"]
    assert sum(timing["plugins"]["access"].values()) <= timing["gateway"]
    assert "key-auth" in records[2]["timing"]["plugins"]["access"]


@pytest.mark.parametrize(("timing", "header", "record"), [("always", True, True), ("log", False, True)])
async def test_a_setting_decides_who_is_told(
    upstream: Upstream, tmp_path: Path, timing: str, header: bool, record: bool
) -> None:
    node = await started(upstream, tmp_path / "log", timing)
    try:
        reply = await node.request("GET", "/r")
        (line,) = await lines_of(tmp_path / "log", 1)
    finally:
        await node.stop()
    assert ("server-timing" in reply.headers) is header
    assert ("timing" in msgspec.json.decode(line)) is record
