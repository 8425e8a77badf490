"""Connections to targets, kept alive and reused; one pool for each address and TLS setting."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeVar

from tollhouse.errors import Cause, UpstreamFault
from tollhouse.pdk.messages import Response
from tollhouse.upstream.http1 import UpstreamConnection
from tollhouse.wire.http1 import ResponseReader

P = TypeVar("P", bound=asyncio.BaseProtocol)

_ANY: Final = float("inf")
#: pools of names that clients have chosen; beyond so many, those without a connection are forgotten
_NAMED_KNOWN: Final = 1024


@dataclass(frozen=True, slots=True)
class TlsProfile:
    """What TLS towards a target uses besides its name, PEM: the gateway's own certificate and key, the
    authorities that are trusted in place of the usual ones, and how many intermediate ones at most."""

    certificate: str | None = None
    key: str | None = None
    authorities: tuple[str, ...] | None = None
    depth: int | None = None


USUAL_TLS: Final = TlsProfile()


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect: an IP address or socket path, and how. `server_name` is for TLS (SNI)."""

    host: str
    port: int
    tls: bool = False
    server_name: str | None = None
    verify: bool = True
    tls_profile: TlsProfile = USUAL_TLS
    http2: bool = False


class Tls(Protocol):
    """Makes TLS contexts and judges handshakes; both raise `UpstreamFault`."""

    def context_for(self, address: Address) -> ssl.SSLContext: ...

    def check(self, address: Address, connection: ssl.SSLObject) -> None: ...


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Kong's `upstream_keepalive_*`: idle connections kept, requests each carries, idle seconds.

    No requests or no seconds mean any number of them; no connections, that none is kept.
    """

    pool_size: int = 512
    max_requests: int = 10_000
    idle_seconds: float = 60.0


class Pool:
    """The connections to one address of one worker."""

    def __init__(
        self,
        address: Address,
        keep_alive: KeepAlive,
        reader: ResponseReader[Response],
        clock: Callable[[], float],
        tls: Tls,
    ) -> None:
        self.address = address
        self._size = keep_alive.pool_size
        self._most_requests = keep_alive.max_requests or _ANY
        self._idle_seconds = keep_alive.idle_seconds or _ANY
        self.reader = reader
        self._clock = clock
        self._tls = tls
        self._idle: list[UpstreamConnection] = []
        self._open: set[UpstreamConnection] = set()
        self._connecting = 0

    def take(self) -> UpstreamConnection | None:
        """The most recently used idle connection, `None` if a new one must be opened."""
        return self._idle.pop() if self._idle else None

    def take_recent(self, idle_seconds: float) -> UpstreamConnection | None:
        """An idle connection that has not been so for longer than that."""
        connection = self.take()
        if connection is None or not idle_seconds:
            if connection is not None:
                connection.close()
            return None
        since = connection.idle_since
        if since and self._clock() - since > idle_seconds:
            connection.close()
            return None
        return connection

    async def connect(self, timeout_seconds: float) -> UpstreamConnection:
        """Opens a connection. Raises `UpstreamFault` with `sent=False`."""
        connection = await self.establish(lambda: UpstreamConnection(self), timeout_seconds)
        self._open.add(connection)
        return connection

    async def establish(self, protocol: Callable[[], P], timeout_seconds: float) -> P:
        """Opens a connection for a protocol of the caller's own, which the pool never keeps. Raises
        `UpstreamFault` with `sent=False`."""
        address = self.address
        context = self._tls.context_for(address) if address.tls else None
        loop = asyncio.get_running_loop()
        self._connecting += 1
        try:
            async with asyncio.timeout(timeout_seconds):
                transport, connection = await loop.create_connection(
                    protocol,
                    address.host,
                    address.port,
                    ssl=context,
                    server_hostname=address.server_name if address.tls else None,
                )
        except TimeoutError:
            raise UpstreamFault(Cause.CONNECT_TIMEOUT, self._name()) from None
        except ssl.SSLError as error:
            raise UpstreamFault(Cause.TLS_FAILED, f"{self._name()}: {error}") from error
        except OSError as error:
            raise UpstreamFault(Cause.CONNECT_REFUSED, f"{self._name()}: {error}") from error
        finally:
            self._connecting -= 1
        if context is not None:
            try:
                self._tls.check(address, transport.get_extra_info("ssl_object"))
            except UpstreamFault:
                transport.abort()
                raise
        return connection

    def _name(self) -> str:
        return f"{self.address.host}:{self.address.port}"

    def release(self, connection: UpstreamConnection) -> None:
        """Takes back a connection whose exchange is complete."""
        if connection.carried >= self._most_requests or len(self._idle) >= self._size:
            connection.close()
            return
        connection.idle_since = 0.0
        self._idle.append(connection)

    def forget(self, connection: UpstreamConnection) -> None:
        """The connection is closing: nobody may take it any longer."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def look(self, now: float) -> None:
        """Ends what has waited too long; called a few times a second."""
        for connection in list(self._open):
            connection.look(now)
        for connection in list(self._idle):
            if not connection.idle_since:
                connection.idle_since = now
            elif now - connection.idle_since > self._idle_seconds:
                connection.close()

    def close(self) -> None:
        """Closes the idle connections; busy ones end with their exchange."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @property
    def is_unused(self) -> bool:
        return not self._open and not self._connecting


def _http2_pool() -> type[Pool]:
    from tollhouse.upstream.http2 import Http2Pool

    return Http2Pool


@dataclass(slots=True)
class Pools:
    """All pools of a worker, by address; shared by every snapshot."""

    keep_alive: KeepAlive
    clock: Callable[[], float]
    tls: Tls
    _reader: ResponseReader[Response] = field(default_factory=lambda: ResponseReader(Response))
    _pools: dict[Address, Pool] = field(default_factory=dict)
    _named: dict[Address, Pool] = field(default_factory=dict)

    def at(self, address: Address) -> Pool:
        """The pool for that address, made when first asked for."""
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools[address] = self._make(address)
        return pool

    def named(self, address: Address, server_name: str) -> Pool:
        """The pool for an address under a name that the client has chosen. To be used at once, for it is
        forgotten when it has no connection."""
        address = replace(address, server_name=server_name)
        pool = self._pools.get(address) or self._named.get(address)
        if pool is None:
            if len(self._named) >= _NAMED_KNOWN:
                self._named = {key: each for key, each in self._named.items() if not each.is_unused}
            pool = self._named[address] = self._make(address)
        return pool

    def _make(self, address: Address) -> Pool:
        kind = _http2_pool() if address.http2 else Pool
        return kind(address, self.keep_alive, self._reader, self.clock, self.tls)

    def __iter__(self) -> Iterator[Pool]:
        return iter([*self._pools.values(), *self._named.values()])

    def look(self, now: float) -> None:
        """The clock of all connections."""
        for pool in self:
            pool.look(now)

    def close(self) -> None:
        for pool in self:
            pool.close()
