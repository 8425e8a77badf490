"""A model server for tests: it answers every request as it is told, with bytes that providers have sent."""

import asyncio
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from tests.support.gateway import Gateway
from tests.support.recordings import Recording
from tests.support.upstream import Answer, Received, Upstream

END = b"0\r\n\r\n"


class ModelServer(Upstream):
    """Answers as `play` says."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.play: Answer = plain(b"{}")

    async def _answer(self, received: Received, writer: asyncio.StreamWriter) -> bool:
        return await self.play(received, writer)

    @property
    def last(self) -> Received:
        return self.received[-1]

    @property
    def last_body(self) -> Any:
        return msgspec.json.decode(self.last.body)


def plain(body: bytes, status: int = 200, *fields: str, kind: str = "application/json") -> Answer:
    """A whole answer."""
    more = "".join(f"{field}\r\n" for field in fields)
    head = f"HTTP/1.1 {status} Told\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n"

    async def answer(_: Received, writer: asyncio.StreamWriter) -> bool:
        writer.write(head.encode() + body)
        return True

    return answer


def replay(stored: Recording, *fields: str) -> Answer:
    """The recorded answer, with its own status and type; a stream event by event."""
    kind = stored.headers.get("content-type", "application/json")
    if stored.streamed:
        return stream(stored.chunks, kind=kind)
    return plain(stored.content, stored.status, *fields, kind=kind)


def stream(
    pieces: Sequence[bytes],
    *,
    kind: str = "text/event-stream",
    status: int = 200,
    fields: str = "",
    after: asyncio.Event | None = None,
    end: bytes = END,
) -> Answer:
    """A chunked answer, each piece a write of its own; before the last of them it waits for `after`."""

    async def answer(_: Received, writer: asyncio.StreamWriter) -> bool:
        head = f"HTTP/1.1 {status} Told\r\nContent-Type: {kind}\r\n{fields}Transfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        for place, piece in enumerate(pieces, 1):
            if place == len(pieces) and after is not None:
                await after.wait()
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(end)
        return end == END

    return answer


def hanging(*pieces: bytes, kind: str = "text/event-stream") -> Answer:
    """Sends the pieces and then nothing more, for ever."""

    async def answer(_: Received, writer: asyncio.StreamWriter) -> bool:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        for piece in pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        await closed(writer)
        return False

    return answer


async def silent(_: Received, writer: asyncio.StreamWriter) -> bool:
    await closed(writer)
    return False


async def closed(writer: asyncio.StreamWriter) -> None:
    """Waits until the gateway has given up."""
    while not writer.transport.is_closing():
        await asyncio.sleep(0.02)


def gzipped(stored: Recording) -> Answer:
    """The recorded answer as providers send it to whoever accepts gzip."""
    packed = gzip.compress(stored.content)
    if not stored.streamed:
        return plain(packed, stored.status, "Content-Encoding: gzip")
    third = len(packed) // 3
    pieces = (packed[:third], packed[third : 2 * third], packed[2 * third :])
    return stream(pieces, fields="Content-Encoding: gzip\r\n")


async def record_of(node: Gateway, request_id: str, file: str = "log.json") -> dict[str, Any]:
    """The log record of a request, once it is written."""
    async with asyncio.timeout(10):
        while True:
            for record in records(node.folder / file):
                if record["request"]["id"] == request_id:
                    return record
            await asyncio.sleep(0.005)


def records(path: Path) -> list[dict[str, Any]]:
    """All log records that are complete."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [msgspec.json.decode(line) for line in lines]


async def ai_metrics(node: Gateway) -> dict[str, float]:
    """The AI counters by name and labels, as Prometheus gets them."""
    text = (await node.admin_request("GET", "/metrics")).body.decode()
    samples = (line.rpartition(" ") for line in text.splitlines() if line.startswith("kong_ai_"))
    return {name: float(value) for name, _, value in samples}
