"""What both sides of the gateway share of HTTP/2: frames of a stream as far as windows allow.

Imported by modules that are imported only where HTTP/2 is spoken: h2 comes with the extra `http2`.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from h2.connection import H2Connection
from h2.events import ConnectionTerminated, Event
from hyperframe.frame import Frame, GoAwayFrame

from tollhouse.wire.message import Field


class Outgoing(Protocol):
    """A message on its way out on a stream."""

    id: int
    #: fields that wait to be sent
    head: list[Field] | None
    #: content that waits to be sent
    pending: bytearray

    @property
    def is_written(self) -> bool:
        """Whether all of it has been written, sent or not."""
        ...

    @property
    def trailers(self) -> Sequence[Field]: ...

    def sent_some(self) -> None: ...


def send_frames(h2: H2Connection, out: Outgoing, flush: Callable[[], bool]) -> bool:
    """Sends what may be sent now; whether that was the end. `flush` writes frames out and tells whether
    more may follow. Raises h2's `ProtocolError` if the peer has closed the stream."""
    done = out.is_written
    trailers = out.trailers if done else ()
    if out.head is not None:
        head, out.head = out.head, None
        ends = done and not out.pending and not trailers
        h2.send_headers(out.id, head, end_stream=ends)
        if ends:
            return True
    elif not out.pending and not done:
        return False
    while out.pending and flush():
        size = min(len(out.pending), h2.local_flow_control_window(out.id), h2.max_outbound_frame_size)
        if size <= 0:
            break
        data = bytes(out.pending[:size])
        del out.pending[:size]
        ends = done and not out.pending and not trailers
        h2.send_data(out.id, data, end_stream=ends)
        flush()
        out.sent_some()
        if ends:
            return True
    if not done or out.pending:
        return False
    if trailers:
        h2.send_headers(out.id, list(trailers), end_stream=True)
    else:
        h2.end_stream(out.id)
    return True


class PatientConnection(H2Connection):
    """h2's connection, but for GOAWAY of the peer: the streams that it lets end may end (RFC 9113 6.8)."""

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        event = ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]
