"""Collectors of log records and metrics: they remember what reached them."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 30


def naming(route: str) -> Callable[[bytes], bool]:
    """Whether a record is one of that route."""
    text = f'"name":"{route}"'.encode()
    return lambda piece: text in piece


class _Heard:
    """Pieces that have come."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._changed = asyncio.Event()

    def _add(self, piece: bytes) -> None:
        self.heard.append(piece)
        self._changed.set()

    async def until(self, count: int, holds: Callable[[bytes], bool] = lambda _: True) -> list[bytes]:
        """The pieces for which that holds, once there are so many."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(found := [piece for piece in self.heard if holds(piece)]) < count:
                self._changed.clear()
                await self._changed.wait()
        return found


class Datagrams(_Heard, asyncio.DatagramProtocol):
    """Listens on UDP, or on a Unix socket for datagrams."""

    @classmethod
    async def listen(cls, path: Path | None = None) -> "Datagrams":
        loop = asyncio.get_running_loop()
        collector = cls()
        if path is None:
            transport, _ = await loop.create_datagram_endpoint(lambda: collector, local_addr=("127.0.0.1", 0))
            collector.port = transport.get_extra_info("sockname")[1]
        else:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            sock.bind(str(path))
            collector.place = str(path)
            sock.setblocking(False)
            transport, _ = await loop.create_datagram_endpoint(lambda: collector, sock=sock)
        collector._transport = transport
        return collector

    port: int
    #: path of the Unix socket
    place: str
    _transport: asyncio.DatagramTransport

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._add(data)

    def stop(self) -> None:
        self._transport.close()


class Lines(_Heard):
    """Listens on TCP, or TLS, and splits what comes into lines."""

    def __init__(self) -> None:
        super().__init__()
        self.connections = 0
        #: what the first line of a connection is answered with, before it is closed; `None`: it is kept
        self.parting: bytes | None = None
        #: names that clients asked for in TLS
        self.names: list[str | None] = []
        self._writers: list[asyncio.StreamWriter] = []

    @classmethod
    async def listen(cls, tls: ssl.SSLContext | None = None, port: int = 0) -> "Lines":
        collector = cls()
        if tls is not None:
            tls.sni_callback = lambda _socket, name, _context: collector.names.append(name)
        collector._server = await asyncio.start_server(collector._serve, "127.0.0.1", port, ssl=tls)
        collector.port = int(collector._server.sockets[0].getsockname()[1])
        return collector

    port: int
    _server: asyncio.Server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        try:
            while line := await reader.readline():
                if self.parting is not None:
                    writer.write(self.parting)
                    writer.write_eof()
                    await reader.read()  # until the other side has seen it
                self._add(line)
        finally:
            self._writers.remove(writer)
            writer.close()

    def hang_up(self) -> None:
        """Closes all connections."""
        for writer in self._writers:
            writer.close()

    async def stop(self) -> None:
        self._server.close()
        self.hang_up()
