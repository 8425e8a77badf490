"""Retries with the same `Idempotency-Key`: they get the first call's answer, and nothing is asked twice.

Which calls are running, and the answers of those that ended well, all workers of a node know; another node
does not. Failed calls are not kept: a retry of one asks anew, and so does one of a call whose worker died.
An answer that is too large to be kept has been paid for all the same: retries of its call are refused.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import msgspec

from tollhouse.llm.envelope import Envelope
from tollhouse.llm.form import Refusal
from tollhouse.pdk import Exchange, Reject
from tollhouse.pdk.body import MULTIPART
from tollhouse.pdk.messages import Request
from tollhouse.pdk.services import Claims

#: the request header, in lower case
IDEMPOTENCY_KEY: Final = "idempotency-key"
_KEY_CHARACTERS: Final = 255
_BOUNDARY: Final = re.compile(r'boundary="?([^";,]{1,200})"?', re.IGNORECASE)
_REUSED: Final = "this Idempotency-Key was used with another request"
_TOO_LONG: Final = f"an Idempotency-Key has at most {_KEY_CHARACTERS} characters"
_NOT_KEPT: Final = "the call with this Idempotency-Key was answered, and the answer was too large to be kept"


class _Known(msgspec.Struct):
    """What was asked with a key, and what was answered; no content while that is to come."""

    digest: bytes
    content_type: str = ""
    content: bytes | None = None
    #: there was an answer, which is larger than what is kept
    lost: bool = False


_read_known: Final = msgspec.msgpack.Decoder(_Known).decode


@dataclass(slots=True, eq=False)
class First:
    """The first call with a key."""

    key: str
    digest: bytes
    #: an answer beyond this is not kept, in bytes
    limit_bytes: int
    #: it has ended, with or without an answer that can be given again
    over: bool = False
    _pieces: list[bytes] = field(default_factory=list)
    _size: int = 0

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= self.limit_bytes:
            self._pieces.append(piece)

    def taken(self) -> bytes | None:
        """All that was added, `None` if it was too much."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces) if self._size <= self.limit_bytes else None


class Firsts:
    """The first calls of one plugin."""

    def __init__(self, keep_seconds: int, plugin_id: str, claims: Claims) -> None:
        self._keep_seconds = keep_seconds
        self._plugin_id = plugin_id
        self._claims = claims

    def once(
        self, ex: Exchange, envelope: Envelope, begin: Callable[[First], Awaitable[None] | None]
    ) -> Awaitable[None] | None:
        """A call that must not happen twice: the first one goes on though its client hangs up, later ones
        get its answer. Raises `Reject`, also when awaited."""
        try:
            key, digest = self.key_of(ex, ex.request.headers.values[IDEMPOTENCY_KEY])
            first = self.claim(key, digest)
        except Refusal as refusal:
            raise envelope.reject(refusal) from None
        if first is None:
            return self._join(ex, envelope, begin, key)
        ex.outlives_client = True
        return begin(first)

    async def _join(
        self, ex: Exchange, envelope: Envelope, begin: Callable[[First], Awaitable[None] | None], key: str
    ) -> None:
        await self.freed(key)
        waiting = self.once(ex, envelope, begin)
        if waiting is not None:
            await waiting

    def remember(self, ex: Exchange, first: First, content: bytes, *, whole: bool) -> None:
        """Keeps an answer for retries, piece by piece, as the client has it; `whole` with its last piece
        if it has come to a good end."""
        first.add(content)
        response = ex.response
        if whole and response is not None and response.status == 200:
            self.keep(first, response.headers.values.get("content-type", "application/json"))

    def key_of(self, ex: Exchange, chosen: str) -> tuple[str, bytes]:
        """The key and a digest of what is asked. Callers whom no plugin has named are told apart by what
        they present. Raises `Refusal` for a key that is too long."""
        if len(chosen) > _KEY_CHARACTERS:
            raise Refusal(_TOO_LONG)
        headers = ex.request.headers.values
        who = ex.consumer.id if ex.consumer is not None else headers.get("authorization", "")
        asked = sha256(ex.request.target.raw.encode("utf-8", "replace") + b"\n")
        asked.update(_body_of(ex.request))
        key = sha256(f"{who}\n{chosen}".encode("utf-8", "replace")).hexdigest()
        return f"{self._plugin_id}/{key}", asked.digest()

    def claim(self, key: str, digest: bytes) -> First | None:
        """This call as the first with that key; `None` if another is running.

        Raises `Reject` with the answer that the first one got, and `Refusal` if it asked for something
        else."""
        known = self._answered(key, digest)
        if not self._claims.take(key):
            if known is not None and known.digest != digest:
                raise Refusal(_REUSED, 422)
            return None
        try:
            self._answered(key, digest)  # it may have been until a moment ago
        except BaseException:
            self._claims.free(key)
            raise
        self._claims.put(key, msgspec.msgpack.encode(_Known(digest)), self._keep_seconds)
        # Digest and type stand beside the answer.
        return First(key, digest, self._claims.largest_bytes - 1024)

    def _answered(self, key: str, digest: bytes) -> _Known | None:
        """What is known of a call that has not been answered."""
        found = self._claims.find(key)
        known = None if found is None else _read_known(found)
        if known is None or (known.content is None and not known.lost):
            return known
        if known.digest != digest:
            raise Refusal(_REUSED, 422)
        if known.content is None:
            raise Refusal(_NOT_KEPT, 422)
        headers = {"Content-Type": known.content_type, "Idempotency-Replayed": "true"}
        raise Reject(200, body=known.content, headers=headers, exact=True)

    def freed(self, key: str) -> Awaitable[None]:
        """Waits until no call with that key is running."""
        return self._claims.freed(key)

    def keep(self, first: First, content_type: str) -> None:
        """The call has ended well."""
        content = first.taken()
        known = _Known(first.digest, content_type, content, lost=content is None)
        self._claims.put(first.key, msgspec.msgpack.encode(known), self._keep_seconds)
        self._end(first)

    def drop(self, first: First) -> None:
        """Nothing is known of that call any longer; whoever waits for it has to ask."""
        if not first.over:
            self._claims.forget(first.key)
            self._end(first)

    def _end(self, first: First) -> None:
        first.over = True
        self._claims.free(first.key)


def _body_of(request: Request) -> bytes:
    """What is asked for. What separates the parts of a form is made up anew for every attempt."""
    content = request.content or b""
    if request.media_type != MULTIPART:
        return content
    boundary = _BOUNDARY.search(request.headers.values.get("content-type", ""))
    return content if boundary is None else content.replace(boundary[1].encode("latin-1"), b"")
