"""An answer as caches keep it."""

from typing import Any

import msgspec

#: changes when older entries can no longer be read
VERSION = 1


class CachedAnswer(msgspec.Struct, frozen=True):
    """`stored_at` in seconds since the epoch, `ttl` in seconds."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    stored_at: float
    ttl: float
    #: of the request, where it is part of the key
    request_body: bytes = b""
    version: int = VERSION

    def encoded(self) -> bytes:
        return msgspec.msgpack.encode(self)

    def shown(self, key: str) -> dict[str, Any]:
        """As Kong's Admin API shows what it keeps under a key; headers that occur more than once have a
        list."""
        headers: dict[str, Any] = {"X-Cache-Key": key}
        for lower, value in self.headers:
            name = "-".join(word.capitalize() for word in lower.split("-"))
            before = headers.get(name)
            headers[name] = (
                value if before is None else [*(before if isinstance(before, list) else [before]), value]
            )
        return {
            "status": self.status,
            "headers": headers,
            "body": self.body.decode("utf-8", "replace"),
            "body_len": len(self.body),
            "timestamp": int(self.stored_at),
            "ttl": self.ttl,
            "version": self.version,
            "req_body": self.request_body.decode("utf-8", "replace"),
        }


def decoded(data: bytes) -> CachedAnswer | None:
    """`None` for what another version has written."""
    try:
        answer = msgspec.msgpack.decode(data, type=CachedAnswer)
    except msgspec.DecodeError:
        return None
    return answer if answer.version == VERSION else None
