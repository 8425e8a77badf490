"""After `101 Switching Protocols` (WebSocket): bytes both ways, until the target or the client has gone.

A client that closes its sending side only, as TCP lets it, still gets what the target sends.
"""

from time import perf_counter

from tollhouse.errors import UpstreamFault
from tollhouse.flow.drive import DrivenExchange
from tollhouse.pdk.wait import Wait
from tollhouse.upstream.http1 import UpstreamConnection


class _Tunnel(Wait):
    """Passes bytes between the two connections; awaited until one of them ends."""

    __slots__ = ("_connection", "_ex")

    def __init__(self, ex: DrivenExchange, connection: UpstreamConnection) -> None:
        self._ex = ex
        self._connection = connection

    def client_data(self, data: bytes) -> None:
        self._ex.request.received += len(data)
        self._connection.heard = True  # bytes either way keep a tunnel from being idle
        self._connection.write(data)

    def client_ended(self) -> None:
        self._connection.write_eof()

    def content(self, data: bytes, done: bool) -> None:
        self._ex.bytes_out += len(data)
        self._ex.client.write(data)
        if done:
            self.driver.advance()

    def fault(self, fault: UpstreamFault) -> None:
        self.driver.advance()


async def tunnel(ex: DrivenExchange, connection: UpstreamConnection, beginning: bytes) -> None:
    """Joins client and target; `beginning` is what the client gets first."""
    client = ex.client
    joined = _Tunnel(ex, connection)
    client.source = connection
    connection.source = client
    joined.content(beginning, done=False)
    connection.stream_to(joined)
    if client.writing_paused:
        connection.pause_reading()
    client.tunnel_to(joined)
    try:
        await joined
    finally:
        connection.hang_up()
        ex.connection = None
        ex.ended_at = perf_counter()
    client.finish(keep_alive=False)
