"""Passes a response body on to the client while it arrives, no faster than the client takes it."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tollhouse.errors import Cause, PeerError, Reject, UpstreamFault
from tollhouse.flow.drive import DrivenExchange
from tollhouse.pdk.wait import Wait
from tollhouse.wire.body import LAST_CHUNK, chunk

if TYPE_CHECKING:
    from tollhouse.flow.plan import BodyFilter

log = logging.getLogger("tollhouse.flow")

WHOLE_RESPONSE_LIMIT_BYTES: Final = 64 * 1024 * 1024


#: so much of a body is held back at most before its head goes out, in bytes
HELD_LIMIT_BYTES: Final = 256 * 1024


class Download(Wait):
    """Streams one response body; awaited until it has passed.

    The head goes out with the first content. Where a plugin holds it (`Exchange.holds_head`), it waits
    together with all content until that plugin lets it go, or the body ends.
    """

    __slots__ = ("_chunked", "_end", "_ex", "_filters", "_head", "_held")

    def __init__(
        self,
        ex: DrivenExchange,
        filters: "tuple[BodyFilter, ...]",
        head: Callable[[], bytes],
        *,
        chunked: bool,
    ) -> None:
        self._ex = ex
        self._filters = filters
        self._head: Callable[[], bytes] | None = head
        self._held = b""
        self._chunked = chunked
        self._end = LAST_CHUNK

    def begin(self, content: bytes) -> None:
        """Takes the content that came along with the upstream's head."""
        ex = self._ex
        try:
            for body_filter in self._filters:
                content = body_filter(ex, content, False)
        except PeerError as error:
            raise UpstreamFault(Cause.BAD_RESPONSE, str(error), sent=True) from error
        if ex.holds_head:
            self._held = content
        else:
            self._pass(content, False)

    def _pass(self, data: bytes, done: bool) -> None:
        """Writes what the client gets now, the head before all else."""
        ex, head = self._ex, b""
        if self._head is not None:
            head, data = self._head(), self._held + data
            ex.head_bytes = len(head)
            self._head, self._held = None, b""
            ex.head_sent = True
        if self._chunked:
            data = chunk(data) if data else b""
            if done:
                data += self._end
        if head:
            data = head + data
        if data:
            ex.bytes_out += len(data)
            ex.client.write(data)

    def content(self, data: bytes, done: bool) -> None:
        ex = self._ex
        if done:
            # It is free for another request, which a client that takes no more of this answer must not stop.
            connection, ex.connection, ex.client.source = ex.connection, None, None
            if connection is not None and connection.trailers and takes_trailers(ex):
                self._end = b"0\r\n" + connection.trailers + b"\r\n"
        try:
            for body_filter in self._filters:
                data = body_filter(ex, data, done)
        except PeerError as error:
            self._break_off(UpstreamFault(Cause.BAD_RESPONSE, str(error), sent=True))
            return
        except UpstreamFault as fault:
            self._break_off(fault)
            return
        except Exception as error:  # noqa: BLE001 - the exchange's to judge, not the connection's
            self.driver.throw(error)
            return
        if ex.holds_head and not done:
            self._held += data
            if len(self._held) <= HELD_LIMIT_BYTES:
                return
            ex.holds_head, data = False, b""
        self._pass(data, done)
        if done:
            self.driver.advance()

    def _break_off(self, fault: UpstreamFault) -> None:
        """What comes of the upstream is no good."""
        connection, self._ex.connection = self._ex.connection, None
        if connection is not None:
            connection.close()
        self.fault(fault)

    def fault(self, fault: UpstreamFault) -> None:
        ex = self._ex
        if self._head is not None or ex.last_words is None:
            self.driver.throw(fault)
            return
        ex.connection = None
        log.info("exchange %s: %s", ex.request_id, fault)
        self._pass(ex.last_words(fault), True)
        self.driver.advance()


def takes_trailers(ex: DrivenExchange) -> bool:
    """RFC 9110 6.5.1: in HTTP/1.1 only for those who say so."""
    return ex.client.protocol_version == "2" or "trailers" in ex.request.headers.values.get("te", "").lower()


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
