"""One HTTP/2 client connection (RFC 9113): frames and streams by the library h2, limits by us.

Every stream is a client of its own to the flow. Imported when an `http2` listener is there, for h2 comes
with the extra `http2`.
"""

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from h2.config import H2Configuration
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from tollhouse.errors import BadRequest
from tollhouse.pdk.messages import Http2Request, salvaged
from tollhouse.server.http2_stream import Http2Stream
from tollhouse.server.limits import Limits
from tollhouse.server.sockets import address_of
from tollhouse.server.tls import agreed, common_name, shown_chain
from tollhouse.upstream.http2_frames import PatientConnection, send_frames
from tollhouse.wire.message import Field, as_http1_request, request_trailers

if TYPE_CHECKING:
    from tollhouse.server.listen import Listener

log = logging.getLogger("tollhouse.http2")

NEVER: Final = float("inf")
#: streams at once on a connection; nginx's default
_MOST_STREAMS: Final = 128
_STREAM_WINDOW_BYTES: Final = 131072
_CONNECTION_WINDOW_BYTES: Final = 8 * 1024 * 1024
#: streams that a client may have reset, less those it let end (CVE-2023-44487)
_MOST_RESETS: Final = 200
#: frames without a request or content in a second
_MOST_CONTROL_FRAMES: Final = 1000
_CONFIG: Final = H2Configuration(
    client_side=False,
    header_encoding=None,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


class Http2Connection(asyncio.Protocol):
    """Reads frames, starts an exchange for each request, writes answers as windows allow."""

    def __init__(self, listener: "Listener", told_ip: str | None = None) -> None:
        self.listener = listener
        self.limits: Limits = listener.limits
        self.scheme, self.port = listener.scheme, listener.port
        self.sni: str | None = None
        self.peer_name: str | None = None
        self.certificates: tuple[bytes, ...] = ()
        self.tls: tuple[str, str] | None = None
        self.peer_ip, self.peer_port = "", 0
        self.told_ip = told_ip
        self.requests, self.number = 0, 0
        self.now = listener.now
        self.streams: dict[int, Http2Stream] = {}
        self._h2 = PatientConnection(_CONFIG)
        self._transport: asyncio.Transport | None = None
        self._reading = False
        self._paused = False
        self._leaving = False
        self._last_stream = 0
        self._resets = self._control_frames = 0
        self._second = 0.0
        self._window_owed = 0
        self._deadline = NEVER

    @property
    def flow(self) -> object | None:
        """An exchange under way, if there is one."""
        return next((stream.flow for stream in self.streams.values() if stream.flow is not None), None)

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
        self.number = self.listener.opened(self)
        self._deadline = self.now() + self.limits.header_seconds
        self._h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: _MOST_STREAMS,
                SettingCodes.INITIAL_WINDOW_SIZE: _STREAM_WINDOW_BYTES,
                SettingCodes.MAX_HEADER_LIST_SIZE: self.limits.head_bytes,
                SettingCodes.ENABLE_PUSH: 0,
            },
        )
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_CONNECTION_WINDOW_BYTES - 65535)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._reading = True
        try:
            for event in self._h2.receive_data(data):
                self._take(event)
                if self._transport is None:
                    return
            if self._window_owed > _CONNECTION_WINDOW_BYTES // 2:
                owed, self._window_owed = self._window_owed, 0
                self._h2.increment_flow_control_window(owed)
            for stream in list(self.streams.values()):
                self.send_pending(stream)
        except ProtocolError as error:
            log.info("client %s: %s", self.peer_ip, error)
            self._end()  # h2 has put the reason into its last frame
            return
        finally:
            self._reading = False
        self._flush()

    def eof_received(self) -> None:
        """Nothing is sent to a client that has closed its side: it could not speak HTTP/2 any more."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._deadline = NEVER
        self.listener.closed(self)
        for stream in list(self.streams.values()):
            stream.gone()
        self.streams.clear()

    def pause_writing(self) -> None:
        self._paused = True
        self._deadline = self.now() + self.limits.send_seconds

    def resume_writing(self) -> None:
        self._paused = False
        self._rest()
        for stream in list(self.streams.values()):
            self.send_pending(stream)
        self._flush()

    # Frames that come

    def _take(self, event: Event) -> None:
        match event:
            case RequestReceived():
                self._request(event)
            case DataReceived():
                self._data(event)
            case TrailersReceived():
                stream = self.streams.get(event.stream_id or 0)
                if stream is not None:
                    stream.request_trailers = request_trailers(cast("list[Field]", event.headers or ()))
            case StreamEnded():
                stream = self.streams.get(event.stream_id or 0)
                if stream is not None:
                    stream.received(b"", ended=True)
            case StreamReset():
                self._count_reset()
                stream = self.streams.pop(event.stream_id or 0, None)
                if stream is not None:
                    stream.gone()
                    self._rest()
            case ConnectionTerminated():
                self._leaving = True
                self._rest()
            case WindowUpdated():
                return  # what may be sent now is, when all events are seen to
            case _:
                self._count_control_frame()

    def _request(self, event: RequestReceived) -> None:
        id_ = event.stream_id or 0
        if self._leaving:
            self._h2.reset_stream(id_, ErrorCodes.REFUSED_STREAM)
            return
        self._last_stream = id_
        self._deadline = NEVER
        self.requests += 1
        stream = self.streams[id_] = Http2Stream(self, id_)
        ended = event.stream_ended is not None
        text = b""
        try:
            text = as_http1_request(cast("list[Field]", event.headers or ()), ended=ended)
            self.limits.check_head(text, len(text))
            stream.begin(self.listener.http2_reader.read(text), ended=ended)
        except BadRequest as error:
            self.listener.refuse(stream, error, salvaged(Http2Request, text))
            stream.finish(False)
        if self.requests >= self.limits.requests:
            self.drain()

    def _data(self, event: DataReceived) -> None:
        size = event.flow_controlled_length or 0
        self._window_owed += size
        if not event.data and event.stream_ended is None:
            self._count_control_frame()
        stream = self.streams.get(event.stream_id or 0)
        if stream is None:
            return
        stream.taken += size
        stream.received(event.data or b"", ended=False)
        if not stream.reading_paused:
            self.give_window(stream)

    def _count_reset(self) -> None:
        self._resets += 1
        if self._resets > _MOST_RESETS:
            self._throw_out()

    def _count_control_frame(self) -> None:
        self._control_frames += 1
        if self._control_frames > _MOST_CONTROL_FRAMES:
            self._throw_out()

    def _throw_out(self) -> None:
        """The client costs more than it asks for."""
        if self._transport is not None:
            self._h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            self._end()
            self._transport = None

    def _end(self) -> None:
        transport = self._transport
        if transport is not None:
            transport.write(self._h2.data_to_send())
            transport.close()

    # Frames that go; what the client has closed in the meantime, h2 refuses

    def send_interim(self, stream: Http2Stream, fields: list[Field]) -> None:
        """Sends the head of an interim answer."""
        if self._is_open(stream):
            self._h2.send_headers(stream.id, fields)
            self._flush()

    def send_pending(self, stream: Http2Stream) -> None:
        """Sends what the stream has for its client, as much as may be sent now."""
        if not self._is_open(stream):
            return
        try:
            if send_frames(self._h2, stream, self._may_write):
                self._retire(stream)
        except ProtocolError:
            self.streams.pop(stream.id, None)
            # Not here and now: it may be the flow itself that writes.
            self.listener.call_soon(stream.gone)
        self._flush()

    def _may_write(self) -> bool:
        self._flush()
        return not self._paused

    def _retire(self, stream: Http2Stream) -> None:
        """The answer is sent. What the client still sends of its request is not wanted."""
        self.streams.pop(stream.id, None)
        self._resets = max(0, self._resets - 1)
        if not stream.request_ended:
            with suppress(ProtocolError):  # its end may be among the frames that are being seen to
                self._h2.reset_stream(stream.id, ErrorCodes.NO_ERROR)
        self._rest()

    def reset(self, stream: Http2Stream) -> None:
        """Ends a stream before its answer is complete."""
        if self.streams.pop(stream.id, None) is None or self._transport is None:
            return
        try:
            self._h2.reset_stream(stream.id, ErrorCodes.INTERNAL_ERROR)
        except ProtocolError:
            self._rest()  # the client has closed it already
            return
        self._rest()
        self._flush()

    def give_window(self, stream: Http2Stream) -> None:
        """Lets the client send more of a request body."""
        if stream.taken < _STREAM_WINDOW_BYTES // 4 or not self._is_open(stream) or stream.reading_paused:
            return
        taken, stream.taken = stream.taken, 0
        try:
            self._h2.increment_flow_control_window(taken, stream.id)
        except ProtocolError:
            return  # it has sent all of it
        self._flush()

    def _is_open(self, stream: Http2Stream) -> bool:
        return self._transport is not None and self.streams.get(stream.id) is stream

    def _flush(self) -> None:
        if not self._reading and self._transport is not None:
            data = self._h2.data_to_send()
            if data:
                self._transport.write(data)

    # Waiting

    def _rest(self) -> None:
        """Sees to the connection when no stream is left."""
        if self.streams:
            self._deadline = NEVER
        elif self._leaving:
            self._close()
        else:
            self._deadline = self.now() + self.limits.idle_seconds

    def look(self, now: float) -> None:
        """Ends what has waited too long; called a few times a second."""
        if now - self._second > 1.0:
            self._second, self._control_frames = now, 0
        for stream in list(self.streams.values()):
            stream.look(now)
        if self._deadline <= now:
            if self._paused:
                self.abort()
            else:
                self.drain()

    def drain(self) -> None:
        """The node is going: no more streams; the connection closes after those that are there."""
        if not self._leaving and self._transport is not None:
            self._leaving = True
            # h2's own way would close the streams that are under way.
            self._flush()
            self._transport.write(GoAwayFrame(0, self._last_stream, ErrorCodes.NO_ERROR).serialize())
        self._rest()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _close(self) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing():
            self._reading = False
            self._flush()
            transport.close()
