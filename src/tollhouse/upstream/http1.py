"""One HTTP/1.1 connection to a target."""

import asyncio
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import msgspec

from tollhouse.errors import Cause, PeerError, UpstreamFault
from tollhouse.pdk.messages import Response
from tollhouse.pdk.wait import Wait
from tollhouse.wire.body import BodyReader, body_reader
from tollhouse.wire.http1 import NO_BODY, UNTIL_CLOSE
from tollhouse.wire.message import Field

if TYPE_CHECKING:
    from tollhouse.upstream.pool import Pool

HEAD_LIMIT_BYTES: Final = 65536
NEVER: Final = float("inf")

#: A response head, the content that came with it, and whether that is the whole body.
Arrival = tuple[Response, bytes, bool]


class Timeouts(msgspec.Struct, frozen=True, cache_hash=True):
    """A service's timeouts in seconds: to connect, between two reads, between two writes; until the
    answer begins, and until it has ended."""

    connect: float = 60.0
    read: float = 60.0
    write: float = 60.0
    #: 0: as between two reads
    first: float = 0.0
    total: float = NEVER


_DEFAULT_TIMEOUTS: Final = Timeouts()


class Sink(Protocol):
    """Takes a response body as it arrives."""

    def content(self, data: bytes, done: bool) -> None: ...

    def fault(self, fault: UpstreamFault) -> None: ...


class BodySource(Protocol):
    """Whoever feeds a request body; told when the target takes no more for now."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def _discard(data: bytes) -> None:
    """Takes the place of writing once the connection has gone."""


class UpstreamConnection(asyncio.Protocol, Wait):
    """One connection to a target; it carries one request at a time.

    A flow sends with `send`, then awaits the connection itself for the `Arrival`, then gives a `Sink`
    for a body that was not complete. Instants are seconds of the caller's clock.
    """

    __slots__ = (
        "_blocked",
        "_body",
        "_buffer",
        "_method",
        "_sink",
        "_transport",
        "_unsent",
        "_waiting",
        "carried",
        "deadline",
        "ends",
        "heard",
        "idle_since",
        "keep_alive",
        "pool",
        "sending",
        "source",
        "timeouts",
        "watch",
        "write",
    )

    #: lines after the content of the answer; only HTTP/2 passes them on
    trailers = b""

    def __init__(self, pool: "Pool") -> None:
        self.pool = pool
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._method = "GET"
        self._body: BodyReader | None = None
        self._sink: Sink | None = None
        self._waiting = False
        #: the target takes no more for now; how much waits for it
        self._blocked = False
        self._unsent = 0
        #: sends more of the request body; what is written to a target that has gone is dropped
        self.write: Callable[[bytes], None] = _discard
        #: requests carried so far
        self.carried = 0
        self.keep_alive = True
        #: whether the request body is still being sent
        self.sending = False
        self.source: BodySource | None = None
        #: something arrived or left since the pool's clock last looked
        self.heard = False
        self.deadline = NEVER
        #: when the answer must have ended
        self.ends = NEVER
        #: asked at each look while a body streams: why it must end
        self.watch: Callable[[float], str | None] | None = None
        self.timeouts = _DEFAULT_TIMEOUTS
        self.idle_since = 0.0

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.write = self._transport.write

    def data_received(self, data: bytes) -> None:
        self.heard = True
        try:
            if self._waiting:
                self._head(data)
            elif self._body is not None:
                self._more_body(self._body, data)
            else:
                # Nothing was asked: whatever this is, the connection cannot be trusted any longer.
                self.close()
        except PeerError as error:
            self._fail(UpstreamFault(Cause.BAD_RESPONSE, str(error), sent=True))

    def eof_received(self) -> None:
        body = self._body
        if body is None:
            self.pool.forget(self)
            return
        try:
            body.eof()
        except PeerError as error:
            self._fail(UpstreamFault(Cause.TRUNCATED, str(error), sent=True))
            return
        self._body = None
        sink, self._sink = self._sink, None
        self.close()
        if sink is not None:
            sink.content(b"", True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.write = _discard
        self.pool.forget(self)
        if self._waiting:
            self._fail(UpstreamFault(Cause.RESET, str(exc or "closed without an answer"), sent=True))
        elif self._body is not None:
            self._fail(UpstreamFault(Cause.TRUNCATED, str(exc or "closed inside the body"), sent=True))

    def pause_writing(self) -> None:
        self._blocked = self.heard = True
        if self.source is not None:
            self.source.pause_reading()

    def resume_writing(self) -> None:
        self._blocked = False
        self.heard = True
        if self.source is not None:
            self.source.resume_reading()

    # The flow's side

    def send(self, data: bytes, method: str, now: float, *, complete: bool) -> None:
        """Sends a request head and what there is of its body. Await the connection for the answer."""
        timeouts = self.timeouts
        self._method = method
        self._waiting = True
        self.carried += 1
        self.sending = not complete
        self.deadline = now + (timeouts.first or timeouts.read)
        self.ends = now + timeouts.total
        self.write(data)

    def pass_trailers(self, fields: Sequence[Field]) -> None:
        """Fields after the request's content, before its end is sent: HTTP/1.1 drops them, as nginx does."""

    def sent(self) -> None:
        """The request body is complete."""
        self.sending = False
        self.heard = True
        self.source = None

    def __await__(self) -> Generator[Wait, Any, Arrival]:
        arrival: Arrival = yield self
        return arrival

    def stream_to(self, sink: Sink) -> None:
        """Hands over the body of the answer that was announced as not done."""
        self._sink = sink
        self.resume_reading()

    def pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
            self.deadline = NEVER

    def resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self.heard = True
            self.deadline = 0.0

    def write_eof(self) -> None:
        """Nothing more will be written, but the target may go on."""
        if self._transport is not None and not self._transport.is_closing():
            if self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()

    def close(self) -> None:
        """Ends the connection at once; whoever waits for it is not told."""
        self._let_go()
        if self._transport is not None:
            self._transport.abort()

    def hang_up(self) -> None:
        """Ends the connection once the target has what was written; whoever waits for it is not told."""
        self._let_go()
        if self._transport is not None:
            self._transport.close()

    def _let_go(self) -> None:
        self._waiting = False
        self._sink = self._body = self.source = None
        self.write = _discard
        self.deadline = self.ends = NEVER
        self.watch = None
        self.pool.forget(self)

    # Waiting

    def look(self, now: float) -> None:
        """Ends what has waited too long; called a few times a second.

        Deadlines move by a flag that is read once in a while: that keeps the clock out of every chunk.
        """
        if self._blocked and self._transport is not None:
            unsent = self._transport.get_write_buffer_size()
            if unsent != self._unsent:
                self._unsent = unsent
                self.heard = True
        if self.heard:
            self.heard = False
            if self.deadline != NEVER:
                self.deadline = now + self._span()
        elif self.deadline <= now:
            self._expire(now)
            return
        if self.ends <= now and (self._waiting or self._body is not None):
            self._fail(UpstreamFault(Cause.READ_TIMEOUT, "the answer did not end in time", sent=True))
        elif self.watch is not None and self.deadline != NEVER and self._body is not None:
            reason = self.watch(now)
            if reason is not None:
                self._fail(UpstreamFault(Cause.READ_TIMEOUT, reason, sent=True))

    def _span(self) -> float:
        """How long to wait now, in seconds."""
        timeouts = self.timeouts
        if self._blocked:
            return timeouts.write
        return (timeouts.first or timeouts.read) if self._waiting else timeouts.read

    def _expire(self, now: float) -> None:
        if self._blocked:
            self._fail(UpstreamFault(Cause.SEND_TIMEOUT, "the target took no more", sent=True))
        elif self.sending:
            self.deadline = now + self._span()  # it is the client that keeps everybody waiting
        else:
            self._fail(UpstreamFault(Cause.READ_TIMEOUT, "the target did not answer in time", sent=True))

    # Receiving

    def _head(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        while True:
            head, found, rest = data.partition(b"\r\n\r\n")
            if not found:
                if len(data) > HEAD_LIMIT_BYTES:
                    raise PeerError("response head too large")
                self._buffer = data
                return
            response = self.pool.reader.read(head, self._method)
            if response.status >= 200 or response.status == 101:
                break
            data = rest.lstrip(b"\r\n")  # some servers send empty lines after an interim answer
        self._buffer = b""
        response.from_upstream = True
        if response.status == 101:
            self._begin_body(response, UNTIL_CLOSE, rest)
            return
        self.keep_alive = response.keep_alive
        framing = response.body
        if framing == len(rest):
            self._waiting = False
            self.deadline = NEVER
            if self.keep_alive and not self.sending:
                self.pool.release(self)
            else:
                self.close()
            self.driver.advance((response, rest, True))
        elif framing == NO_BODY:
            self._surplus()
            self._waiting = False
            self._release()
            self.driver.advance((response, b"", True))
        else:
            self._begin_body(response, framing, rest)

    def _begin_body(self, response: Response, framing: int, data: bytes) -> None:
        reader = body_reader(framing)
        content = reader.feed(data) if data else b""
        if reader.rest:
            self._surplus()
        self._waiting = False
        if reader.done:
            self._release()
            self.driver.advance((response, content, True))
            return
        self._body = reader
        self.driver.advance((response, content, False))
        if self._sink is None and self._body is reader:
            # The flow is busy before it can take more: what comes now waits in the socket.
            self.pause_reading()

    def _more_body(self, reader: BodyReader, data: bytes) -> None:
        content = reader.feed(data)
        if reader.rest:
            self._surplus()
        sink = self._sink
        if reader.done:
            self._sink = self._body = None
            self._release()
            if sink is not None:
                sink.content(content, True)
        elif content and sink is not None:
            sink.content(content, False)

    def _surplus(self) -> None:
        """Bytes after the end of an answer: nobody asked for them, and nobody else must get them."""
        if not self.keep_alive:
            raise PeerError("bytes after an answer that was to be the last")
        self.keep_alive = False

    def _release(self) -> None:
        self.deadline = NEVER
        self.watch = None
        if self.keep_alive and not self.sending:
            self.pool.release(self)
        else:
            self.close()

    def _fail(self, fault: UpstreamFault) -> None:
        waiting, sink = self._waiting, self._sink
        self.close()
        if waiting:
            self.driver.throw(fault)
        elif sink is not None:
            sink.fault(fault)
