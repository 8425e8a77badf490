"""After `101 Switching Protocols` (WebSocket): bytes both ways, until either end closes."""

from time import perf_counter
from typing import TYPE_CHECKING

from tollhouse.errors import Cause, UpstreamFault
from tollhouse.flow.drive import DrivenExchange
from tollhouse.pdk.exchange import Response
from tollhouse.upstream.wait import Wait

if TYPE_CHECKING:
    from tollhouse.flow.gateway import Gateway


class _Tunnel(Wait):
    """Passes bytes between the two connections; awaited until one of them ends."""

    __slots__ = ("_ex",)

    def __init__(self, ex: DrivenExchange) -> None:
        self._ex = ex

    def content(self, data: bytes, done: bool) -> None:
        self._ex.bytes_out += len(data)
        self._ex.client.write(data)
        if done:
            self.driver.advance()

    def fault(self, fault: UpstreamFault) -> None:
        self.driver.advance()


async def tunnel(ex: DrivenExchange, gateway: "Gateway", response: Response, content: bytes) -> None:
    """Joins client and upstream once the upstream has switched protocols."""
    connection, client = ex.connection, ex.client
    if connection is None or "upgrade" not in ex.request.headers.values:
        raise UpstreamFault(Cause.BAD_RESPONSE, "switched protocols without being asked", sent=True)
    upgrade = response.headers.values.get("upgrade", "")
    fields = f"Connection: Upgrade\r\nUpgrade: {upgrade}\r\n" if upgrade else "Connection: Upgrade\r\n"
    kept = response.headers.without(frozenset({"connection", "upgrade"}))
    ex.head_sent = True
    client.write(
        response.line + kept + (fields + gateway.proxied_headers(ex) + "\r\n").encode("latin-1") + content
    )
    joined = _Tunnel(ex)
    client.source = connection
    connection.source = client
    connection.stream_to(joined)
    client.tunnel_to(connection.write)
    try:
        await joined
    finally:
        connection.close()
        ex.connection = None
        ex.ended_at = perf_counter()
    client.finish(keep_alive=False)
