"""The way of one connection, top to bottom: accept → route → preread → target → relay → log."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING

from tollhouse.flow.backend import Endpoint
from tollhouse.pdk.session import SessionTls
from tollhouse.routing import Connected
from tollhouse.stream.peek import peeked
from tollhouse.stream.relay import End, Relay
from tollhouse.stream.routed import Routed

if TYPE_CHECKING:
    from tollhouse.stream.listener import StreamListener
    from tollhouse.stream.snapshot import StreamPlan


class Session(Routed):
    """One connection of TCP."""

    def __init__(self, sock: socket.socket, listener: "StreamListener") -> None:
        super().__init__(end_of(sock.getpeername), listener.port, perf_counter())
        self._sock = sock
        self._listener = listener
        self._client: End | None = None
        self._upstream: End | None = None
        self._relay: Relay | None = None
        self._over = asyncio.Event()

    async def serve(self) -> None:
        """Sees the connection through; nothing is raised."""
        try:
            await self.seen_through(self._serve())
        finally:
            self._end()

    async def _serve(self) -> None:
        plan = await self._route()
        client = self._client = await self._accept(plan)
        backend = await self.admit(plan)
        name = self.server_name if plan.route.preserve_host else None
        upstream = self._upstream = await self.reach(
            backend, lambda to: _asked_by(to, name).pool.establish(self._far_end, backend.timeouts.connect)
        )
        self._relay = Relay(client, upstream, backend.timeouts, perf_counter())
        if client.is_open or upstream.is_open:
            await self._over.wait()

    async def _route(self) -> "StreamPlan":
        listener = self._listener
        if listener.tls is not None:
            self.server_name = (await peeked(self._sock, listener.handshake_seconds)).server_name
        host, port = end_of(self._sock.getsockname)
        connected = Connected(
            listener.protocols,
            (self.client_ip, self.client_port),
            (host, listener.port if port else port),
            self.server_name,
        )
        return self.route_by(listener.snapshot(), connected)

    async def _accept(self, plan: "StreamPlan") -> End:
        """Takes the connection over, and ends its TLS if that is the route's way."""
        context = None if plan.passes_tls_on else self._listener.tls
        seconds = self._listener.handshake_seconds if context is not None else None
        client = End(self._gone)
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: client, self._sock, ssl=context, ssl_handshake_timeout=seconds
        )
        secured = client.tls
        if secured is not None:
            cipher = secured.cipher()
            self.tls = SessionTls(secured.version() or "", cipher[0] if cipher else "")
        return client

    def _far_end(self) -> End:
        return End(self._gone)

    # Ending

    def _gone(self) -> None:
        """An end has closed."""
        if not any(end is not None and end.is_open for end in (self._client, self._upstream)):
            self._over.set()

    def _end(self) -> None:
        client, upstream = self._client, self._upstream
        if client is None:
            self._sock.close()
        else:
            client.close()
            self.received, self.sent = client.received, client.sent
        if upstream is not None:
            upstream.close()
            self.upstream_received, self.upstream_sent = upstream.received, upstream.sent
        self.finish(self._listener.snapshot())

    @property
    def is_relaying(self) -> bool:
        return self._relay is not None

    def look(self, now: float) -> None:
        """Ends what has rested too long; called a few times a second."""
        if self._relay is not None:
            self._relay.look(now)

    def abort(self) -> None:
        """Cuts both ends, so that they see that something is missing."""
        for end in (self._client, self._upstream):
            if end is not None:
                end.abort()


def _asked_by(endpoint: Endpoint, name: str | None) -> Endpoint:
    """The endpoint, in TLS asked for by the name that the client has asked for, if it is to be."""
    return endpoint.for_host(name) if name and endpoint.pool.address.tls else endpoint


def end_of(name: Callable[[], object]) -> tuple[str, int]:
    """One end of a socket; a Unix socket has no address, nor has one whose client has gone."""
    with suppress(OSError):
        found = name()
        if isinstance(found, tuple):
            return str(found[0]), int(found[1])
    return "unix:", 0
