"""The requests that plugins make themselves, over the pools that services use."""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from tollhouse.errors import Cause, UpstreamFault
from tollhouse.pdk.http import ANSWER_LIMIT_BYTES, HttpAnswer
from tollhouse.pdk.messages import Response
from tollhouse.upstream.dns import Resolver
from tollhouse.upstream.http1 import Arrival, Timeouts, UpstreamConnection
from tollhouse.upstream.pool import Address, Pool, Pools

_PORTS: Final = {"http": 80, "https": 443}
_VISIBLE: Final = re.compile(r"[!-~]+")
_LINE: Final = re.compile(r"[\t -~\x80-\xff]*")
#: requests that do no harm twice: they take a kept connection, and another one if that has gone
_REPEATABLE: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class _Place:
    host: str
    port: int
    tls: bool
    #: what Host says
    shown: str
    #: path and query
    target: str


class PooledClient:
    """`pdk.http.HttpClient` of one worker."""

    def __init__(self, pools: Pools, resolver: Resolver) -> None:
        self._pools = pools
        self._resolver = resolver

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        timeout_seconds: float = 10.0,
        limit_bytes: int = ANSWER_LIMIT_BYTES,
        verify: bool = True,
        public_only: bool = False,
        keepalive_seconds: float | None = None,
        connect_seconds: float | None = None,
    ) -> HttpAnswer:
        place = _place(url)
        data = _head(method, place, headers, len(body)) + body
        connecting = min(connect_seconds or timeout_seconds, timeout_seconds)
        timeouts = Timeouts(timeout_seconds, timeout_seconds, timeout_seconds)
        try:
            async with asyncio.timeout(timeout_seconds):
                pool = await self._pool(place, verify=verify, public_only=public_only)
                connection = None
                if keepalive_seconds is not None:
                    connection = pool.take_recent(keepalive_seconds)
                elif method in _REPEATABLE:
                    connection = pool.take()
                try:
                    connection = connection or await pool.connect(connecting)
                    return await _Call(connection, limit_bytes).of(data, method, timeouts)
                except UpstreamFault as fault:
                    stale = connection is not None and connection.carried > 1 and fault.cause is Cause.RESET
                    if not stale:
                        raise
                    fresh = await pool.connect(connecting)
                    return await _Call(fresh, limit_bytes).of(data, method, timeouts)
        except TimeoutError:
            raise UpstreamFault(
                Cause.READ_TIMEOUT, f"{place.shown} did not answer in time", sent=True
            ) from None

    async def _pool(self, place: _Place, *, verify: bool, public_only: bool) -> Pool:
        addresses = (place.host,) if _is_ip(place.host) else await self._resolver.resolve(place.host)
        if not addresses:
            raise UpstreamFault(Cause.NAME_NOT_FOUND, f"{place.host} has no address")
        if public_only and not all(map(_is_public, addresses)):
            raise UpstreamFault(Cause.NO_TARGET, f"{place.host} is no address on the public internet")
        name = place.host if place.tls else None
        return self._pools.at(Address(addresses[0], place.port, place.tls, name, verify or not place.tls))


class _Call:
    """One request on a connection: the driver that is told of the head, and the sink for the body."""

    def __init__(self, connection: UpstreamConnection, limit_bytes: int) -> None:
        self._connection = connection
        self._limit = limit_bytes
        self._ended: asyncio.Future[HttpAnswer] = asyncio.get_running_loop().create_future()
        self._response: Response | None = None
        self._pieces: list[bytes] = []
        self._size = 0

    async def of(self, data: bytes, method: str, timeouts: Timeouts) -> HttpAnswer:
        connection = self._connection
        connection.driver = self
        connection.timeouts = timeouts
        connection.send(data, method, asyncio.get_running_loop().time(), complete=True)
        # The caller's own clock ends it; the pool's looks at instants of another one.
        connection.deadline = connection.ends = float("inf")
        try:
            return await self._ended
        except BaseException:
            connection.close()  # what still comes on it is nobody's
            raise

    def advance(self, value: Any = None) -> None:
        arrival: Arrival = value
        self._response, first, done = arrival
        self.content(first, done)
        if not done and not self._ended.done():
            self._connection.stream_to(self)

    def throw(self, error: BaseException) -> None:
        if not self._ended.done():
            self._ended.set_exception(error)

    def content(self, data: bytes, done: bool) -> None:
        response = self._response
        if self._ended.done() or response is None:
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._size > self._limit:
            self.throw(UpstreamFault(Cause.BAD_RESPONSE, f"more than {self._limit} bytes", sent=True))
        elif done:
            body = b"".join(self._pieces)
            self._ended.set_result(HttpAnswer(response.status, response.headers.values, body))

    def fault(self, fault: UpstreamFault) -> None:
        self.throw(fault)


def _place(url: str) -> _Place:
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in _PORTS or not host or _VISIBLE.fullmatch(url) is None or "@" in parts.netloc:
        raise ValueError(f"no URL of a server: {url[:200]}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Place(host, parts.port or _PORTS[parts.scheme], parts.scheme == "https", parts.netloc, target)


def _head(method: str, place: _Place, headers: Iterable[tuple[str, str]], length: int) -> bytes:
    fields = {"host": ("Host", place.shown), "accept-encoding": ("Accept-Encoding", "identity")}
    fields |= {name.lower(): (name, value) for name, value in headers}
    if length or method in ("POST", "PUT", "PATCH"):
        fields["content-length"] = ("Content-Length", str(length))
    if not all(_VISIBLE.fullmatch(name) and _LINE.fullmatch(value) for name, value in fields.values()):
        raise ValueError("a header field with characters that would end its line")
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.values() if value)
    return f"{method} {place.target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_public(address: str) -> bool:
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_global and not found.is_multicast
