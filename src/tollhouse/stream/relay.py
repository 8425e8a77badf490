"""The two ends of a relayed connection: what one receives the other sends, no faster than it is taken."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Final, cast

from tollhouse.upstream.http1 import Timeouts

#: what `SO_LINGER` is set to for closing with a reset: on, no seconds
_RESET: Final = struct.pack("ii", 1, 0)


class End(asyncio.Protocol):
    """One end. Bytes that come before there is another end are kept, and no more are read."""

    __slots__ = (
        "_early",
        "_eof",
        "_gone",
        "_half_open",
        "_is_broken",
        "_transport",
        "blocked",
        "other",
        "received",
        "sent",
    )

    def __init__(self, gone: Callable[[], None]) -> None:
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._eof = self._is_broken = False
        #: whether it may go on sending after it has received all
        self._half_open = False
        self.other: End | None = None
        #: it takes no more for now
        self.blocked = False
        self.received = 0
        self.sent = 0

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._half_open = self._transport.can_write_eof()
        self._transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.other is None:
            self._early.append(data)
        else:
            self.other.write(data)

    def eof_received(self) -> bool:
        """The far end sends no more; it may still receive, unless one of the two speaks TLS, in which
        nobody can end one direction alone."""
        self._eof = True
        if self.other is not None:
            self.other.end_writing()
            return self._half_open and not self.other.has_ended
        return self._half_open

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._is_broken = exc is not None
        if self.other is not None:
            self._end_other(self.other)
        self._gone()

    def pause_writing(self) -> None:
        self.blocked = True
        if self.other is not None:
            self.other.pause_reading()

    def resume_writing(self) -> None:
        self.blocked = False
        if self.other is not None:
            self.other.resume_reading()

    # The relay's side

    @property
    def has_ended(self) -> bool:
        """Whether it sends no more."""
        return self._eof or self._transport is None

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    @property
    def unsent(self) -> int:
        """Bytes that wait for being taken."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    @property
    def tls(self) -> ssl.SSLObject | None:
        """TLS that ends here."""
        secured = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        return secured if isinstance(secured, ssl.SSLObject) else None

    def write(self, data: bytes) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing():
            self.sent += len(data)
            transport.write(data)

    def end_writing(self) -> None:
        """Passes on that the other end sends no more."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._eof or not self._half_open:
            transport.close()
        else:
            transport.write_eof()

    def pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Ends it when all is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Ends it at once, by a reset: an end in order would say that nothing is missing."""
        transport = self._transport
        if transport is None:
            return
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            with suppress(OSError):  # it is closed already
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()

    def join(self, other: "End") -> None:
        """What has come already goes to the other end."""
        self.other = other
        early, self._early = self._early, []
        for data in early:
            other.write(data)
        if self._transport is None:
            self._end_other(other)
        elif self._eof:
            other.end_writing()
        elif not other.blocked:
            self.resume_reading()

    def _end_other(self, other: "End") -> None:
        if self._is_broken:  # the far side must see that something is missing
            other.abort()
        else:
            other.close()


class Relay:
    """Both ends, joined, and how long they may rest."""

    def __init__(self, client: End, upstream: End, timeouts: Timeouts, now: float) -> None:
        self._client, self._upstream, self._timeouts = client, upstream, timeouts
        self._seen = (-1, -1, -1, -1)
        self._since = now
        self._is_closing = False
        client.join(upstream)
        upstream.join(client)

    def look(self, now: float) -> None:
        """Ends what has rested too long; called a few times a second. Bytes either way keep it alive;
        where an end takes no more, what counts is how long it has taken nothing."""
        client, upstream = self._client, self._upstream
        seen = (client.received, upstream.received, client.unsent, upstream.unsent)
        if seen != self._seen:
            self._seen, self._since = seen, now
            return
        is_stuck = client.blocked or upstream.blocked
        if now - self._since <= (self._timeouts.write if is_stuck else self._timeouts.read):
            return
        self._since = now
        if is_stuck or self._is_closing:
            client.abort()
            upstream.abort()
        else:  # an end that does not even take its last bytes is cut the next time
            self._is_closing = True
            client.close()
            upstream.close()
