"""Datagrams (UDP): a session is what passes between one client address and its target, until it rests."""

import asyncio
import logging
import socket
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, cast

from tollhouse.errors import Cause, UpstreamFault
from tollhouse.flow.backend import Endpoint
from tollhouse.pdk.tasks import Tasks
from tollhouse.routing import Connected
from tollhouse.stream.routed import NO_TARGET, Routed
from tollhouse.telemetry.access_log import AccessLog

if TYPE_CHECKING:
    from tollhouse.stream.snapshot import StreamSnapshot

log = logging.getLogger("tollhouse.stream")

_UDP: Final = frozenset({"udp"})
#: a client can make up sender addresses without end
_SESSIONS: Final = 16_384
#: datagrams of a client that wait while its target is looked up
_WAITING: Final = 64
#: how long a session may rest while the node drains, in seconds
_LAST_REST_SECONDS: Final = 1.0
_USUAL_REST_SECONDS: Final = 60.0


class DatagramSession(Routed):
    """What one client address sends and gets."""

    transport = "UDP"

    def __init__(self, client: Any, listener: "DatagramListener") -> None:
        super().__init__((str(client[0]), int(client[1])), listener.port, perf_counter())
        self._client = client
        self._listener = listener
        self._target: asyncio.DatagramTransport | None = None
        self._waiting: list[bytes] = []
        self._over = asyncio.Event()
        self._rest_seconds = _USUAL_REST_SECONDS
        self._active_at = self.started

    async def serve(self) -> None:
        """Sees the session through; nothing is raised."""
        try:
            await self.seen_through(self._serve())
        finally:
            if self._target is not None:
                self._target.close()
            self.finish(self._listener.snapshot())

    async def _serve(self) -> None:
        listener = self._listener
        client = (self.client_ip, self.client_port)
        plan = self.route_by(listener.snapshot(), Connected(_UDP, client, listener.local))
        backend = await self.admit(plan)
        self._rest_seconds = backend.timeouts.read
        self._target = await self.reach(backend, self._opened)
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            self._pass_on(self._target, data)
        await self._over.wait()

    async def _opened(self, endpoint: Endpoint) -> asyncio.DatagramTransport:
        """A socket of its own, so that answers find back. Raises `UpstreamFault`."""
        address = endpoint.pool.address
        try:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Target(self), remote_addr=(address.host, address.port)
            )
        except OSError as error:
            raise UpstreamFault(Cause.CONNECT_REFUSED, f"{address.host}:{address.port}: {error}") from error
        return transport

    def take(self, data: bytes) -> None:
        """The client has sent a datagram."""
        self.received += len(data)
        self._active_at = perf_counter()
        if self._target is not None:
            self._pass_on(self._target, data)
        elif len(self._waiting) < _WAITING:
            self._waiting.append(data)

    def _pass_on(self, target: asyncio.DatagramTransport, data: bytes) -> None:
        self.upstream_sent += len(data)
        target.sendto(data)

    def give(self, data: bytes) -> None:
        """The target has sent a datagram."""
        self.upstream_received += len(data)
        self.sent += len(data)
        self._active_at = perf_counter()
        self._listener.send(data, self._client)

    def fail(self, error: Exception) -> None:
        """The target's host says that nobody listens there."""
        if self._over.is_set():
            return
        self.refuse(NO_TARGET, str(error))
        if self.lease is not None:
            self.lease.failed(NO_TARGET, stale=False)
            self.lease = None
        self.end()

    def look(self, now: float, *, draining: bool) -> None:
        """Ends it if it has rested too long; called a few times a second."""
        limit = min(self._rest_seconds, _LAST_REST_SECONDS) if draining else self._rest_seconds
        if now - self._active_at > limit:
            self.end()

    def end(self) -> None:
        self._over.set()


class _Target(asyncio.DatagramProtocol):
    """The socket towards a target."""

    def __init__(self, session: DatagramSession) -> None:
        self._session = session

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._session.give(data)

    def error_received(self, exc: Exception) -> None:
        self._session.fail(exc)


class DatagramListener(asyncio.DatagramProtocol):
    """A socket that clients send datagrams to."""

    def __init__(
        self,
        snapshot: "Callable[[], StreamSnapshot]",
        tasks: Tasks,
        port: int,
        access_log: AccessLog | None,
    ) -> None:
        self.snapshot = snapshot
        self.port = port
        #: the address that was bound: of a datagram only that is known of where it went
        self.local = ("", port)
        self._tasks = tasks
        self._access_log = access_log
        self._transport: asyncio.DatagramTransport | None = None
        self.sessions: dict[Any, DatagramSession] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._draining = self._is_full = False

    async def start(self, sock: socket.socket) -> None:
        self.local = (sock.getsockname()[0], self.port)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=sock)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        session = self.sessions.get(addr)
        if session is None:
            if self._draining or not self._has_room():
                return
            session = self.sessions[addr] = DatagramSession(addr, self)
            task = self._tasks.spawn(self._serve(session, addr), "datagram session")
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        session.take(data)

    def _has_room(self) -> bool:
        before, self._is_full = self._is_full, len(self.sessions) >= _SESSIONS
        if self._is_full and not before:
            log.error("datagrams of new clients are dropped: there are %d sessions", _SESSIONS)
        return not self._is_full

    async def _serve(self, session: DatagramSession, address: object) -> None:
        try:
            await session.serve()
            if self._access_log is not None:
                self._access_log.session(session)
        finally:
            del self.sessions[address]

    def error_received(self, exc: Exception) -> None:
        log.info("a datagram could not be sent: %s", exc)

    def send(self, data: bytes, address: Any) -> None:
        """Sends a datagram to a client."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, address)

    def look(self, now: float) -> None:
        """The clock of all sessions."""
        for session in list(self.sessions.values()):
            session.look(now, draining=self._draining)

    def drain(self) -> None:
        """Takes no new clients; sessions go on until they rest for a moment."""
        self._draining = True

    async def close(self) -> None:
        """Ends what is left."""
        for session in list(self.sessions.values()):
            session.end()
        await asyncio.gather(*self._serving, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()
