"""bot-detection: which User-Agents get in."""

from collections.abc import AsyncIterator

import pytest
from tests.support.gateway import Gateway, send
from tests.support.upstream import Upstream

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes:
  - {{name: plain, paths: [/plain], plugins: [{{name: bot-detection}}]}}
  - {{name: own, paths: [/own], plugins: [{{name: bot-detection,
      config: {{allow: ["^Googlebot/", "good-.*"], deny: ["(?i)evil", "^good-but-bad"]}}}}]}}
"""
BROWSER = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(url=upstream.url))
    yield gateway
    await gateway.stop()


@pytest.mark.parametrize(
    ("path", "agent", "status"),
    [
        ("/plain", BROWSER, 200),
        ("/plain", "curl/8.5.0", 200),
        ("/plain", "python-requests/2.32", 200),
        ("/plain", "Robotics-Lab/1.0", 200),
        ("/plain", GOOGLE, 403),
        ("/plain", "facebookexternalhit/1.1", 403),
        ("/plain", "Some Unknown Crawler/3", 403),
        ("/plain", "sitebot", 403),
        ("/own", "Googlebot/2.1", 200),
        ("/own", GOOGLE, 403),
        ("/own", "good-but-bad", 200),
        ("/own", "EVIL/1", 403),
        ("/own", BROWSER, 200),
    ],
)
async def test_names_decide(node: Gateway, path: str, agent: str, status: int) -> None:
    reply = await node.request("GET", path, {"User-Agent": agent})

    assert reply.status == status
    if status == 403:
        assert '"message":"Forbidden"' in reply.body.decode()


async def test_who_says_nothing_passes(node: Gateway) -> None:
    assert (await node.request("GET", "/plain")).status == 200


async def test_two_names_are_refused(node: Gateway) -> None:
    head = b"GET /plain HTTP/1.1\r\nHost: a\r\nUser-Agent: a\r\nUser-Agent: b\r\nConnection: close\r\n\r\n"
    answer = await send(node.proxy, head)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Only one User-Agent header allowed" in answer


async def test_a_pattern_that_is_none_is_refused(node: Gateway) -> None:
    text = '_format_version: "3.0"\nplugins: [{name: bot-detection, config: {deny: ["(a"]}}]'

    reply = await node.configure(text)

    assert reply.status == 400
    assert "not a valid regex: (a" in reply.body.decode()
