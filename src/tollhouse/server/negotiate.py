"""Decides which HTTP a new connection of an `http2` listener speaks: by ALPN, or by its first bytes."""

import asyncio
from typing import TYPE_CHECKING, Final, cast

from tollhouse.server.connection import ClientConnection

if TYPE_CHECKING:
    from tollhouse.server.listen import Listener

#: RFC 9113 3.4
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class FirstBytes(asyncio.Protocol):
    """Stands in until it is known who takes the connection over."""

    flow = None
    requests = 0

    def __init__(self, listener: "Listener", told_ip: str | None = None) -> None:
        self._listener = listener
        self.told_ip = told_ip
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._deadline = listener.now() + listener.limits.header_seconds

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        secured = transport.get_extra_info("ssl_object")
        if secured is not None:
            self._hand_over(is_http2=secured.selected_alpn_protocol() == "h2")
        else:
            self._listener.connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) >= len(_PREFACE) or not _PREFACE.startswith(self._received):
            self._listener.connections.discard(self)
            self._hand_over(is_http2=self._received.startswith(_PREFACE))

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.connections.discard(self)

    def _hand_over(self, *, is_http2: bool) -> None:
        transport = self._transport
        if transport is None:
            return
        successor: asyncio.Protocol
        if is_http2:
            from tollhouse.server.http2 import Http2Connection

            successor = Http2Connection(self._listener, self.told_ip)
        else:
            successor = ClientConnection(self._listener, self.told_ip)
        transport.set_protocol(successor)
        successor.connection_made(transport)
        if self._received:
            successor.data_received(self._received)

    def look(self, now: float) -> None:
        """Ends it if nothing comes."""
        if self._deadline <= now:
            self.abort()

    def drain(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
