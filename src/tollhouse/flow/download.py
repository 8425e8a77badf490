"""Passes a response body on to the client while it arrives, no faster than the client takes it."""

from typing import TYPE_CHECKING, Final

from tollhouse.errors import Cause, PeerError, Reject, UpstreamFault
from tollhouse.flow.drive import DrivenExchange
from tollhouse.upstream.wait import Wait
from tollhouse.wire.body import LAST_CHUNK, chunk

if TYPE_CHECKING:
    from tollhouse.flow.plan import BodyFilter

WHOLE_RESPONSE_LIMIT_BYTES: Final = 64 * 1024 * 1024


class Download(Wait):
    """Streams one response body; awaited until it has passed."""

    __slots__ = ("_chunked", "_ex", "_filters", "_finished", "_writing")

    def __init__(self, ex: DrivenExchange, filters: "tuple[BodyFilter, ...]", *, chunked: bool) -> None:
        self._ex = ex
        self._filters = filters
        self._chunked = chunked

    def begin(self, head: bytes, content: bytes) -> None:
        """Sends the head, with the content that came along with the upstream's."""
        for body_filter in self._filters:
            content = body_filter(self._ex, content, False)
        body = chunk(content) if self._chunked and content else content
        self._ex.bytes_out += len(head) + len(body)
        self._ex.client.write(head + body)

    def content(self, data: bytes, done: bool) -> None:
        ex = self._ex
        try:
            for body_filter in self._filters:
                data = body_filter(ex, data, done)
        except PeerError as error:
            self.driver.throw(UpstreamFault(Cause.BAD_RESPONSE, str(error), sent=True))
            return
        except Exception as error:  # noqa: BLE001 - the exchange's to judge, not the connection's
            self.driver.throw(error)
            return
        if self._chunked:
            data = chunk(data) if data else b""
            if done:
                data += LAST_CHUNK
        if data:
            ex.bytes_out += len(data)
            ex.client.write(data)
        if done:
            self.driver.advance()

    def fault(self, fault: UpstreamFault) -> None:
        self.driver.throw(fault)


class _Whole(Wait):
    """Collects a response body; awaited until it is complete."""

    __slots__ = ("_limit", "_pieces", "_size")

    def __init__(self, content: bytes, limit: int) -> None:
        self._pieces = [content]
        self._size = len(content)
        self._limit = limit

    def content(self, data: bytes, done: bool) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size > self._limit:
            self.driver.throw(Reject(502, "the upstream's answer is too large to be processed"))
        elif done:
            self.driver.advance(b"".join(self._pieces))

    def fault(self, fault: UpstreamFault) -> None:
        self.driver.throw(fault)


async def collect(ex: DrivenExchange, content: bytes) -> bytes:
    """The whole body of the answer under way, for plugins that must see all of it."""
    whole = _Whole(content, WHOLE_RESPONSE_LIMIT_BYTES)
    if ex.connection is not None:
        ex.connection.stream_to(whole)
        content = await whole
        ex.connection = None
    return content
