"""Frames of `application/vnd.amazon.eventstream`, read from bytes that may be cut anywhere, and written.

    total length (4 bytes) | length of the headers (4) | CRC-32 of these eight (4)
    headers | payload | CRC-32 of everything before (4)

All numbers are big-endian.

https://smithy.io/2.0/aws/amazon-eventstream.html
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from zlib import crc32

from tollhouse.errors import PeerError

CONTENT_TYPE: Final = "application/vnd.amazon.eventstream"
#: AWS's own limits, in bytes: https://smithy.io/2.0/aws/amazon-eventstream.html#total-message-byte-length
PAYLOAD_LIMIT_BYTES: Final = 24 * 1024 * 1024
HEADERS_LIMIT_BYTES: Final = 128 * 1024

_PRELUDE: Final = struct.Struct(">III")
_CRC: Final = struct.Struct(">I")
_STRING: Final = 7
#: how many bytes values of other types take: true, false, byte, short, integer, long; time, UUID
_SIZES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_KNOWN_AT_MOST: Final = 64


class Frame(NamedTuple):
    """`headers` are those that are strings; no others occur in what models stream."""

    headers: Mapping[str, str]
    payload: bytes


class FrameReader:
    """Cuts bytes into frames. Raises `PeerError` at what is no frame; whatever follows cannot be read."""

    __slots__ = ("_held", "_known", "_missing")

    def __init__(self) -> None:
        self._held: list[bytes] = []
        #: bytes without which there is no use in looking again
        self._missing = _PRELUDE.size
        #: headers that were met before: a stream has a handful of them, thousands of times
        self._known: dict[bytes, Mapping[str, str]] = {}

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete with these bytes. Frames before a broken one are given first."""
        if not data:
            return
        self._missing -= len(data)
        self._held.append(data)
        if self._missing > 0:
            return
        data = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        start = 0
        needed = _PRELUDE.size
        while len(data) - start >= needed:
            total, size, crc = _PRELUDE.unpack_from(data, start)
            _check_prelude(data[start : start + 8], total, size, crc)
            if len(data) - start < total:
                needed = total
                break
            end = start + total - _CRC.size
            if crc32(data[start:end]) != _CRC.unpack_from(data, end)[0]:
                raise PeerError("a frame of an event stream is damaged")
            body = start + _PRELUDE.size + size
            fields = data[start + _PRELUDE.size : body]
            yield Frame(self._known.get(fields) or self._headers(fields), data[body:end])
            start += total
        rest = data[start:]
        self._held = [rest] if rest else []
        self._missing = needed - len(rest)

    @property
    def is_between_frames(self) -> bool:
        """Whether no part of a frame waits for its end."""
        return not self._held

    def _headers(self, fields: bytes) -> Mapping[str, str]:
        headers = dict(_headers(fields))
        if len(self._known) < _KNOWN_AT_MOST:
            self._known[fields] = headers
        return headers


def _check_prelude(lengths: bytes, total: int, headers: int, crc: int) -> None:
    if crc32(lengths) != crc:
        raise PeerError("an event stream is damaged, or is none")
    payload = total - headers - _PRELUDE.size - _CRC.size
    if payload < 0 or payload > PAYLOAD_LIMIT_BYTES or headers > HEADERS_LIMIT_BYTES:
        raise PeerError("a frame of an event stream has an impossible length")


def _headers(data: bytes) -> Iterator[tuple[str, str]]:
    """Each is the length of its name, its name, the type of its value, and the value."""
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name, kind, at = data[at + 1 : name_end].decode(), data[name_end], name_end + 1
            if kind in _SIZES:
                at += _SIZES[kind]
                continue
            size = int.from_bytes(data[at : at + 2])
            value, at = data[at + 2 : at + 2 + size], at + 2 + size
            if kind == _STRING:
                yield name, value.decode()
    except (IndexError, UnicodeDecodeError):
        raise PeerError("the headers of a frame cannot be read") from None
    if at != len(data):
        raise PeerError("the headers of a frame cannot be read")


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    fields = b"".join(_header(name, value) for name, value in headers.items())
    total = _PRELUDE.size + len(fields) + len(payload) + _CRC.size
    lengths = struct.pack(">II", total, len(fields))
    message = lengths + _CRC.pack(crc32(lengths)) + fields + payload
    return message + _CRC.pack(crc32(message))


def _header(name: str, value: str) -> bytes:
    encoded, text = name.encode(), value.encode()
    return bytes([len(encoded)]) + encoded + struct.pack(">BH", _STRING, len(text)) + text


def event(kind: str, payload: bytes) -> bytes:
    """A frame as AWS's services write events."""
    return frame(_named(":event-type", kind, "event"), payload)


def exception(kind: str, payload: bytes) -> bytes:
    """A frame that ends a stream with an error."""
    return frame(_named(":exception-type", kind, "exception"), payload)


def _named(name: str, kind: str, message: str) -> dict[str, str]:
    return {name: kind, ":content-type": "application/json", ":message-type": message}
