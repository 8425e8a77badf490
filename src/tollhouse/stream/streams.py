"""The connections without HTTP of one worker: its listeners, and the snapshot they serve."""

import socket
import ssl

from tollhouse.pdk.tasks import Tasks
from tollhouse.stream.datagrams import DatagramListener
from tollhouse.stream.listener import StreamListener
from tollhouse.stream.snapshot import StreamSnapshot
from tollhouse.telemetry.access_log import AccessLog


class Streams:
    """`serve` must have been called before connections come. Clients have so many seconds for what they
    have to say first."""

    def __init__(self, tasks: Tasks, handshake_seconds: float, access_log: AccessLog | None) -> None:
        self._tasks = tasks
        self._access_log = access_log
        self._handshake_seconds = handshake_seconds
        self._snapshot: StreamSnapshot | None = None
        self._listeners: list[StreamListener | DatagramListener] = []

    def serve(self, snapshot: StreamSnapshot) -> None:
        """Serves another snapshot from now on; open connections stay as they are."""
        self._snapshot = snapshot

    async def listen_for_datagrams(self, sock: socket.socket, port: int) -> None:
        """Takes datagrams on one more socket."""
        listener = DatagramListener(self._current, self._tasks, port, self._access_log)
        await listener.start(sock)
        self._listeners.append(listener)

    def listen(self, sock: socket.socket, port: int, tls: ssl.SSLContext | None) -> None:
        """Accepts connections on one more socket."""
        listener = StreamListener(
            sock,
            self._current,
            self._tasks,
            port=port,
            tls=tls,
            handshake_seconds=self._handshake_seconds,
            access_log=self._access_log,
        )
        listener.start()
        self._listeners.append(listener)

    def _current(self) -> StreamSnapshot:
        if self._snapshot is None:
            raise RuntimeError("there is no snapshot to serve")
        return self._snapshot

    def look(self, now: float) -> None:
        """The clock of all sessions."""
        for listener in self._listeners:
            listener.look(now)

    @property
    def is_idle(self) -> bool:
        return not any(listener.sessions for listener in self._listeners)

    def drain(self) -> None:
        """Stops accepting; sessions go on until their ends close."""
        for listener in self._listeners:
            listener.drain()

    async def close(self) -> None:
        """Cuts what is left."""
        for listener in self._listeners:
            await listener.close()
