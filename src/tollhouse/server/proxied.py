"""Reads what a balancer in front says of a connection while the rest stays where it waits: in the socket.

So TLS and HTTP go on by the loop's own transports, as on any other listener.
"""

import asyncio
import socket
from contextlib import suppress

from tollhouse.errors import PeerError
from tollhouse.wire.proxy_protocol import LIMIT_BYTES, read_proxy_head


async def told_client(sock: socket.socket, seconds: float) -> str | None:
    """The client that the PROXY protocol names, and its head taken from the socket. Raises `PeerError`,
    `OSError`, and `TimeoutError` after so many seconds."""
    async with asyncio.timeout(seconds):
        try:
            return await _told_client(sock)
        finally:
            with suppress(OSError):  # the peer has gone
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)


async def _told_client(sock: socket.socket) -> str | None:
    seen = 0
    while True:
        await _readable(sock)
        try:
            data = sock.recv(LIMIT_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            continue
        if len(data) <= seen:
            raise PeerError("the peer has gone before it said who the client is")
        told = read_proxy_head(data)
        if told is not None:
            sock.recv(told.size)
            return told.client_ip
        seen = len(data)
        # What was seen stays, so that the loop must be told not to wake up for it again.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, seen + 1)


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, _settle, arrived)
    try:
        await arrived
    finally:
        loop.remove_reader(sock)


def _settle(arrived: "asyncio.Future[None]") -> None:
    if not arrived.done():
        arrived.set_result(None)
