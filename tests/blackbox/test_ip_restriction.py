"""ip-restriction: who gets in by address, and what the others are told."""

from collections.abc import AsyncIterator

import pytest
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes:
  - {{name: allow, paths: [/allow], plugins: [{{name: ip-restriction,
      config: {{allow: [10.1.0.0/16, 10.9.9.9, "2001:db8::/32"]}}}}]}}
  - {{name: deny, paths: [/deny], plugins: [{{name: ip-restriction, config: {{deny: [10.1.0.0/16]}}}}]}}
  - {{name: both, paths: [/both], plugins: [{{name: ip-restriction,
      config: {{allow: [10.0.0.0/8], deny: [10.1.2.3]}}}}]}}
  - {{name: words, paths: [/words], plugins: [{{name: ip-restriction, protocols: [http, tcp],
      config: {{deny: [0.0.0.0/0], status: 451, message: not from there}}}}]}}
"""


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    settings = {"KONG_TRUSTED_IPS": "127.0.0.1"}
    gateway = await Gateway.start(CONFIG.format(url=upstream.url), environment=settings)
    yield gateway
    await gateway.stop()


@pytest.mark.parametrize(
    ("path", "address", "status"),
    [
        ("/allow", "10.1.255.255", 200),
        ("/allow", "10.2.0.0", 403),
        ("/allow", "10.9.9.9", 200),
        ("/allow", "2001:db8::5", 200),
        ("/allow", "2001:db9::5", 403),
        ("/allow", "::ffff:10.1.0.1", 200),
        ("/deny", "10.1.0.0", 403),
        ("/deny", "::ffff:10.1.0.1", 403),
        ("/deny", "10.2.0.0", 200),
        ("/deny", "2001:db8::5", 200),
        ("/both", "10.1.2.3", 403),
        ("/both", "10.1.2.4", 200),
        ("/both", "11.1.2.4", 403),
    ],
)
async def test_addresses_decide(node: Gateway, path: str, address: str, status: int) -> None:
    reply = await node.request("GET", path, {"X-Real-IP": address})

    assert reply.status == status
    if status == 403 and "::ffff" not in address:
        assert f'"message":"IP address not allowed: {address}"' in reply.body.decode()


async def test_the_operator_chooses_status_and_message(node: Gateway) -> None:
    reply = await node.request("GET", "/words")

    assert reply.status == 451
    assert '"message":"not from there"' in reply.body.decode()


@pytest.mark.parametrize("config", ["{}", "{allow: []}", "{deny: [10.0.0.0/33]}", "{deny: [ten]}"])
async def test_a_configuration_without_ranges_or_with_bad_ones_is_refused(node: Gateway, config: str) -> None:
    text = f'_format_version: "3.0"\nplugins: [{{name: ip-restriction, config: {config}}}]'

    assert (await node.configure(text)).status == 400
