"""TCP and TLS servers that are no HTTP servers, and clients of theirs."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PATIENCE_SECONDS = 15


class TcpServer:
    """Greets with its name, gives back what it gets, and says goodbye when the client sends no more."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.connections = 0
        #: names that TLS clients asked for, and whether each showed a certificate
        self.asked: list[str | None] = []
        self.shown: list[bool] = []
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, tls: ssl.SSLContext | None = None, port: int = 0) -> "TcpServer":
        if tls is not None:
            tls.sni_callback = lambda _socket, name, _context: self.asked.append(name)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=tls)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        secured = writer.get_extra_info("ssl_object")
        if secured is not None:
            self.shown.append(secured.getpeercert(binary_form=True) is not None)
        try:
            writer.write(f"{self.name}\n".encode())
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
            if secured is None:
                writer.write(b"bye\n")
        except ConnectionError:
            return
        finally:
            writer.close()

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()


class TcpClient:
    """A connection with a limit to every wait."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def line(self) -> bytes:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.reader.readline()

    async def rest(self) -> bytes:
        """All that comes until the other side closes; a reset ends it as well."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def say(self, data: bytes) -> bytes:
        """Sends a line; returns the line that comes back."""
        self.writer.write(data)
        return await self.line()


@asynccontextmanager
async def talking(
    address: tuple[str, int],
    *,
    tls: ssl.SSLContext | None = None,
    name: str | None = None,
    source: tuple[str, int] | None = None,
) -> AsyncIterator[TcpClient]:
    """A connection to an address, from one, in TLS if there is a context."""
    server_name = (name or "") if tls is not None else None
    async with asyncio.timeout(PATIENCE_SECONDS):
        opened = await asyncio.open_connection(
            *address, ssl=tls, server_hostname=server_name, local_addr=source
        )
    client = TcpClient(*opened)
    try:
        yield client
    finally:
        client.writer.close()
