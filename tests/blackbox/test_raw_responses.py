"""Responses of upstreams as raw bytes: what is broken becomes a 502 or a cut that the client can see.

The table is tests/data/http/upstream_responses.jsonl.gz.
"""

import asyncio
import base64
import gzip
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.gateway import Gateway, read_reply
from tests.support.upstream import Received, Upstream

CASES = Path(__file__).parent.parent / "data" / "http" / "upstream_responses.jsonl.gz"
CONFIG = """_format_version: "3.0"
services:
- url: {url}
  retries: 0
  routes: [{{name: all, paths: [/], strip_path: false}}]
"""


def cases() -> list[dict[str, Any]]:
    with gzip.open(CASES, "rt") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
async def gateway(upstream: Upstream) -> AsyncIterator[Gateway]:
    node = await Gateway.start(CONFIG.format(url=upstream.url))
    yield node
    await node.stop()


async def ask(node: Gateway, method: str) -> tuple[int, bool]:
    """One request; returns the status and whether the whole body came. Status 0: no answer."""
    reader, writer = await asyncio.open_connection(*node.proxy)
    body = b"" if method in ("GET", "HEAD") else b"{}"
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    writer.write(f"{method} / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{length}\r\n".encode() + body)
    status = 0
    try:
        async with asyncio.timeout(5):
            line = await reader.readline()
            status = int(line.split(b" ")[1]) if line else 0
            replayed = asyncio.StreamReader()
            replayed.feed_data(line + await reader.read())
            replayed.feed_eof()
            await read_reply(replayed, head_only=method == "HEAD")
    except (ConnectionError, asyncio.IncompleteReadError, ValueError):
        return status, False
    finally:
        writer.close()
    return status, True


def announces_more_than_it_sends(raw: bytes) -> bool:
    head, _, body = raw.partition(b"\r\n\r\n")
    found = re.search(rb"content-length:\s*(\d+)", head, re.IGNORECASE)
    return found is not None and int(found[1]) > len(body)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["name"])
async def test_a_broken_answer_never_looks_whole(
    case: dict[str, Any], gateway: Gateway, upstream: Upstream
) -> None:
    raw = base64.b64decode(case["raw_b64"])

    async def answer(received: Received, writer: asyncio.StreamWriter) -> bool:
        writer.write(raw)
        return False

    upstream.answer = answer

    status, whole = await ask(gateway, case["request_method"])

    match case["expect"]:
        case "forward":
            assert status not in (0, 502)
            assert whole or announces_more_than_it_sends(raw)
        case "forward_or_502":
            assert whole or status == 200
        case "502_or_drop":
            assert status in (0, 502)
        case "abort_body":
            assert status in (0, 502) or not whole
        case unknown:
            pytest.fail(f"unknown expectation {unknown}")


async def test_the_gateway_serves_on_after_all_of_them(gateway: Gateway, upstream: Upstream) -> None:
    async def answer(received: Received, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return True

    upstream.answer = answer

    reply = await gateway.request("GET", "/")

    assert (reply.status, reply.body) == (200, b"ok")
