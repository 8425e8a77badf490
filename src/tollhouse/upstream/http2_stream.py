"""One exchange on an HTTP/2 connection to a target.

To the flow a stream is a connection like any other. So each is an `UpstreamConnection` over a transport
that turns the HTTP/1.1 it writes into frames, and frames into the HTTP/1.1 it reads.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from tollhouse.errors import Cause, UpstreamFault
from tollhouse.upstream.http1 import UpstreamConnection
from tollhouse.upstream.pool import Pool
from tollhouse.wire.body import LAST_CHUNK, chunk
from tollhouse.wire.message import Field, WrittenMessage

if TYPE_CHECKING:
    from tollhouse.upstream.http2 import Http2Link

STREAM_WINDOW_BYTES: Final = 131072
_HIGH_WATER_BYTES: Final = 65536
_LOW_WATER_BYTES: Final = 16384


class StreamConnection(UpstreamConnection):
    """One exchange on a stream."""

    __slots__ = ("_stream", "request_trailers", "trailers")

    def __init__(self, pool: Pool, carried: int, stream: "Stream") -> None:
        super().__init__(pool)
        self.carried = carried
        self.trailers = b""
        self.request_trailers: Sequence[Field] = ()
        self._stream = stream

    def pass_trailers(self, fields: Sequence[Field]) -> None:
        """Fields to send after the request's content."""
        self.request_trailers = fields

    def sent(self) -> None:
        """The request body is complete."""
        super().sent()
        self._stream.end()

    def refused(self) -> None:
        """The target has not looked at the request: it may be sent again."""
        self._fail(UpstreamFault(Cause.RESET, "the target takes no more streams", sent=False))


class Stream(asyncio.Transport):
    """The transport of one exchange."""

    def __init__(self, link: "Http2Link", pool: Pool, carried: int) -> None:
        super().__init__()
        self._link = link
        self.id = 0
        self.connection = StreamConnection(pool, carried, self)
        self._message = WrittenMessage(is_request=True)
        self.head: list[Field] | None = None
        self.pending = bytearray()
        self._blocked = False
        self._paused = False
        self._held: list[bytes] = []
        self._chunked = False
        #: bytes that the target has not been given back as window
        self._taken = 0
        #: whether the end of the request has been sent
        self.is_sent = False
        self.closed = False
        self.connection.connection_made(self)

    # What the exchange does with its transport

    def write(self, data: Any) -> None:
        heads, content = self._message.feed(data)
        for line, fields in heads:
            self.head = list(self._link.request_fields(line, fields))
            self._link.open(self)
        self.pending += content
        self._link.send_pending(self)
        self._balance()

    def end(self) -> None:
        """Nothing more will be written: what comes after the content may be sent."""
        self._link.send_pending(self)

    def get_write_buffer_size(self) -> int:
        return len(self.pending)

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            # Not here and now: this may be called by what would be given more.
            self._link.call_soon(self._deliver_held)

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self._link.cancel(self)

    # What the connection tells it

    @property
    def is_written(self) -> bool:
        # All of an announced length may be there, and trailers still come.
        return self._message.done and not self.connection.sending

    @property
    def trailers(self) -> Sequence[Field]:
        return self.connection.request_trailers

    def sent_some(self) -> None:
        self.connection.heard = True
        self._balance()

    def _balance(self) -> None:
        waiting = len(self.pending)
        if waiting > _HIGH_WATER_BYTES and not self._blocked:
            self._blocked = True
            self.connection.pause_writing()
        elif waiting < _LOW_WATER_BYTES and self._blocked:
            self._blocked = False
            self.connection.resume_writing()

    def answered(self, fields: list[Field], *, ended: bool) -> None:
        """The head of the answer."""
        head = dict(fields)
        lines = [b"HTTP/1.1 %b " % head.get(b":status", b"")]
        is_grpc = head.get(b"content-type", b"").startswith(b"application/grpc")
        self._chunked = not ended and (is_grpc or b"content-length" not in head)
        for name, value in fields:
            if not name.startswith(b":") and not (self._chunked and name == b"content-length"):
                lines.append(b"%b: %b" % (name, value))
        if self._chunked:
            lines.append(b"transfer-encoding: chunked")
        elif b"content-length" not in head:
            lines.append(b"content-length: 0")
        self._deliver(b"\r\n".join(lines) + b"\r\n\r\n")

    def received(self, data: bytes, size: int) -> None:
        """Content of the answer, and how much of the window it has taken."""
        self._taken += size
        if data:
            self._deliver(chunk(data) if self._chunked else data)
        self._give_window()

    def ended(self) -> None:
        if self._chunked:
            self._deliver(LAST_CHUNK)

    def _deliver(self, data: bytes) -> None:
        if self._paused or self._held:
            self._held.append(data)
        elif not self.closed:
            self.connection.data_received(data)

    def _deliver_held(self) -> None:
        while self._held and not self._paused and not self.closed:
            self.connection.data_received(self._held.pop(0))
        self._give_window()

    def _give_window(self) -> None:
        if not self._paused and self._taken > STREAM_WINDOW_BYTES // 4 and not self.closed:
            taken, self._taken = self._taken, 0
            self._link.give_window(self, taken)
