"""Requests as raw bytes: framing is strict, and nothing is forwarded that could be read in two ways.

The table is tests/data/http/raw_cases.jsonl.gz; how verdicts are meant stands in its README.
"""

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

CASES = Path(__file__).parent.parent / "data" / "http" / "raw_cases.jsonl.gz"
CONFIG = """_format_version: "3.0"
services:
- url: {url}
  retries: 0
  routes: [{{name: all, paths: [/], strip_path: false}}]
"""
ROUTER_SAYS_NO = {404, 405, 501}
#: accepted by the table, refused by Kong as recorded (parity case errors/bad-requests)
KONG_SAYS_NO = {"authored-line-bad-percent"}


def cases() -> list[dict[str, Any]]:
    with gzip.open(CASES, "rt") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
async def gateway(upstream: Upstream) -> AsyncIterator[Gateway]:
    environment = {
        "KONG_NGINX_HTTP_CLIENT_HEADER_TIMEOUT": "400ms",
        "KONG_NGINX_HTTP_CLIENT_BODY_TIMEOUT": "400ms",
    }
    node = await Gateway.start(CONFIG.format(url=upstream.url), environment=environment)
    yield node
    await node.stop()


async def talk(node: Gateway, data: bytes) -> tuple[list[int], bool]:
    """Sends, closes the sending side; returns the statuses that came and whether the gateway closed."""
    reader, writer = await asyncio.open_connection(*node.proxy)
    try:
        writer.write(data)
        writer.write_eof()
    except OSError:
        # This process was so slow that the gateway's short patience was over before it sent anything.
        writer.close()
        return await talk(node, data)
    try:
        async with asyncio.timeout(5):
            answer = await reader.read()
        closed = True
    except TimeoutError:
        answer, closed = b"", False
    except ConnectionError:
        answer, closed = b"", True
    writer.close()
    statuses = [
        int(line.split(b" ")[1])
        for line in answer.split(b"\r\n")
        if line.startswith(b"HTTP/1.") and b" " in line
    ]
    return [status for status in statuses if status >= 200], closed


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["name"])
async def test_a_request_is_read_in_one_way_or_refused(
    case: dict[str, Any], gateway: Gateway, upstream: Upstream
) -> None:
    upstream.received.clear()
    upstream.garbage.clear()

    statuses, closed = await talk(gateway, base64.b64decode(case["raw_b64"]))

    assert closed
    # A request that the client never completed may have begun to reach the upstream, and was cut there.
    assert upstream.garbage == [] or case["verdict"].startswith("incomplete")
    forwarded = upstream.received
    assert len(forwarded) <= case["max_upstream_requests"]
    if case["never_forward"]:
        assert f"{case['never_forward']} " not in [f"{r.method} {r.target} " for r in forwarded]
    match case["verdict"]:
        case "reject":
            assert len(forwarded) <= case["complete_requests_before_the_end"]
            refusals = statuses[len(forwarded) :]
            assert all(status in case["status_any"] for status in refusals), statuses
        case "accept":
            check_accepted(case, statuses, upstream)
        case "incomplete" | "incomplete_or_reject":
            assert len(forwarded) <= case["complete_requests_before_the_end"] + 1
            assert all(not r.body or r.framing != "none" for r in forwarded)
        case "reject_or_sanitize" | "limit":
            # Refused, or forwarded in a form that nobody reads in another way.
            assert all(status < 300 or 400 <= status < 506 for status in statuses), statuses
            assert all(not r.body or r.framing != "none" for r in forwarded)
            assert not any({"transfer-encoding", "content-length"} <= r.headers.keys() for r in forwarded)
        case unknown:
            pytest.fail(f"unknown verdict {unknown}")


def check_accepted(case: dict[str, Any], statuses: list[int], upstream: Upstream) -> None:
    expected = case["requests"]
    assert statuses, "no answer"
    if case["name"] in KONG_SAYS_NO:
        assert statuses == [400]
        return
    assert all(status == 200 or status in ROUTER_SAYS_NO for status in statuses), statuses
    for wanted, got in zip(expected, upstream.received, strict=False):
        assert got.method == wanted["method"]
        assert len(got.body) == wanted["body_len"]
