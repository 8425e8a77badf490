"""One client connection: bytes in, exchanges one after the other, bytes out."""

import asyncio
import re
from typing import TYPE_CHECKING, Final, cast

from tollhouse.errors import BadRequest, ClientGone, PeerError, Reject
from tollhouse.flow.client import Running, Source, TunnelEnd, goes_on_without
from tollhouse.pdk.messages import Request, salvaged
from tollhouse.server.limits import Limits
from tollhouse.server.request_body import RequestBody
from tollhouse.server.sockets import address_of
from tollhouse.server.tls import agreed, common_name, shown_chain
from tollhouse.wire.body import body_reader

if TYPE_CHECKING:
    from tollhouse.server.listen import Listener

NEVER: Final = float("inf")
_ANY_SIZE: Final = 1 << 62
#: idle from now on: the next look, a moment later, sets the deadline and spares reading the clock
_FROM_NEXT_LOOK: Final = -1.0
#: what a connection that has said nothing yet has for its request while the node drains
_LAST_REQUEST_SECONDS: Final = 1.0
_EMPTY_LINES: Final = re.compile(rb"(?:\r\n)+")
#: what no Host is: the forwarded headers have not been made yet
_NOT_MADE: Final = "\n"


class ClientConnection(asyncio.Protocol):
    """Reads requests and writes answers, in order; a pipelined request waits for its turn."""

    __slots__ = (
        "_body_limit",
        "_buffer",
        "_closing",
        "_eof_at",
        "_lingering",
        "_listener",
        "_reading_paused",
        "_transport",
        "_tunnel",
        "_unsent",
        "_wrote_since_eof",
        "body",
        "certificates",
        "deadline",
        "flow",
        "forwarded",
        "forwarded_host",
        "limits",
        "number",
        "peer_ip",
        "peer_name",
        "peer_port",
        "port",
        "requests",
        "scheme",
        "sni",
        "source",
        "tls",
        "told_ip",
        "writing_paused",
    )

    protocol_version = "1.1"
    #: those of a chunked request are dropped, as by nginx
    request_trailers = ()

    def __init__(self, listener: "Listener", told_ip: str | None = None) -> None:
        self._listener = listener
        self.limits: Limits = listener.limits
        self._body_limit = listener.limits.body_bytes or _ANY_SIZE
        self.scheme, self.port = listener.scheme, listener.port
        self.sni: str | None = None
        self.peer_name: str | None = None  # in the client's certificate
        self.certificates: tuple[bytes, ...] = ()
        self.tls: tuple[str, str] | None = None
        self._transport: asyncio.Transport | None = None
        self._buffer, self._unsent = b"", 0
        self._closing = self._lingering = False
        self._tunnel: TunnelEnd | None = None
        self._eof_at, self._wrote_since_eof = 0.0, False
        self._reading_paused = self.writing_paused = False
        #: the exchange under way; `None` between requests
        self.flow: Running | None = None
        #: the part of its request body that is still arriving
        self.body: RequestBody | None = None
        self.source: Source | None = None
        self.deadline = NEVER
        self.requests = self.number = 0
        self.peer_ip, self.peer_port, self.told_ip = "", 0, told_ip
        #: the forwarded headers that every request of this connection sends, made by the flow
        self.forwarded = ""
        self.forwarded_host: str | None = _NOT_MADE

    @property
    def local_ip(self) -> str | None:
        return address_of(self._transport)

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.peer_ip, self.peer_port = peer[:2] if isinstance(peer, tuple) else ("unix:", 0)
        secured = transport.get_extra_info("ssl_object")
        if secured is not None:
            self.sni = getattr(secured, "server_name_indication", None)
            self.peer_name = common_name(transport.get_extra_info("peercert"))
            self.certificates = shown_chain(secured)
            self.tls = agreed(secured)
        self.deadline = self._listener.now() + self.limits.header_seconds
        self.number = self._listener.opened(self)

    def data_received(self, data: bytes) -> None:
        if self.flow is None and not self._closing and not self.writing_paused:
            self._read_requests(self._buffer + data if self._buffer else data)
        else:
            self._read_ahead(data)

    def eof_received(self) -> bool:
        """Keeps the connection open for the answer: the client may have closed its side only."""
        if self._tunnel is not None:
            self._tunnel.client_ended()
            return self.scheme == "http"
        if self.flow is None and not (self.writing_paused and self._buffer):
            if self._buffer:
                self._refuse(BadRequest("the request ended early"), begun=self._buffer)
            return False
        if self.body is not None and not self.body.done:
            self._abandon(ClientGone())
            return False
        self._closing = True
        self._eof_at = self._listener.now()
        return self.scheme == "http"  # a TLS connection cannot be closed by half

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport, self._buffer, self._closing, self.writing_paused = None, b"", True, False
        self.deadline = NEVER
        self._listener.closed(self)
        if self.flow is not None:
            self._abandon(ClientGone())

    def pause_writing(self) -> None:
        self.writing_paused = True
        self.deadline = self._listener.now() + self.limits.send_seconds
        if self.source is not None:
            self.source.pause_reading()

    def resume_writing(self) -> None:
        self.writing_paused = False
        if self.source is not None:
            self.source.resume_reading()
        if self.flow is not None:
            self.deadline = NEVER
        elif not self._lingering:
            self.deadline = _FROM_NEXT_LOOK
            self._go_on()

    # Reading requests

    def _read_requests(self, data: bytes) -> None:
        """Starts exchanges as long as each is answered at once, whole requests are here, and the client
        takes its answers."""
        listener = self._listener
        while self.flow is None and not self.writing_paused:
            head, found, rest = data.partition(b"\r\n\r\n")
            if not found or not head:
                break
            try:
                if len(head) > self.limits.line_bytes:
                    self.limits.check_head(data, len(head))
                request = listener.reader.read(head)
                framing = request.received = request.body
                if framing == len(rest) and framing <= self._body_limit:
                    request.content = rest
                    self._buffer = b""
                elif 0 <= framing <= len(rest) and framing <= self._body_limit:
                    request.content = rest[:framing]
                    self._buffer = rest[framing:]
                else:
                    left = self._take_body(request, rest)
                    if left is None:
                        return
                    self._buffer = left
            except BadRequest as error:
                if data.startswith(b"\r\n"):
                    break
                self._refuse(error, begun=data)
                return
            self.requests += 1
            self.deadline = NEVER
            listener.begin(self, request)
            data = self._buffer
        if data and self.flow is None and not self.writing_paused:
            self._wait_for_head(data)

    def _wait_for_head(self, data: bytes) -> None:
        """Holds the beginning of a request until there is more of it."""
        empty = _EMPTY_LINES.match(data)
        if empty is not None:
            # RFC 9112 2.2: empty lines before a request are ignored.
            self._buffer = b""
            self._read_requests(data[empty.end() :])
            return
        self._buffer = data
        try:
            self.limits.check_beginning(data, is_all=bool(self._eof_at))
        except BadRequest as error:
            self._refuse(error, begun=data)

    def _read_ahead(self, data: bytes) -> None:
        """Bytes while an exchange is under way: its body, or requests that wait for their turn."""
        if self._tunnel is not None:
            self._tunnel.client_data(data)
            return
        if self._closing:
            return  # what comes after the last request is not read (RFC 9112 9.6)
        if self.body is not None:
            self._read_body(self.body, data)
            return
        self._buffer += data
        if len(self._buffer) > self.limits.window_bytes:
            self.pause_reading()

    def _take_body(self, request: Request, data: bytes) -> bytes | None:
        """Takes what is here of a body; returns bytes after it, `None` if the request was refused."""
        try:
            return self._begin_body(request, data)
        except PeerError as error:
            self._refuse(error if isinstance(error, BadRequest) else BadRequest(str(error)), request)
            return None

    def _begin_body(self, request: Request, data: bytes) -> bytes:
        framing = request.body
        if framing > self._body_limit:
            raise BadRequest("the request body is too large", 413)
        request.content = None
        body = self.body = RequestBody(
            self,
            request,
            body_reader(framing),
            self.limits.window_bytes,
            self._body_limit,
            expects_continue=request.expects_continue and not data,
        )
        rest = body.feed(data) if data else None
        if rest is not None:
            self.body = None
            return rest
        if self._eof_at:
            raise BadRequest("the request ended early")
        return b""

    def _read_body(self, body: RequestBody, data: bytes) -> None:
        try:
            rest = body.feed(data)
        except (PeerError, Reject) as error:
            self._abandon(error)
            return
        if rest is not None:
            if self.body is body:
                self.body = None
            if rest:
                self.data_received(rest)

    # Writing answers

    def write(self, data: bytes) -> None:
        """Sends bytes of an answer; a client that has gone takes no more."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(data)
            self._wrote_since_eof = True

    def finish(self, keep_alive: bool) -> None:
        """The answer is complete: the next request may start, or the connection ends."""
        body = self.body
        self.flow = self.source = self.body = None
        unread = body is not None and not body.done
        if unread or not keep_alive or self._closing or self._listener.draining:
            if self._eof_at and keep_alive and self._buffer and not self._listener.draining:
                self._go_on()  # what was sent before the client closed its side
            else:
                self._close(linger=unread)
            return
        if self.requests >= self.limits.requests:
            self._close(linger=False)
            return
        self.deadline = _FROM_NEXT_LOOK
        if self._buffer or self._reading_paused:
            self._go_on()

    def _go_on(self) -> None:
        """Sees to the requests that wait; not while the client does not even take the last answer."""
        if self.writing_paused:
            return
        self.resume_reading()
        # Not here and now: this may be running inside the loop that reads requests.
        self._listener.call_soon(self._next)

    def _next(self) -> None:
        if self.flow is None and self._buffer and not self.writing_paused:
            self._read_requests(self._buffer)
            if self._eof_at and self.flow is None and not self._buffer:
                self._close(linger=False)

    def tunnel_to(self, end: TunnelEnd) -> None:
        """From now on bytes are passed on as they are: the protocol is no longer HTTP."""
        self._tunnel = end
        self.deadline = NEVER
        self.resume_reading()
        buffered, self._buffer = self._buffer, b""
        if buffered:
            end.client_data(buffered)
        if self._eof_at:
            self._eof_at = 0.0
            end.client_ended()

    def abort(self) -> None:
        """Ends the connection so that the client sees that its answer was cut."""
        self.flow = self.source = self.body = None
        if self._transport is not None:
            self._transport.abort()

    def drain(self) -> None:
        """The node is going: an idle connection closes now, a busy one after its answer. One that has
        said nothing yet has a moment for it: its request may be on its way."""
        if self.flow is not None or self._lingering:
            return
        if self.requests or self._buffer:
            self._close(linger=False)
        else:
            self.deadline = self._listener.now() + _LAST_REQUEST_SECONDS

    def _close(self, *, linger: bool) -> None:
        self._closing, self._buffer = True, b""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if linger:
            # Closing on unread bytes resets the connection and may take the answer with it.
            self._lingering = True
            self.deadline = self._listener.now() + self.limits.linger_seconds
            self.resume_reading()
            if transport.can_write_eof():
                transport.write_eof()
        else:
            transport.close()

    def _refuse(self, error: BadRequest, request: Request | None = None, *, begun: bytes = b"") -> None:
        self._buffer, self.body = b"", None
        self._listener.refuse(self, error, request or salvaged(Request, begun))
        self._close(linger=True)

    def _abandon(self, error: Exception) -> None:
        if self.flow is not None and not goes_on_without(self, error):
            self.flow.throw(error)

    # Pausing

    def pause_reading(self) -> None:
        if not self._reading_paused and self._transport is not None and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._reading_paused and self._transport is not None and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    # Waiting

    def look(self, now: float) -> None:
        """Ends what has waited too long; called a few times a second."""
        if self._eof_at and self.flow is not None:
            if self._wrote_since_eof:
                self._eof_at, self._wrote_since_eof = now, False
            elif now - self._eof_at > self.limits.half_closed_seconds:
                self._abandon(ClientGone())
                return
        if self.body is not None and self.body.is_overdue(
            now, self.limits.body_seconds, waiting=not self._reading_paused
        ):
            self._abandon(BadRequest("the request body did not arrive in time", 408))
            return
        if self.writing_paused and self._transport is not None:
            waiting = self._transport.get_write_buffer_size()
            if waiting != self._unsent:
                self._unsent = waiting
                self.deadline = now + self.limits.send_seconds
        if self.deadline == _FROM_NEXT_LOOK:
            self.deadline = now + self.limits.idle_seconds
        elif self.deadline <= now:
            self._expire()

    def _expire(self) -> None:
        self.deadline = NEVER
        if self.flow is not None:
            self._abandon(ClientGone())
        elif self._lingering or self.writing_paused:
            self.abort()
        elif self._buffer:
            self._refuse(BadRequest("the request did not arrive in time", 408), begun=self._buffer)
        else:
            self._close(linger=False)
