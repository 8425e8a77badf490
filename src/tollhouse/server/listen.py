"""A listening socket of a worker and the connections that came in through it."""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

from tollhouse.errors import BadRequest, PeerError
from tollhouse.flow.accepting import Accepting
from tollhouse.flow.client import Client
from tollhouse.pdk.messages import Http2Request, Request
from tollhouse.pdk.tasks import Tasks
from tollhouse.server.connection import ClientConnection
from tollhouse.server.limits import Limits
from tollhouse.server.negotiate import FirstBytes
from tollhouse.server.proxied import told_client
from tollhouse.wire.http1 import RequestReader

log = logging.getLogger("tollhouse.server")

#: what a client that connected while the node drains has for its TLS handshake
_LAST_HANDSHAKE_SECONDS: Final = 5.0


class Handler(Protocol):
    """Whoever answers requests."""

    def begin(self, client: Client, request: Request) -> None: ...

    def refuse(self, client: Client, error: BadRequest, request: Request) -> None: ...


class Connection(Protocol):
    """One of a listener's connections."""

    requests: int

    @property
    def flow(self) -> object | None: ...

    def look(self, now: float) -> None: ...

    def drain(self) -> None: ...

    def abort(self) -> None: ...


class Traffic:
    """Counts connections and requests of a worker, as nginx's status page does."""

    def __init__(self) -> None:
        self.accepted = 0
        self.requests = 0


class Listener:
    """Accepts connections on one socket and hands their requests to a handler."""

    def __init__(
        self,
        sock: socket.socket,
        handler: Handler,
        limits: Limits,
        traffic: Traffic,
        *,
        port: int,
        tls: ssl.SSLContext | None = None,
        http2: bool = False,
        told_by: Tasks | None = None,
    ) -> None:
        """`told_by` are for listeners whose clients are named by a balancer in front: there connections wait
        until it has."""
        self._told_by = told_by
        self._socket = sock
        self._accepting = Accepting(sock, self._admit_later)
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._traffic = traffic
        self._loop = asyncio.get_running_loop()
        self.limits = limits
        self.port = port
        self.scheme = "https" if tls else "http"
        self.reader = RequestReader(Request)
        #: what it remembers is told apart, for what is forwarded names the version that came
        self.http2_reader = RequestReader(Http2Request)
        self._accept: Callable[..., asyncio.Protocol] = partial(
            FirstBytes if http2 else ClientConnection, self
        )
        self.connections: set[Connection] = set()
        self.draining = False
        self.begin: Callable[[Client, Request], None] = handler.begin
        self.refuse: Callable[[Client, BadRequest, Request], None] = handler.refuse
        self.now = time.perf_counter
        self.call_soon = self._loop.call_soon

    async def start(self) -> None:
        if self._told_by is not None:
            self._accepting.start()
            return
        self._server = await self._loop.create_server(
            self._accept, sock=self._socket, ssl=self._tls, backlog=16384
        )

    def _admit_later(self, sock: socket.socket) -> None:
        if self._told_by is not None:
            self._told_by.spawn(self._admit(sock), "PROXY protocol")

    async def _admit(self, sock: socket.socket) -> None:
        """Begins a connection once it is said whose it is."""
        try:
            told = await told_client(sock, self.limits.header_seconds)
        except (OSError, PeerError) as error:  # a timeout is one of the first
            log.info("a connection was not accepted: %s", error or "the PROXY protocol did not come in time")
            sock.close()
            return
        patience = _LAST_HANDSHAKE_SECONDS if self._tls and self.draining else None
        with suppress(OSError):  # a handshake that failed; the loop has closed the socket
            await self._loop.connect_accepted_socket(
                partial(self._accept, told), sock, ssl=self._tls, ssl_handshake_timeout=patience
            )

    def opened(self, connection: Connection) -> int:
        """A connection came in; returns its number."""
        self.connections.add(connection)
        self._traffic.accepted += 1
        return self._traffic.accepted

    def closed(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self._traffic.requests += connection.requests

    def look(self, now: float) -> None:
        """The clock of all connections."""
        for connection in list(self.connections):
            connection.look(now)

    async def drain(self) -> None:
        """Stops accepting and closes the socket; idle connections close, busy ones after their answer.
        Connections that the kernel has accepted already are served as well."""
        self.draining = True
        waiting = list(self._accept_waiting())
        if self._server is not None:
            self._server.close()
        self._socket.close()
        await asyncio.gather(*waiting, return_exceptions=True)
        for connection in list(self.connections):
            connection.drain()

    def _accept_waiting(self) -> Iterator[Awaitable[object]]:
        patience = _LAST_HANDSHAKE_SECONDS if self._tls else None
        for sock in self._accepting.drain():
            if self._told_by is not None:
                yield self._admit(sock)
            else:
                yield self._loop.connect_accepted_socket(
                    self._accept, sock, ssl=self._tls, ssl_handshake_timeout=patience
                )
