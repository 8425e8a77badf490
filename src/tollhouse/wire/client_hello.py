"""Reads what a TLS client says first, without answering it: the name it asks for (SNI).

Sans-I/O and without state: it is given the beginning of a connection, again when there is more of it. What
it reads stays as it came, for whoever speaks TLS with the client then.
"""

from dataclasses import dataclass
from typing import Final

from tollhouse.errors import PeerError

#: most bytes that a ClientHello may take; those of browsers have about 2,000
LIMIT_BYTES: Final = 32 * 1024
_RECORD_HEAD: Final = 5
_LARGEST_RECORD: Final = 1 << 14
#: type and first half of the version, which is 3.x for all that is called TLS
_HANDSHAKE_HEAD: Final = b"\x16\x03"
_CLIENT_HELLO: Final = 1
_MESSAGE_HEAD: Final = 4
_VERSION_AND_RANDOM: Final = 2 + 32
_SERVER_NAME: Final = 0
_HOST_NAME: Final = 0


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a client has said. `server_name` is in lower case, without the dot of a fully qualified name."""

    server_name: str | None


def read_client_hello(data: bytes) -> ClientHello | None:
    """The ClientHello at the beginning of a connection; `None` if more bytes are needed.

    Raises `PeerError` if this is no TLS, or none that makes sense (RFC 8446 4.1.2, 5.1; RFC 6066 3).
    """
    message = _message(data)
    if message is None:
        return None
    fields = _Fields(message)
    fields.take(_VERSION_AND_RANDOM)
    fields.vector(1)  # session id
    fields.vector(2)  # cipher suites
    fields.vector(1)  # compression methods
    return ClientHello(_server_name(fields.vector(2)) if fields.rest else None)


def _message(data: bytes) -> bytes | None:
    """The handshake message, which may be spread over several records; `None` if it is not all here."""
    message, place = b"", 0
    while place <= len(data):
        head = data[place : place + _RECORD_HEAD]
        if not _HANDSHAKE_HEAD.startswith(head[:2]):
            raise PeerError("the connection does not begin with a TLS handshake")
        if len(head) < _RECORD_HEAD:
            return None
        length = int.from_bytes(head[3:])
        if not 0 < length <= _LARGEST_RECORD:
            raise PeerError(f"a TLS record of {length} bytes")
        place += _RECORD_HEAD
        message += data[place : place + length]
        place += length
        end = _end(message)
        if end is not None and len(message) >= end:
            return message[_MESSAGE_HEAD:end]
    return None


def _end(message: bytes) -> int | None:
    """Where the message ends, as far as it tells that already."""
    if message and message[0] != _CLIENT_HELLO:
        raise PeerError("the TLS handshake does not begin with a ClientHello")
    if len(message) < _MESSAGE_HEAD:
        return None
    end = _MESSAGE_HEAD + int.from_bytes(message[1:_MESSAGE_HEAD])
    if end > LIMIT_BYTES:
        raise PeerError(f"a ClientHello of {end} bytes")
    return end


def _server_name(extensions: "_Fields") -> str | None:
    while extensions.rest:
        kind = int.from_bytes(extensions.take(2))
        content = extensions.vector(2)
        if kind == _SERVER_NAME:
            names = content.vector(2)
            while names.rest:
                kind_of_name = names.take(1)[0]
                name = names.vector(2).rest
                if kind_of_name == _HOST_NAME:
                    return name.decode("latin-1").lower().removesuffix(".") or None
    return None


class _Fields:
    """Bytes that are taken from the front."""

    __slots__ = ("rest",)

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def take(self, length: int) -> bytes:
        if len(self.rest) < length:
            raise PeerError("a ClientHello that ends within a field")
        taken, self.rest = self.rest[:length], self.rest[length:]
        return taken

    def vector(self, size_of_length: int) -> "_Fields":
        """What stands behind its own length (RFC 8446 3.4)."""
        return _Fields(self.take(int.from_bytes(self.take(size_of_length))))
