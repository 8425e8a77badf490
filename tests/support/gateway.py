"""Tollhouse as a user has it: a process of its own, talked to over sockets."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

START_SECONDS = 30
READ_SECONDS = 15


@dataclass(slots=True)
class Reply:
    """A response, taken apart."""

    status: int
    headers: dict[str, str]
    body: bytes
    #: every header line, names in lower case
    fields: list[tuple[str, str]] = field(default_factory=list)

    def json(self) -> object:
        return msgspec.json.decode(self.body)


class Gateway:
    """One running node."""

    def __init__(self, process: asyncio.subprocess.Process, addresses: Mapping[str, tuple[str, int]]) -> None:
        self.process = process
        self.proxy = addresses["proxy"]
        self.admin = addresses["admin"]
        self.output = ""
        self._draining: list[asyncio.Task[None]] = []

    @classmethod
    async def start(
        cls,
        config: str,
        *,
        workers: int = 1,
        environment: Mapping[str, str] | None = None,
        arguments: tuple[str, ...] = (),
    ) -> "Gateway":
        """Starts a node on free ports and waits until it says that it is ready."""
        folder = Path(tempfile.mkdtemp(prefix="tollhouse-test-"))
        file = folder / "kong.yml"
        file.write_text(config)
        settings = {
            "KONG_PROXY_LISTEN": "127.0.0.1:0",
            "KONG_ADMIN_LISTEN": "127.0.0.1:0",
            "KONG_STATUS_LISTEN": "off",
            "KONG_NGINX_WORKER_PROCESSES": str(workers),
            "KONG_LOG_LEVEL": "info",
            "KONG_PREFIX": str(folder),
            **(environment or {}),
        }
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("KONG_", "TOLLHOUSE_"))}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tollhouse",
            "start",
            "-c",
            str(file),
            *arguments,
            env={**kept, **settings},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        addresses = await _announced(process, with_status=settings["KONG_STATUS_LISTEN"] != "off")
        gateway = cls(process, addresses)
        gateway.file = file
        gateway.errors = []
        assert process.stderr is not None
        gateway._draining.append(asyncio.ensure_future(gateway._read_errors(process.stderr)))
        return gateway

    file: Path
    errors: list[str]

    async def _read_errors(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self.errors.append(line.decode())

    async def stop(self) -> int:
        """Ends the node as an operator would; returns its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(START_SECONDS):
            code = await self.process.wait()
        for task in self._draining:
            await task
        return code

    # Talking

    async def send(self, data: bytes, *, half_close: bool = False) -> bytes:
        """Sends bytes on a connection of their own and returns all that comes until it closes or rests."""
        return await send(self.proxy, data, half_close=half_close)

    async def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Reply:
        """One request to the proxy."""
        return await request(self.proxy, method, path, headers, body)

    async def admin_request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Reply:
        """One request to the Admin API."""
        return await request(self.admin, method, path, headers, body)

    async def configure(self, config: str) -> Reply:
        """Serves another configuration."""
        body = msgspec.json.encode({"config": config})
        return await self.admin_request("POST", "/config", {"Content-Type": "application/json"}, body)


async def _announced(process: asyncio.subprocess.Process, *, with_status: bool) -> dict[str, tuple[str, int]]:
    addresses: dict[str, tuple[str, int]] = {}
    assert process.stdout is not None
    last = "status" if with_status else "admin"
    async with asyncio.timeout(START_SECONDS):
        while last not in addresses:
            line = (await process.stdout.readline()).decode()
            if not line:
                assert process.stderr is not None
                raise AssertionError(f"did not start: {(await process.stderr.read()).decode()}")
            name, _, urls = line.strip().partition(" ")
            if name in ("proxy", "admin", "status"):
                host, _, port = urls.split()[0].rpartition("/")[2].rpartition(":")
                addresses[name] = (host, int(port))
    return addresses


async def send(address: tuple[str, int], data: bytes, *, half_close: bool = False) -> bytes:
    """Sends bytes on a connection of their own; returns what comes until the other side closes."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(data)
        if half_close:
            writer.write_eof()
        async with asyncio.timeout(READ_SECONDS):
            return await reader.read()
    finally:
        writer.close()


async def request(
    address: tuple[str, int],
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Reply:
    """One request on a connection of its own."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        fields = {"Host": "gw.test", "Connection": "close", **(headers or {})}
        if body:
            fields["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
        async with asyncio.timeout(READ_SECONDS):
            return await read_reply(reader, head_only=method == "HEAD")
    finally:
        writer.close()


async def read_reply(reader: asyncio.StreamReader, *, head_only: bool = False) -> Reply:
    """One response, its body unchunked."""
    while True:
        line = await reader.readline()
        if not line:
            raise ConnectionError("closed without an answer")
        status = int(line.split(b" ", 2)[1])
        fields = []
        while (text := (await reader.readline()).decode("latin-1").rstrip("\r\n")) != "":
            name, _, value = text.partition(":")
            fields.append((name.lower(), value.strip()))
        if status >= 200 or status == 101:
            break
    headers = dict(reversed(fields))
    body = b"" if head_only or status in (204, 304) else await _read_body(reader, headers)
    return Reply(status, headers, body, fields)


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding") == "chunked":
        pieces = []
        while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
            pieces.append((await reader.readexactly(size + 2))[:-2])
        await reader.readexactly(2)
        return b"".join(pieces)
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    return await reader.read()
