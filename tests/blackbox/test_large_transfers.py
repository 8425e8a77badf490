"""Large bodies in both versions of HTTP, event streams, and the way from HTTP to HTTPS, over real TLS.

`TOLLHOUSE_TRANSFER_MB` sets how much is moved.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.gateway import Gateway

MEGABYTE = 1024 * 1024
SIZE = int(os.environ.get("TOLLHOUSE_TRANSFER_MB", "128")) * MEGABYTE
#: what the gateway may grow by while a body passes
GROWTH = 40 * MEGABYTE
PIECE = b"x" * 65536
CONFIG = """_format_version: "3.0"
services:
- url: http://127.0.0.1:{port}
  routes:
  - {{name: all, paths: [/], strip_path: false}}
  - {{name: moved, paths: [/moved], protocols: [https], https_redirect_status_code: 301, strip_path: false}}
"""


class Store:
    """Takes and gives large bodies, and tells events one by one."""

    def __init__(self) -> None:
        self.taken = 0
        self.told = asyncio.Event()

    async def start(self) -> "Store":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    def stop(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"POST"):
                self.taken = 0
                while self.taken < SIZE:
                    self.taken += len(await reader.read(1 << 18))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone")
            elif head.startswith(b"GET /events"):
                await self._tell(writer)
            elif head.startswith(b"HEAD"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % SIZE)
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % SIZE)
                for _ in range(SIZE // len(PIECE)):
                    writer.write(PIECE)
                    await writer.drain()
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.told.set()
        finally:
            writer.close()

    async def _tell(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for number in range(3):
            writer.write(b"data: %d\n\n" % number)
            await writer.drain()
            await self.told.wait()  # the client has the event before the next is told
            self.told.clear()


@pytest.fixture(scope="module")
async def store() -> AsyncIterator[Store]:
    server = await Store().start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
async def node(store: Store) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(
        CONFIG.format(port=store.port),
        environment={"KONG_PROXY_LISTEN": "127.0.0.1:0 http2 ssl, 127.0.0.1:0"},
    )
    yield gateway
    await gateway.stop()


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
async def client(request: pytest.FixtureRequest, node: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    http2 = request.param == "HTTP/2"
    base = f"https://127.0.0.1:{node.proxy[1]}"
    async with httpx.AsyncClient(
        base_url=base, verify=tls, http2=http2, http1=not http2, timeout=60
    ) as opened:
        yield opened


async def peak_growth(node: Gateway, transfer: Any) -> int:
    """By how much the worker grew at most while something went on, in bytes."""
    body = (await node.admin_request("GET", "/")).json()
    assert isinstance(body, dict)
    status = Path(f"/proc/{body['pids']['workers'][0]}/statm")

    def resident() -> int:
        return int(status.read_text().split()[1]) * 4096

    before = most = resident()
    running = asyncio.ensure_future(transfer)
    while not running.done():
        most = max(most, resident())
        await asyncio.wait([running], timeout=0.05)
    await running
    return most - before


async def test_a_large_download_takes_no_memory(node: Gateway, client: httpx.AsyncClient) -> None:
    arrived = 0

    async def download() -> None:
        nonlocal arrived
        async with client.stream("GET", "/big") as answer:
            async for piece in answer.aiter_raw():
                arrived += len(piece)

    growth = await peak_growth(node, download())

    assert arrived == SIZE
    assert growth < GROWTH


async def test_a_large_upload_takes_no_memory(node: Gateway, client: httpx.AsyncClient, store: Store) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(SIZE // len(PIECE)):
            yield PIECE

    async def upload() -> None:
        answer = await client.post("/big", content=pieces(), headers={"Content-Length": str(SIZE)})
        assert answer.content == b"done"

    growth = await peak_growth(node, upload())

    assert store.taken == SIZE
    assert growth < GROWTH


async def test_events_pass_one_by_one(client: httpx.AsyncClient, store: Store) -> None:
    events = []
    async with client.stream("GET", "/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        async for line in answer.aiter_lines():
            if line:
                events.append(line)
                store.told.set()

    assert events == ["data: 0", "data: 1", "data: 2"]


async def test_plain_http_is_sent_to_https(node: Gateway, client: httpx.AsyncClient) -> None:
    plain = next(line.split("http://")[1].split()[0] for line in node.output if "http://" in line)

    async with httpx.AsyncClient() as insecure:
        answer = await insecure.get(f"http://{plain}/moved/a?b=c", headers={"Host": "shop.test"})
    secure = await client.request("HEAD", "/moved/a")

    assert (answer.status_code, answer.headers["location"]) == (301, "https://shop.test/moved/a?b=c")
    assert secure.status_code == 200
