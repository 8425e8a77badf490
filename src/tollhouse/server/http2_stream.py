"""One request and its answer on an HTTP/2 connection: the client that a flow knows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tollhouse.errors import BadRequest, ClientGone, PeerError, Reject
from tollhouse.flow.client import Running, Source, TunnelEnd, goes_on_without
from tollhouse.pdk.messages import Request
from tollhouse.server.request_body import RequestBody
from tollhouse.wire.message import Field, FramedReader, WrittenMessage

if TYPE_CHECKING:
    from tollhouse.server.http2 import Http2Connection

#: what a client that takes nothing may have waiting here before its source pauses, and when it goes on
_HIGH_WATER_BYTES: Final = 65536
_LOW_WATER_BYTES: Final = 16384
_NOT_MADE: Final = "\n"


class Http2Stream:
    """The flow writes HTTP/1.1; here it becomes fields and data, sent as far as the client has windows."""

    __slots__ = (
        "_message",
        "_reader",
        "_stalled_since",
        "body",
        "certificates",
        "connection",
        "flow",
        "forwarded",
        "forwarded_host",
        "head",
        "id",
        "number",
        "peer_ip",
        "peer_name",
        "peer_port",
        "pending",
        "port",
        "reading_paused",
        "request_ended",
        "request_trailers",
        "requests",
        "scheme",
        "sni",
        "source",
        "taken",
        "tls",
        "told_ip",
        "writing_paused",
    )

    protocol_version = "2"

    def __init__(self, connection: "Http2Connection", id_: int) -> None:
        self.connection = connection
        self.id = id_
        self.scheme, self.port = connection.scheme, connection.port
        self.peer_ip, self.peer_port = connection.peer_ip, connection.peer_port
        self.told_ip = connection.told_ip
        self.number, self.requests = connection.number, connection.requests
        self.sni, self.peer_name = connection.sni, connection.peer_name
        self.certificates = connection.certificates
        self.tls = connection.tls
        self.flow: Running | None = None
        self.body: RequestBody | None = None
        self.source: Source | None = None
        self.forwarded = ""
        self.forwarded_host: str | None = _NOT_MADE
        self.writing_paused = self.reading_paused = False
        self._message = WrittenMessage()
        self._reader: FramedReader | None = None
        self._stalled_since = 0.0
        #: whether the client has sent all of its request
        self.request_ended = False
        self.request_trailers: Sequence[Field] = ()
        #: fields of the answer that wait to be sent; `None` before and after that
        self.head: list[Field] | None = None
        #: content of the answer that waits to be sent
        self.pending = bytearray()
        #: bytes of the request body that the client has not been given back as window
        self.taken = 0

    # The connection's side

    def begin(self, request: Request, *, ended: bool) -> None:
        """Starts the exchange of a request, whose body is still to come unless it has `ended`."""
        limits = self.connection.limits
        self._message = WrittenMessage(without_body=request.method == "HEAD")
        request.received = 0
        self.request_ended = ended
        if ended:
            request.content = b""
        else:
            most = limits.body_bytes or 1 << 62
            if request.body > most:
                raise BadRequest("the request body is too large", 413)
            request.content = None
            # The last frame ends it, also where a length was announced: trailers may come before that. That
            # it has that length is h2's to see to.
            self._reader = FramedReader()
            self.body = RequestBody(
                self,
                request,
                self._reader,
                limits.window_bytes,
                most,
                expects_continue=request.expects_continue,
            )
        self.connection.listener.begin(self, request)

    def received(self, data: bytes, *, ended: bool) -> None:
        """Bytes of the request body."""
        self.request_ended |= ended
        body, reader = self.body, self._reader
        if body is None or body.done:
            return
        if ended and reader is not None:
            reader.done = True
        try:
            rest = body.feed(data)
        except (PeerError, Reject) as error:
            self.abandon(error)
            return
        if rest is not None and self.body is body:
            self.body = None

    def abandon(self, error: Exception) -> None:
        if self.flow is not None and not goes_on_without(self, error):
            self.flow.throw(error)

    def look(self, now: float) -> None:
        """Ends what has waited too long; called a few times a second."""
        limits = self.connection.limits
        if self.body is not None and self.body.is_overdue(
            now, limits.body_seconds, waiting=not self.reading_paused
        ):
            self.abandon(BadRequest("the request body did not arrive in time", 408))
        elif not self.pending:
            self._stalled_since = now
        elif now - self._stalled_since > limits.send_seconds:
            self.gone()

    def gone(self) -> None:
        """The client does not want this stream, or takes nothing of it."""
        self.pending.clear()
        self.abandon(ClientGone())
        self.abort()

    def sent_some(self) -> None:
        """Some of what was pending has been sent."""
        self._stalled_since = self.connection.now()
        self._balance()

    @property
    def is_written(self) -> bool:
        """Whether the flow has written the whole answer."""
        return self._message.done

    @property
    def trailers(self) -> list[Field]:
        return self._message.trailers

    # The flow's side

    @property
    def local_ip(self) -> str | None:
        return self.connection.local_ip

    def write(self, data: bytes) -> None:
        """Sends bytes of an answer."""
        heads, content = self._message.feed(data)
        for line, fields in heads:
            status = line.split(b" ", 2)[1]
            fields.insert(0, (b":status", status))
            if status.startswith(b"1"):
                self.connection.send_interim(self, fields)
            else:
                self.head = fields
        self.pending += content
        self.connection.send_pending(self)
        self._balance()

    def _balance(self) -> None:
        """Lets the source of the answer go as fast as the client takes it."""
        waiting = len(self.pending)
        if waiting > _HIGH_WATER_BYTES and not self.writing_paused:
            self.writing_paused = True
            if self.source is not None:
                self.source.pause_reading()
        elif waiting < _LOW_WATER_BYTES and self.writing_paused:
            self.writing_paused = False
            if self.source is not None:
                self.source.resume_reading()

    def finish(self, keep_alive: bool) -> None:
        """The answer is complete, or cut if it is not."""
        self.flow = self.source = self.body = None
        if self._message.done:
            self.connection.send_pending(self)
        else:
            self.abort()

    def abort(self) -> None:
        """Resets the stream, so that the client sees that its answer was cut."""
        self.flow = self.source = self.body = None
        self.connection.reset(self)

    def tunnel_to(self, end: TunnelEnd) -> None:
        """Nothing but WebSocket asks for a tunnel, and does so with a field that HTTP/2 does not have."""
        self.abort()

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False
        self.connection.give_window(self)
