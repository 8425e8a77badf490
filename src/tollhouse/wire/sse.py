"""Server-sent events, read from bytes that may be cut anywhere.

An event keeps the very bytes it came in, so that a stream can be passed on unchanged; its fields are
taken apart only when somebody asks. Blocks without data (comments, `retry:`) are events too, of which
`data` is `None`: a browser would not see them, but whoever passes a stream on must not lose them.
"""

import re
from typing import Final

from tollhouse.errors import PeerError

#: an event that grows beyond this is not one, in bytes
EVENT_LIMIT_BYTES: Final = 16 * 1024 * 1024

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
# Atomic, so that one CRLF is never taken for two ends of line.
_BLOCK_END: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_BOM: Final = b"\xef\xbb\xbf"


class SseEvent:
    """One block of a stream; `raw` includes the empty line that ends it."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    @property
    def data(self) -> bytes | None:
        """The data lines joined by LF; `None` if there are none."""
        raw = self.raw
        if raw.startswith(b"data: ") and raw.endswith(b"\n\n") and raw.count(b"\n") == 2 and b"\r" not in raw:
            return raw[6:-2]
        values = _values(raw, b"data")
        return b"\n".join(values) if values else None

    @property
    def name(self) -> str:
        """The event's type, empty if it has none."""
        values = _values(self.raw, b"event")
        return values[-1].decode("utf-8", "replace") if values else ""

    @property
    def is_comment(self) -> bool:
        """Whether the block has nothing for the reader of the stream."""
        return self.data is None


def _values(raw: bytes, field: bytes) -> list[bytes]:
    """The values of a field's lines, in order; one blank after the colon does not belong to a value."""
    found = []
    for line in _LINE_END.split(raw.removeprefix(_BOM)):
        name, _, value = line.partition(b":")
        if name == field:
            found.append(value.removeprefix(b" "))
    return found


class SseReader:
    """Cuts a stream into events. The events' `raw` bytes, joined, are the bytes that were fed."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that are complete with these bytes."""
        if self._held:
            data = self._held + data
            self._held = b""
        if b"\r" in data:
            return self._cut(data)
        *events, rest = data.split(b"\n\n")
        if rest:
            self._hold(rest)
        return [SseEvent(event + b"\n\n") for event in events]

    def _cut(self, data: bytes) -> list[SseEvent]:
        """The same for any ends of lines, at several times the cost unless all of them are CRLF."""
        if data.count(b"\r\n") == data.count(b"\r") == data.count(b"\n"):
            *blocks, rest = data.split(b"\r\n\r\n")
            self._hold(rest)
            return [SseEvent(block + b"\r\n\r\n") for block in blocks]
        events = []
        start = 0
        for block in _BLOCK_END.finditer(data):
            if block.end() == len(data) and data.endswith(b"\r"):
                break  # a LF that belongs to this CR may still come
            events.append(SseEvent(data[start : block.end()]))
            start = block.end()
        self._hold(data[start:])
        return events

    def _hold(self, rest: bytes) -> None:
        if len(rest) > EVENT_LIMIT_BYTES:
            raise PeerError("an event of a stream is too large")
        self._held = rest

    def end(self) -> list[SseEvent]:
        """What is left when the stream has ended, though its empty line never came."""
        rest, self._held = self._held, b""
        return [SseEvent(rest)] if rest else []
