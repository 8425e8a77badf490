"""A listening socket for connections without HTTP."""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tollhouse.pdk.tasks import Tasks
from tollhouse.stream.session import Session

if TYPE_CHECKING:
    from tollhouse.stream.snapshot import StreamSnapshot

log = logging.getLogger("tollhouse.stream")

_CLEAR: Final = frozenset({"tcp"})
_TLS: Final = frozenset({"tls", "tls_passthrough"})
#: connections accepted before others get their turn
_AT_ONCE: Final = 64
#: how long nothing is accepted when the node has no more descriptors, in seconds
_PAUSE_SECONDS: Final = 1.0
#: errors of a connection that is waiting, not of the node
_OF_THE_CLIENT: Final = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EINTR})


class StreamListener:
    """Accepts connections on one socket. `tls` is for those whose TLS ends here; with it, clients have to
    speak TLS."""

    def __init__(
        self,
        sock: socket.socket,
        snapshot: Callable[[], "StreamSnapshot"],
        tasks: Tasks,
        *,
        port: int,
        tls: ssl.SSLContext | None,
        handshake_seconds: float,
    ) -> None:
        self._socket = sock
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        #: what is served now
        self.snapshot = snapshot
        self.port = port
        self.tls = tls
        self.protocols = _TLS if tls is not None else _CLEAR
        self.handshake_seconds = handshake_seconds
        self.sessions: dict[Session, asyncio.Task[None]] = {}
        self._draining = False

    def start(self) -> None:
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            if not self._accept_one():
                return

    def _accept_one(self) -> bool:
        """Takes a connection that waits, if one does."""
        try:
            sock, _ = self._socket.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _OF_THE_CLIENT:
                self._rest(error)
                return False
            return True
        sock.setblocking(False)
        session = Session(sock, self)
        self.sessions[session] = self._tasks.spawn(self._serve(session), "stream session")
        return True

    async def _serve(self, session: Session) -> None:
        try:
            await session.serve()
        finally:
            del self.sessions[session]

    def _rest(self, error: OSError) -> None:
        log.error("cannot accept connections: %s", error)
        self._loop.remove_reader(self._socket)
        self._loop.call_later(_PAUSE_SECONDS, self._go_on)

    def _go_on(self) -> None:
        if not self._draining:
            self.start()

    def look(self, now: float) -> None:
        """The clock of all sessions."""
        for session in list(self.sessions):
            session.look(now)

    def drain(self) -> None:
        """Stops accepting; sessions go on until their ends close. Connections that the kernel has accepted
        already are served as well."""
        self._draining = True
        self._loop.remove_reader(self._socket)
        while self._accept_one():
            pass
        self._socket.close()

    async def close(self) -> None:
        """Cuts what is left."""
        tasks = list(self.sessions.values())
        for session, task in list(self.sessions.items()):
            session.abort()
            if not session.is_relaying:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
