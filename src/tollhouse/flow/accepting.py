"""Accepts connections where it is ours to say, before the first byte, what becomes of each."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

log = logging.getLogger("tollhouse.server")

#: connections accepted before others get their turn
_AT_ONCE: Final = 64
#: how long nothing is accepted when the node has no more descriptors, in seconds
_PAUSE_SECONDS: Final = 1.0
#: errors of a connection that is waiting, not of the node
_OF_THE_CLIENT: Final = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EINTR})


class Accepting:
    """Hands the connections of a listening socket to `take`, from `start` to `drain`. If it is not started,
    somebody else accepts until then."""

    def __init__(self, sock: socket.socket, take: Callable[[socket.socket], None]) -> None:
        self._socket = sock
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._is_started = self._is_draining = False

    def start(self) -> None:
        self._is_started = True
        self._loop.add_reader(self._socket, self._accept)

    def _stop(self) -> None:
        if self._is_started:
            self._is_started = False
            self._loop.remove_reader(self._socket)

    def drain(self) -> Iterator[socket.socket]:
        """Stops; gives those that the kernel has accepted already, for closing the socket would reset
        clients that did nothing wrong."""
        self._is_draining = True
        self._stop()
        try:
            yield from self._waiting()
        except OSError as error:
            log.error("cannot accept connections: %s", error)

    def _accept(self) -> None:
        try:
            for sock in islice(self._waiting(), _AT_ONCE):
                self._take(sock)
        except OSError as error:
            log.error("cannot accept connections: %s", error)
            # What waits would wake the loop up again and again.
            self._stop()
            self._loop.call_later(_PAUSE_SECONDS, self._go_on)

    def _go_on(self) -> None:
        if not self._is_draining:
            self.start()

    def _waiting(self) -> Iterator[socket.socket]:
        """Raises `OSError` where the node can take no more."""
        while True:
            try:
                sock, _ = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OF_THE_CLIENT:
                    continue
                raise
            sock.setblocking(False)
            yield sock
