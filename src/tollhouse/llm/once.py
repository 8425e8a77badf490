"""Retries with the same `Idempotency-Key`: they get the first call's answer, and nothing is asked twice.

Answers are kept in the memory of one worker, within limits of time and size; another worker or node does
not know them. Failed calls are not kept: a retry of one asks anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from tollhouse.llm.form import Refusal
from tollhouse.pdk import Exchange, Reject
from tollhouse.pdk.tasks import Signal

#: answers beyond this are not kept, in bytes
ANSWER_LIMIT_BYTES: Final = 4 * 1024 * 1024
#: all that one plugin keeps in a worker, in bytes
TOTAL_LIMIT_BYTES: Final = 64 * 1024 * 1024
_KEY_CHARACTERS: Final = 255
_REUSED: Final = "this Idempotency-Key was used with another request"
_TOO_LONG: Final = f"an Idempotency-Key has at most {_KEY_CHARACTERS} characters"

#: who calls, and the key that they chose
Key = tuple[str, str]


@dataclass(slots=True, eq=False)
class First:
    """The first call with a key."""

    key: Key
    digest: bytes
    #: set when it has ended, with or without an answer that can be given again
    over: Signal = field(default_factory=Signal)
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    expires: float = 0.0
    _pieces: list[bytes] = field(default_factory=list)
    _size: int = 0

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= ANSWER_LIMIT_BYTES:
            self._pieces.append(piece)

    def taken(self) -> bytes | None:
        """All that was added, `None` if it was too much."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces) if self._size <= ANSWER_LIMIT_BYTES else None

    def again(self) -> Reject:
        """The answer once more."""
        return Reject(200, body=self.content or b"", headers=self.headers, exact=True)


class Firsts:
    """The first calls of one plugin. Instants are seconds of the node's clock."""

    def __init__(self, keep_seconds: int) -> None:
        self._keep_seconds = keep_seconds
        #: in the order of their beginning
        self._known: dict[Key, First] = {}
        self._bytes = 0

    @staticmethod
    def key_of(ex: Exchange, chosen: str) -> tuple[Key, bytes]:
        """The key and a digest of what is asked. Callers whom no plugin has named are told apart by what
        they present. Raises `Refusal` for a key that is too long."""
        if len(chosen) > _KEY_CHARACTERS:
            raise Refusal(_TOO_LONG)
        headers = ex.request.headers.values
        who = ex.consumer.id if ex.consumer is not None else headers.get("authorization", "")
        asked = sha256(ex.request.target.raw.encode("utf-8", "replace") + b"\n")
        asked.update(ex.request.content or b"")
        return (who, chosen), asked.digest()

    def claim(self, key: Key, digest: bytes, now: float) -> tuple[First, bool]:
        """The first call with that key, and whether it is this one. Raises `Refusal` if the other asked
        for something else."""
        known = self._known.get(key)
        if known is not None and known.expires and known.expires <= now:
            self.drop(known)
            known = None
        if known is None:
            first = self._known[key] = First(key, digest)
            return first, True
        if known.digest != digest:
            raise Refusal(_REUSED, 422)
        return known, False

    def keep(self, first: First, headers: Mapping[str, str], now: float) -> None:
        """The call has ended well."""
        first.content = first.taken()
        if first.content is None:
            self.drop(first)
            return
        first.headers = {**headers, "Idempotency-Replayed": "true"}
        first.expires = now + self._keep_seconds
        self._bytes += len(first.content)
        first.over.set()
        for known in list(self._known.values()) if self._bytes > TOTAL_LIMIT_BYTES else ():
            if self._bytes <= TOTAL_LIMIT_BYTES:
                break
            if known.content is not None:
                self.drop(known)

    def drop(self, first: First) -> None:
        """Nothing is known of that call any longer; whoever waits for it has to ask."""
        if self._known.get(first.key) is first:
            del self._known[first.key]
            self._bytes -= len(first.content or b"")
        first.over.set()
