"""Looks at what a TLS client says first while the bytes stay where they wait: in the socket.

So TLS can be spoken with the client afterwards, by the loop's own transports, or be passed on untouched.
"""

import asyncio
import socket
from contextlib import suppress

from tollhouse.errors import PeerError
from tollhouse.wire.client_hello import LIMIT_BYTES, ClientHello, read_client_hello


async def peeked(sock: socket.socket, seconds: float) -> ClientHello:
    """The client's first words, once all of them have come. Raises `PeerError`, `OSError`, and
    `TimeoutError` after so many seconds."""
    loop = asyncio.get_running_loop()
    peek = _Peek(sock, loop.create_future())
    loop.add_reader(sock, peek)
    try:
        async with asyncio.timeout(seconds):
            return await peek.found
    finally:
        loop.remove_reader(sock)
        with suppress(OSError):  # the client has gone
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)


class _Peek:
    """Called whenever there is more to look at."""

    def __init__(self, sock: socket.socket, found: "asyncio.Future[ClientHello]") -> None:
        self._sock = sock
        self._seen = 0
        self.found = found

    def __call__(self) -> None:
        if self.found.done():
            return
        try:
            hello = self._look()
        except BlockingIOError:
            return
        except (OSError, PeerError) as error:
            self.found.set_exception(error)
            return
        if hello is not None:
            self.found.set_result(hello)

    def _look(self) -> ClientHello | None:
        data = self._sock.recv(LIMIT_BYTES, socket.MSG_PEEK)
        if len(data) <= self._seen:
            raise PeerError("the client has gone before its handshake")
        self._seen = len(data)
        hello = read_client_hello(data)
        if hello is None:
            if len(data) >= LIMIT_BYTES:
                raise PeerError("a ClientHello that does not end")
            # What was seen stays, so that the loop must be told not to wake up for it again.
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(data) + 1)
        return hello
