"""A listening socket for connections without HTTP."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tollhouse.flow.accepting import Accepting
from tollhouse.pdk.tasks import Tasks
from tollhouse.stream.session import Session
from tollhouse.telemetry.access_log import AccessLog

if TYPE_CHECKING:
    from tollhouse.stream.snapshot import StreamSnapshot

_CLEAR: Final = frozenset({"tcp"})
_TLS: Final = frozenset({"tls", "tls_passthrough"})


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
        access_log: AccessLog | None,
    ) -> None:
        self._socket = sock
        self._accepting = Accepting(sock, self._begin)
        self._tasks = tasks
        #: what is served now
        self.snapshot = snapshot
        self.port = port
        self.tls = tls
        self.protocols = _TLS if tls is not None else _CLEAR
        self.handshake_seconds = handshake_seconds
        self._access_log = access_log
        self.sessions: dict[Session, asyncio.Task[None]] = {}

    def start(self) -> None:
        self._accepting.start()

    def _begin(self, sock: socket.socket) -> None:
        session = Session(sock, self)
        self.sessions[session] = self._tasks.spawn(self._serve(session), "stream session")

    async def _serve(self, session: Session) -> None:
        try:
            await session.serve()
            if self._access_log is not None:
                self._access_log.session(session)
        finally:
            del self.sessions[session]

    def look(self, now: float) -> None:
        """The clock of all sessions."""
        for session in list(self.sessions):
            session.look(now)

    def drain(self) -> None:
        """Stops accepting; sessions go on until their ends close. Connections that the kernel has accepted
        already are served as well."""
        for sock in self._accepting.drain():
            self._begin(sock)
        self._socket.close()

    async def close(self) -> None:
        """Cuts what is left."""
        tasks = list(self.sessions.values())
        for session, task in list(self.sessions.items()):
            session.abort()
            if not session.is_relaying:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
