"""What a wire form gives: requests, answers and streams, decoded into `chat` and encoded from it.

A form is a package of `formats` that has these functions, for clients that speak it and for providers.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from tollhouse.llm.chat import Chat, ChatRequest, Delta

#: what decoding bytes of a stranger may raise: not JSON, not UTF-8, or nested without end
MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Refusal(Exception):
    """A request that cannot be sent on as it is; the client sees the status and the message."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class Unreadable(Exception):
    """A provider's answer is not what its form promises."""


class StreamDecoder(Protocol):
    """Reads a provider's stream, cut anywhere. What it cannot read becomes a `Failed`, never an exception."""

    def feed(self, data: bytes) -> list[Delta]: ...

    def end(self) -> list[Delta]:
        """The stream has ended; a `Failed` if it was not complete."""
        ...


class StreamEncoder(Protocol):
    """Writes a client's stream."""

    def encode(self, delta: Delta) -> bytes: ...


class Form(Protocol):
    """The functions of a form. `ignored` collects the names of request fields it cannot express and
    that change little; a field that would change the answer is refused (`Refusal`)."""

    STREAM_TYPE: str

    def decode_request(self, body: bytes) -> ChatRequest: ...

    def encode_request(self, chat: ChatRequest, ignored: list[str]) -> dict[str, Any]: ...

    def decode_response(self, body: bytes) -> Chat: ...

    def encode_response(self, chat: Chat) -> dict[str, Any]: ...

    def stream_decoder(self) -> StreamDecoder: ...

    def stream_encoder(self, *, include_usage: bool) -> StreamEncoder: ...


def members_beyond(body: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The members of an object that a form does not name; nulls say nothing and are left out."""
    return {name: value for name, value in body.items() if name not in known and value is not None}
