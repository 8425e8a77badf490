"""Serves recorded answers over HTTP/1.1: each piece is a write of its own, of a stream also a chunk."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

import msgspec

from tollhouse.replay.choice import Repertoire
from tollhouse.replay.script import FAULTS, Fault, Manner, Script, script_of, sent_pieces

_LIMIT_BYTES: Final = 64 * 1024 * 1024
#: fields by which a request chooses its answer and its fault
NAME_FIELD: Final = "x-replay"
FAULT_FIELD: Final = "x-replay-fault"


@dataclass(slots=True)
class Asked:
    """A request that came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class ReplayServer:
    """`told` hears of every request and the name of what it got, empty if there was nothing."""

    repertoire: Repertoire
    manner: Manner = field(default_factory=Manner)
    told: Callable[[Asked, str], None] = lambda asked, name: None
    _server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> "ReplayServer":
        self._server = await asyncio.start_server(self._serve, host, port, limit=_LIMIT_BYTES)
        return self

    @property
    def url(self) -> str:
        if self._server is None:
            raise RuntimeError("the server has not been started")
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def forever(self) -> None:
        if self._server is not None:
            await self._server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (asked := await _request(reader)) is not None:
                if not await self._answer(asked, writer, reader):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # whoever sends no HTTP, or hangs up, gets nothing
        finally:
            writer.close()

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        """Whether the connection stays open."""
        name, fault = asked.headers.get(NAME_FIELD), asked.headers.get(FAULT_FIELD)
        chosen = (
            self.repertoire.named(name) if name else self.repertoire.for_request(asked.target, asked.body)
        )
        self.told(asked, chosen.name if chosen is not None else "")
        if chosen is None:
            script = _nothing(f"nothing was recorded for {asked.method} {asked.target}")
        elif fault is not None and fault not in FAULTS:
            script = _nothing(f"{FAULT_FIELD}: expected one of {', '.join(FAULTS)}")
        else:
            manner = self.manner
            if fault is not None:
                manner = Manner(manner.split_bytes, manner.delay_seconds, cast(Fault, fault))
            script = script_of(chosen, manner)
        await _play(script, writer)
        if script.ends == "stall":
            await reader.read()  # until the client has enough
        return script.ends == "whole"


def _nothing(message: str) -> Script:
    body = msgspec.json.encode({"error": {"message": message, "type": "invalid_request_error"}})
    return Script(404, (("content-type", "application/json"),), (body,), False, 0.0)


async def _play(script: Script, writer: asyncio.StreamWriter) -> None:
    framing = "transfer-encoding: chunked" if script.chunked else f"content-length: {script.length}"
    fields = "".join(f"{name}: {value}\r\n" for name, value in script.headers)
    writer.write(f"HTTP/1.1 {script.status} Recorded\r\n{fields}{framing}\r\n\r\n".encode("latin-1"))
    await writer.drain()
    for piece in sent_pieces(script):
        if script.delay_seconds:
            await asyncio.sleep(script.delay_seconds)
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if script.chunked else piece)
        await writer.drain()
        # The loop gets to send this piece before the next one comes behind it.
        await asyncio.sleep(0)
    if script.chunked and script.ends == "whole":
        writer.write(b"0\r\n\r\n")
        await writer.drain()


async def _request(reader: asyncio.StreamReader) -> Asked | None:
    """The next request, `None` if there is none. Raises `ValueError` for what is none."""
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = b""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readline()).partition(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        while await reader.readline() not in (b"\r\n", b""):
            pass  # trailers
    elif length := int(headers.get("content-length", "0")):
        body = await reader.readexactly(length)
    return Asked(method, target, headers, body)
