"""Upstreams at the level of bytes: they remember what reached them and answer what they are told."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"echo": "okay"}'[:-1]


@dataclass(slots=True)
class Received:
    """A request that reached the upstream."""

    method: str
    target: str
    version: str
    fields: list[tuple[str, str]]
    body: bytes
    #: how the body was framed: "none", "length" or "chunked"
    framing: str = "none"

    @property
    def headers(self) -> dict[str, str]:
        return dict(reversed(self.fields))


Answer = Callable[["Received", asyncio.StreamWriter], Awaitable[bool]]


async def answer_ok(received: Received, writer: asyncio.StreamWriter) -> bool:
    writer.write(OK.partition(b"{")[0] if received.method == "HEAD" else OK)
    return True


@dataclass(slots=True)
class Upstream:
    """A server for tests. `answer` writes a response and says whether the connection stays open."""

    answer: Answer = answer_ok
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    #: bytes that were no request
    garbage: list[bytes] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, tls: ssl.SSLContext | None = None) -> "Upstream":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**24, ssl=tls)
        return self

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def until(self, requests: int, target: str = "/") -> None:
        """Waits until so many requests for targets that begin so have come."""

        def enough() -> bool:
            return sum(received.target.startswith(target) for received in self.received) >= requests

        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(enough)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            while (received := await read_request(reader)) is not None:
                self.received.append(received)
                async with self._changed:
                    self._changed.notify_all()
                if not await self.answer(received, writer):
                    break
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            if isinstance(error, asyncio.IncompleteReadError) and error.partial:
                self.garbage.append(error.partial)
        except ValueError as error:
            self.garbage.append(str(error).encode())
        finally:
            writer.close()


async def read_request(reader: asyncio.StreamReader) -> Received | None:
    """The next request, `None` at the end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"not a field: {line!r}")
        fields.append((name.lower(), value.strip()))
    headers = dict(fields)
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return Received(method, target, version, fields, await _chunked(reader), "chunked")
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
        return Received(method, target, version, fields, body, "length")
    return Received(method, target, version, fields, b"")


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
        pieces.append((await reader.readexactly(size + 2))[:-2])
    await reader.readuntil(b"\r\n")
    return b"".join(pieces)
