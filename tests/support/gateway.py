"""Tollhouse as a user has it: a process of its own, talked to over sockets."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

START_SECONDS = 60
READ_SECONDS = 30


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

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        #: lines on standard output and on standard error
        self.output: list[str] = []
        self.errors: list[str] = []
        self.addresses: dict[str, tuple[str, int]] = {}
        self._changed = asyncio.Condition()
        assert process.stdout is not None
        assert process.stderr is not None
        self._reading = [
            asyncio.ensure_future(self._read(process.stdout, self.output)),
            asyncio.ensure_future(self._read(process.stderr, self.errors)),
        ]

    @classmethod
    async def start(
        cls,
        config: str | None,
        *,
        workers: int = 1,
        environment: Mapping[str, str] | None = None,
        arguments: tuple[str, ...] = (),
    ) -> "Gateway":
        """Starts a node on free ports and waits until it says that it is ready."""
        folder = Path(tempfile.mkdtemp(prefix="tollhouse-test-"))
        if config is not None:
            (folder / "kong.yml").write_text(config)
            arguments = ("-c", str(folder / "kong.yml"), *arguments)
        settings = {
            "KONG_PROXY_LISTEN": "127.0.0.1:0",
            "KONG_ADMIN_LISTEN": "127.0.0.1:0",
            "KONG_STATUS_LISTEN": "off",
            "KONG_NGINX_WORKER_PROCESSES": str(workers),
            "KONG_LOG_LEVEL": "info",
            "KONG_PREFIX": str(folder),
            **(environment or {}),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tollhouse", "start", *arguments),
            env={**clean_environment(), **settings},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        gateway = cls(process, folder)
        last = "status" if settings["KONG_STATUS_LISTEN"] != "off" else "admin"
        try:
            await gateway._until(lambda: gateway._has_announced(last))
        except BaseException:
            await gateway.stop()
            raise
        return gateway

    @property
    def proxy(self) -> tuple[str, int]:
        return self.addresses["proxy"]

    @property
    def admin(self) -> tuple[str, int]:
        return self.addresses["admin"]

    @property
    def file(self) -> Path:
        """The declarative file that it serves."""
        return self.folder / "kong.yml"

    async def until_logged(self, text: str, times: int = 1) -> None:
        """Waits until so many lines with that text have come on standard error."""
        await self._until(lambda: sum(text in line for line in self.errors) >= times)

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(START_SECONDS), self._changed:
            await self._changed.wait_for(lambda: holds() or self.process.returncode is not None)
        assert holds(), f"the node has ended: {''.join(self.errors)}"

    async def _read(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        while line := await stream.readline():
            lines.append(line.decode())
            async with self._changed:
                self._changed.notify_all()
        await self.process.wait()
        async with self._changed:
            self._changed.notify_all()

    def _has_announced(self, last: str) -> bool:
        for line in self.output:
            name, _, urls = line.strip().partition(" ")
            if name == "stream":
                for number, url in enumerate(urls.split()):
                    host, _, port = url.rpartition("/")[2].rpartition(":")
                    self.addresses[f"stream{number}"] = (host, int(port))
            if name in ("proxy", "admin", "status"):
                host, _, port = urls.split()[0].rpartition("/")[2].rpartition(":")
                self.addresses[name] = (host, int(port))
        return last in self.addresses

    async def stop(self) -> int:
        """Ends the node as an operator would; returns its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(START_SECONDS):
            code = await self.process.wait()
        await asyncio.gather(*self._reading)
        shutil.rmtree(self.folder, ignore_errors=True)
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


def clean_environment() -> dict[str, str]:
    """This process's environment without what would configure a node or name a provider's key."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KONG_", "TOLLHOUSE_")) and not name.endswith("_API_KEY")
    }


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
    body = b"" if head_only or status in (101, 204, 304) else await _read_body(reader, headers)
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
