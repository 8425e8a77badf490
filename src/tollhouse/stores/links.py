"""Ways to collectors that are not spoken to in HTTP: TCP, UDP and the system's own syslog.

A link connects when it is first used, and again when the other end has gone. Names are looked up each
time, so that a collector may move.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import cast

from tollhouse.pdk.delivery import TlsTo, Undelivered
from tollhouse.stores.authorities import SYSTEM, client_context

#: the addresses of a host, none if it has none
Resolve = Callable[[str], Awaitable[Sequence[str]]]


class _Connection(asyncio.Protocol):
    """A connection that is only written to: what a collector answers is thrown away."""

    def __init__(self) -> None:
        self.is_gone = False
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def eof_received(self) -> None:
        self.is_gone = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_gone = True
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def send(self, data: bytes) -> None:
        """Writes the bytes, and waits while the other end takes no more."""
        self.transport.write(data)
        await self._writable.wait()
        if self.is_gone:
            raise ConnectionResetError("the collector has closed the connection")


class StreamLink:
    """A TCP connection, kept while it is used."""

    def __init__(
        self,
        place: Callable[[], Awaitable[tuple[str, int]]],
        timeout_seconds: float,
        keepalive_seconds: float,
        tls: tuple[ssl.SSLContext, str] | None,
    ) -> None:
        self._place = place
        self._timeout = timeout_seconds
        self._keepalive = keepalive_seconds
        self._tls = tls
        self._connection: _Connection | None = None
        self._leaving: asyncio.TimerHandle | None = None

    async def send(self, data: bytes) -> None:
        """Writes the bytes, on the connection that is there if it still stands."""
        if self._leaving is not None:
            self._leaving.cancel()
        try:
            async with asyncio.timeout(self._timeout):
                if self._connection is None or self._connection.is_gone:
                    self.close()
                    self._connection = await self._connected()
                await self._connection.send(data)
        except TimeoutError:
            self.close()
            raise Undelivered("the collector does not take what is sent in time") from None
        except OSError:
            self.close()
            raise
        self._leaving = asyncio.get_running_loop().call_later(self._keepalive, self.close)

    async def _connected(self) -> _Connection:
        host, port = await self._place()
        context, name = self._tls or (None, None)
        connect = asyncio.get_running_loop().create_connection
        return (await connect(_Connection, host, port, ssl=context, server_hostname=name))[1]

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if self._leaving is not None:
            self._leaving.cancel()
        if connection is not None:
            connection.transport.close()


class DatagramLink:
    """A socket that sends datagrams to one address, which it asks for each time."""

    def __init__(
        self, place: Callable[[], Awaitable[tuple[str, int] | str]], timeout_seconds: float, what: str
    ) -> None:
        self._place = place
        self._timeout = timeout_seconds
        self._what = what
        self._to: tuple[str, int] | str | None = None
        self._socket: socket.socket | None = None

    async def send(self, data: bytes) -> None:
        """Sends one datagram."""
        try:
            async with asyncio.timeout(self._timeout):
                sock = self._connected(await self._place())
                await asyncio.get_running_loop().sock_sendall(sock, data)
        except TimeoutError:
            raise Undelivered(f"{self._what} does not take what is sent in time") from None
        except OSError as error:
            self.close()
            if error.errno == errno.EMSGSIZE:
                raise Undelivered(f"{len(data)} bytes are too many for a datagram", again=False) from None
            raise

    def _connected(self, to: tuple[str, int] | str) -> socket.socket:
        if self._socket is None or to != self._to:
            self.close()
            family = socket.AF_UNIX
            if not isinstance(to, str):
                family = socket.AF_INET6 if ":" in to[0] else socket.AF_INET
            self._socket, self._to = socket.socket(family, socket.SOCK_DGRAM), to
            self._socket.setblocking(False)
            self._socket.connect(to)
        return self._socket

    def close(self) -> None:
        sock, self._socket = self._socket, None
        if sock is not None:
            with suppress(OSError):
                sock.close()


class Links:
    """Makes links for one worker. `syslog` is the path of the system's socket, `trusted` are files of
    authorities that vouch for servers, and `system`."""

    def __init__(self, resolve: Resolve, syslog: str, trusted: tuple[str, ...] = SYSTEM) -> None:
        self._trusted = trusted
        self._resolve = resolve
        self._syslog = syslog

    def stream(
        self,
        host: str,
        port: int,
        *,
        timeout_seconds: float,
        keepalive_seconds: float,
        tls: TlsTo | None = None,
    ) -> StreamLink:
        """A TCP connection, over TLS if asked."""
        secured = None
        if tls is not None:
            secured = client_context(self._trusted, verify=tls.verify), tls.server_name or host
        return StreamLink(partial(self._at, host, port), timeout_seconds, keepalive_seconds, secured)

    def datagrams(self, host: str, port: int, *, timeout_seconds: float) -> DatagramLink:
        """UDP."""
        return DatagramLink(partial(self._at, host, port), timeout_seconds, f"{host}:{port}")

    def local_syslog(self) -> DatagramLink:
        """The system's own syslog."""
        return DatagramLink(self._syslog_place, 1.0, self._syslog)

    async def _syslog_place(self) -> str:
        return self._syslog

    async def _at(self, host: str, port: int) -> tuple[str, int]:
        host = host.strip("[]")
        if _is_ip(host):
            return host, port
        addresses = await self._resolve(host)
        if not addresses:
            raise Undelivered(f"{host} has no address")
        return addresses[0], port


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
