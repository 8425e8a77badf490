"""Content codings of providers' answers: the gateway asks for gzip and reads it."""

import zlib
from typing import Final

from tollhouse.errors import PeerError

WHOLE_LIMIT_BYTES: Final = 64 * 1024 * 1024
_GZIP: Final = 31


class Gunzip:
    """Reads a gzip stream that is cut anywhere; gives out what is complete at once."""

    __slots__ = ("_unzip",)

    def __init__(self) -> None:
        self._unzip = zlib.decompressobj(_GZIP)

    def feed(self, data: bytes, last: bool) -> bytes:
        try:
            content = self._unzip.decompress(data)
        except zlib.error as error:
            raise PeerError(f"the provider's gzip is broken: {error}") from None
        if last and not self._unzip.eof:
            raise PeerError("the provider's gzip ended early")
        return content


def gunzip(content: bytes) -> bytes:
    """A whole body. What would unfold beyond all measure is refused."""
    unzip = zlib.decompressobj(_GZIP)
    try:
        plain = unzip.decompress(content, WHOLE_LIMIT_BYTES)
    except zlib.error as error:
        raise PeerError(f"the provider's gzip is broken: {error}") from None
    if not unzip.eof:
        raise PeerError("the provider's gzip is cut or too large")
    return plain
