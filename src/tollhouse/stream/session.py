"""The way of one connection, top to bottom: accept → route → preread → target → relay → log."""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Final

from tollhouse.balance.members import Member
from tollhouse.errors import PeerError, Reject, UpstreamFault
from tollhouse.flow.backend import Endpoint
from tollhouse.flow.balanced import Lease
from tollhouse.pdk.exchange import Try
from tollhouse.pdk.session import SessionTls, StreamSession
from tollhouse.routing import Connected
from tollhouse.stream.peek import peeked
from tollhouse.stream.relay import End, Relay

if TYPE_CHECKING:
    from tollhouse.stream.listener import StreamListener
    from tollhouse.stream.snapshot import StreamBackend, StreamPlan

log = logging.getLogger("tollhouse.stream")

NO_ROUTE: Final = "no Route found with those values"
NO_SERVICE: Final = "no Service found with those values"
_RELAYED: Final = 200
_NO_TARGET: Final = 502


class Session(StreamSession):
    """One connection. Nothing is raised out of `serve`: a client without HTTP cannot be told more than that
    its connection ends."""

    lease: Lease | None = None
    failed_members: Sequence[Member[Endpoint]] = ()

    def __init__(self, sock: socket.socket, listener: "StreamListener") -> None:
        super().__init__(_end_of(sock.getpeername), listener.port, perf_counter())
        self._sock = sock
        self._listener = listener
        self._client: End | None = None
        self._upstream: End | None = None
        self._relay: Relay | None = None
        self._over = asyncio.Event()

    async def serve(self) -> None:
        """Sees the connection through."""
        try:
            await self._serve()
        except Reject as refused:
            self._refuse(refused.status, refused.message or "refused")
        except UpstreamFault as fault:
            self._refuse(_NO_TARGET, str(fault))
        except (PeerError, OSError) as error:  # of the client: a handshake that fails or does not come
            self._refuse(400, str(error) or type(error).__name__)
        except Exception:  # a bug, perhaps a plugin's: it must not end the others
            log.exception("the connection of %s failed", self.client_ip)
            self.status = 500
        finally:
            self._end()

    async def _serve(self) -> None:
        plan = await self._route()
        client = self._client = await self._accept(plan)
        for step in plan.preread:
            waiting = step(self)
            if waiting is not None:
                await waiting
        if plan.backend is None:
            raise Reject(503, NO_SERVICE)
        upstream = self._upstream = await self._connected(plan.backend)
        self._relay = Relay(client, upstream, plan.backend.timeouts, perf_counter())
        if client.is_open or upstream.is_open:
            await self._over.wait()

    async def _route(self) -> "StreamPlan":
        listener = self._listener
        if listener.tls is not None:
            self.server_name = (await peeked(self._sock, listener.handshake_seconds)).server_name
        connected = Connected(
            listener.protocols,
            (self.client_ip, self.client_port),
            _end_of(self._sock.getsockname),
            self.server_name,
        )
        plan = listener.snapshot().find(connected)
        if plan is None:
            raise Reject(500, NO_ROUTE)
        self.route, self.service = plan.route, plan.service
        return plan

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

    async def _connected(self, backend: "StreamBackend") -> End:
        """A connection to a target; others are tried as long as none has been opened, for not a byte of
        the client's has been sent then."""
        self.balanced_at = perf_counter()
        while True:
            endpoint = backend.targets.now(self) or await backend.targets.pick(self)
            started = perf_counter()
            try:
                upstream = await endpoint.pool.establish(lambda: End(self._gone), backend.timeouts.connect)
            except UpstreamFault as fault:
                self._note(endpoint, started, fault)
                if len(self.tries or ()) > backend.retries:
                    raise
                continue
            address, connected_at = endpoint.pool.address, perf_counter()
            self.relayed_to = Try(address.host, address.port, started, connected_at)
            if self.lease is not None:
                self.lease.answered(_RELAYED, connected_at)
            return upstream

    def _note(self, endpoint: Endpoint, started: float, fault: UpstreamFault) -> None:
        """Remembers a failed attempt, for the next one and the log record."""
        address = endpoint.pool.address
        attempt = Try(address.host, address.port, started, perf_counter(), "failed", fault.status)
        self.tries = [*(self.tries or ()), attempt]
        if self.lease is not None:
            self.failed_members = (*self.failed_members, self.lease.failed(fault.status, stale=False))
            self.lease = None

    # Ending

    def _gone(self) -> None:
        """An end has closed."""
        if not any(end is not None and end.is_open for end in (self._client, self._upstream)):
            self._over.set()

    def _refuse(self, status: int, message: str) -> None:
        self.status = status
        log.warning(
            "unable to proxy stream connection of %s, status: %d, err: %s", self.client_ip, status, message
        )

    def _end(self) -> None:
        self.ended_at = perf_counter()
        client, upstream = self._client, self._upstream
        if client is None:
            self._sock.close()
        else:
            client.close()
            self.received, self.sent = client.received, client.sent
        if upstream is not None:
            upstream.close()
            self.upstream_received, self.upstream_sent = upstream.received, upstream.sent
        if self.lease is not None:
            self.lease.ended(0, 0.0)
        for step in self._listener.snapshot().log_steps(self.route):
            try:
                step(self)
            except Exception:  # one plugin's log must not keep the others from theirs
                log.exception("a connection could not be logged")

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


def _end_of(name: Callable[[], object]) -> tuple[str, int]:
    """One end of a socket; a Unix socket has no address, nor has one whose client has gone."""
    with suppress(OSError):
        found = name()
        if isinstance(found, tuple):
            return str(found[0]), int(found[1])
    return "unix:", 0
