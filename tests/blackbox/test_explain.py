"""`tollhouse explain` and the gateway agree."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.cli import tollhouse
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

CONFIG = """_format_version: "3.0"
services:
- name: orders
  url: {url}/v1
  routes:
  - {{name: all, paths: [/orders]}}
  - {{name: one, paths: ['~/orders/(?<id>[0-9]+)$'], methods: [GET]}}
  - {{name: api, hosts: [api.test], paths: [/orders], strip_path: false}}
  plugins: [{{name: ai-prompt-guard, config: {{deny_patterns: [x]}}, enabled: false}}, {{name: cors}}]
"""


@pytest.fixture
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(url=upstream.url))
    yield gateway
    await gateway.stop()


@pytest.mark.parametrize(
    ("method", "path", "host"),
    [("GET", "/orders/42?a=b", "x"), ("POST", "/orders/42", "x"), ("GET", "/orders/7/items", "api.test")],
)
async def test_the_upstream_is_asked_for_what_was_explained(
    node: Gateway, upstream: Upstream, method: str, path: str, host: str
) -> None:
    url = "http://{}:{}".format(*node.admin)
    told = await tollhouse("explain", "--json", "--admin-url", url, method, path, "-H", f"Host: {host}")
    assert told.code == 0, told.errors
    explained: Any = msgspec.json.decode(told.output)
    assert (await node.request(method, path, {"Host": host})).status == 200
    received = upstream.received[-1]
    assert explained["upstream"]["uri"] == f"{upstream.url}{received.target}"
    assert explained["upstream"]["host"] == received.headers["host"]
    assert [plugin["name"] for plugin in explained["plugins"]] == ["cors"]


async def test_no_route_has_an_exit_code(node: Gateway) -> None:
    told = await tollhouse("explain", "-c", str(node.file), "GET", "/none")
    assert told.code == 1
    assert told.output.startswith("no route matches: 404")
    assert "  all: paths: /orders does not hold for /none\n" in told.output


async def test_nonsense_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.yml"
    file.write_text('_format_version: "3.0"')
    told = await tollhouse("explain", "-c", str(file))
    assert (told.code, "there is no URL" in told.errors) == (2, True)
