"""One client connection, held open and talked over byte by byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from tests.support.gateway import READ_SECONDS, Reply, read_reply


class Client:
    """Sends bytes and takes replies apart."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes | str) -> None:
        self.writer.write(data.encode("latin-1") if isinstance(data, str) else data)

    def get(self, path: str = "/", fields: str = "") -> None:
        """Sends a request without a body; `fields` are whole lines, each with CRLF."""
        self.send(f"GET {path} HTTP/1.1\r\nHost: gw.test\r\n{fields}\r\n")

    async def reply(self, *, head_only: bool = False) -> Reply:
        """The next response."""
        async with asyncio.timeout(READ_SECONDS):
            return await read_reply(self.reader, head_only=head_only)

    def stop_reading(self) -> None:
        """Takes nothing more, so that what is sent piles up on the way."""
        cast(asyncio.Transport, self.writer.transport).pause_reading()

    def read_on(self) -> None:
        cast(asyncio.Transport, self.writer.transport).resume_reading()

    async def rest(self) -> bytes:
        """Everything until the gateway closes; a reset counts as closing."""
        async with asyncio.timeout(READ_SECONDS):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@asynccontextmanager
async def connected(
    address: tuple[str, int], *, tls: ssl.SSLContext | None = None, server_name: str | None = None
) -> AsyncIterator[Client]:
    """A connection for the time of a block."""
    host, port = address
    reader, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname=server_name)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
