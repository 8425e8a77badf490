"""HTTP/2 towards targets (RFC 9113): one connection, a stream for each exchange.

Imported when the first service with `grpc` or `grpcs` is asked, for h2 comes with the extra `http2`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, cast

from h2.config import H2Configuration
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from tollhouse.pdk.messages import Http2Response
from tollhouse.upstream.http1 import UpstreamConnection
from tollhouse.upstream.http2_frames import PatientConnection, send_frames
from tollhouse.upstream.http2_stream import STREAM_WINDOW_BYTES, Stream, StreamConnection
from tollhouse.upstream.pool import Pool
from tollhouse.wire.http1 import ResponseReader
from tollhouse.wire.message import Field

log = logging.getLogger("tollhouse.http2")

_MOST_STREAMS: Final = 100
_CONNECTION_WINDOW_BYTES: Final = 8 * 1024 * 1024
_CONFIG: Final = H2Configuration(
    client_side=True,
    header_encoding=None,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


class Http2Link(asyncio.Protocol):
    """One connection to a target."""

    def __init__(self, pool: Pool, most_requests: float) -> None:
        self._pool = pool
        self._most_requests = most_requests
        self._h2 = PatientConnection(_CONFIG)
        self._transport: asyncio.Transport | None = None
        self._streams: dict[int, Stream] = {}
        self._carried = 0
        self._leaving = False
        self._reading = self._paused = False
        self._window_owed = 0
        self.call_soon: Callable[[Callable[[], None]], object] = asyncio.get_running_loop().call_soon
        self.idle_since = 0.0

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._h2.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
                SettingCodes.MAX_HEADER_LIST_SIZE: 65536,
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
            if self._window_owed > _CONNECTION_WINDOW_BYTES // 2:
                owed, self._window_owed = self._window_owed, 0
                self._h2.increment_flow_control_window(owed)
        except ProtocolError as error:
            log.info("target %s: %s", self._pool.address.host, error)
            self._lose(error)
            return
        finally:
            self._reading = False
        self._send_all()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(exc)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._send_all()

    def _send_all(self) -> None:
        for stream in list(self._streams.values()):
            self.send_pending(stream)
        self._flush()

    def _lose(self, error: Exception | None) -> None:
        transport, self._transport = self._transport, None
        self._leaving = True
        streams, self._streams = list(self._streams.values()), {}
        for stream in streams:
            stream.closed = True
            stream.connection.connection_lost(error)
        if transport is not None:
            transport.write(self._h2.data_to_send())
            transport.close()

    # Frames that come

    def _take(self, event: Event) -> None:
        if isinstance(event, ConnectionTerminated):
            self._leaving = True
            self._refuse(id_ for id_ in list(self._streams) if id_ > (event.last_stream_id or 0))
            return
        if isinstance(event, DataReceived):
            self._window_owed += event.flow_controlled_length or 0
        stream = self._streams.get(getattr(event, "stream_id", None) or 0)
        if stream is None:
            return
        match event:
            case ResponseReceived():
                fields = cast("list[Field]", event.headers or [])
                stream.answered(fields, ended=event.stream_ended is not None)
            case DataReceived():
                stream.received(event.data or b"", event.flow_controlled_length or 0)
            case TrailersReceived():
                lines = (b"%b: %b\r\n" % field for field in cast("list[Field]", event.headers or []))
                stream.connection.trailers = b"".join(lines)
            case StreamEnded():
                if stream.is_written:
                    self._streams.pop(stream.id, None)
                stream.ended()
            case StreamReset() if event.error_code == ErrorCodes.REFUSED_STREAM:
                self._refuse(iter((stream.id,)))
            case StreamReset():
                self._streams.pop(stream.id, None)
                stream.closed = True
                stream.connection.connection_lost(ConnectionResetError(f"reset: {event.error_code}"))
            case _:
                return  # of windows and settings h2 keeps the books

    def _refuse(self, ids: Iterator[int]) -> None:
        for id_ in ids:
            stream = self._streams.pop(id_)
            stream.closed = True
            stream.connection.refused()

    # Streams

    @property
    def has_room(self) -> bool:
        """Whether it takes another stream."""
        most = min(_MOST_STREAMS, self._h2.remote_settings.max_concurrent_streams)
        return not self._leaving and self._transport is not None and len(self._streams) < most

    def stream(self) -> StreamConnection:
        """A stream for one exchange."""
        self._carried += 1
        if self._carried >= self._most_requests:
            self._leaving = True
        return Stream(self, self._pool, self._carried - 1).connection

    def open(self, stream: Stream) -> None:
        """The stream begins to send."""
        stream.id = self._h2.get_next_available_stream_id()
        self._streams[stream.id] = stream

    def request_fields(self, line: bytes, fields: list[Field]) -> Iterator[Field]:
        """The fields of a request as HTTP/2 has them, by its HTTP/1.1 start line and fields."""
        method, path, _ = line.split(b" ")
        yield b":method", method
        yield b":scheme", b"https" if self._pool.address.tls else b"http"
        yield b":authority", next((value for name, value in fields if name == b"host"), b"")
        yield b":path", path
        yield from ((name, value) for name, value in fields if name != b"host")

    def send_pending(self, stream: Stream) -> None:
        """Sends what the stream has, as much as may be sent now."""
        if stream.closed or stream.is_sent or self._transport is None or stream.id not in self._streams:
            return
        try:
            stream.is_sent = send_frames(self._h2, stream, self._may_write)
        except ProtocolError as error:
            self._streams.pop(stream.id, None)
            stream.closed = True
            # Not here and now: it may be the flow itself that writes.
            self.call_soon(partial(stream.connection.connection_lost, error))
        self._flush()

    def _may_write(self) -> bool:
        self._flush()
        return not self._paused

    def cancel(self, stream: Stream) -> None:
        """The exchange wants no more of its stream."""
        if self._streams.pop(stream.id, None) is None or self._transport is None:
            return
        try:
            self._h2.reset_stream(stream.id, ErrorCodes.CANCEL)
        except ProtocolError:
            return  # it has ended on both sides
        self._flush()

    def give_window(self, stream: Stream, size: int) -> None:
        """Lets the target send more of an answer."""
        try:
            self._h2.increment_flow_control_window(size, stream.id)
        except ProtocolError:
            return  # all of it is here
        self._flush()

    def _flush(self) -> None:
        if not self._reading and self._transport is not None:
            data = self._h2.data_to_send()
            if data:
                self._transport.write(data)

    @property
    def is_idle(self) -> bool:
        return not self._streams

    @property
    def is_over(self) -> bool:
        """Whether it is of no use to anybody any more."""
        return self.is_idle and self._leaving

    def close(self) -> None:
        if self._transport is not None:
            self._h2.close_connection()
        self._lose(None)


class Http2Pool(Pool):
    """The connections to one address; more than one only if the target allows few streams."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.reader = ResponseReader(Http2Response)
        self._links: list[Http2Link] = []
        self._connected = asyncio.Lock()

    def take(self) -> UpstreamConnection | None:
        for link in self._links:
            if link.has_room:
                link.idle_since = 0.0
                return self._opened(link)
        return None

    async def connect(self, timeout_seconds: float) -> UpstreamConnection:
        async with self._connected:
            ready = self.take()
            if ready is not None:
                return ready
            link = await self.establish(lambda: Http2Link(self, self._most_requests), timeout_seconds)
            self._links.append(link)
            return self._opened(link)

    def _opened(self, link: Http2Link) -> UpstreamConnection:
        connection = link.stream()
        self._open.add(connection)
        return connection

    def release(self, connection: UpstreamConnection) -> None:
        self._open.discard(connection)

    def forget(self, connection: UpstreamConnection) -> None:
        self._open.discard(connection)

    def look(self, now: float) -> None:
        super().look(now)
        for link in list(self._links):
            if not link.is_idle:
                link.idle_since = 0.0
            elif not link.idle_since:
                link.idle_since = now
            if link.is_over or (link.idle_since and now - link.idle_since > self._idle_seconds):
                self._links.remove(link)
                link.close()

    def close(self) -> None:
        for link in self._links:
            if link.is_idle:
                link.close()

    @property
    def is_unused(self) -> bool:
        return super().is_unused and not self._links
