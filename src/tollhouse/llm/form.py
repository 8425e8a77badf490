"""What a wire form gives: requests, answers, streams and errors, decoded into `chat` and encoded from it.

A form is a package of `formats` that has these functions, for clients that speak it and for providers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from tollhouse.llm.chat import Chat, ChatRequest, Delta, Trouble

#: what decoding bytes of a stranger may raise: not JSON, not UTF-8, or nested without end
MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Refusal(Exception):
    """A request that cannot be sent on as it is; the client sees the status and the message."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class Unsupported(Refusal):
    """A field of a request that a provider's form cannot express. `field` is its name at the top of the
    neutral request, or among its `extra`; an operator may let it be dropped."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Unreadable(Exception):
    """A provider's answer is not what its form promises."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a request's path says where its form does not have it in the body (Gemini, Bedrock)."""

    model: str = ""
    stream: bool = False


NOTHING_TOLD: Final = Told()


@dataclass(frozen=True, slots=True)
class Problem:
    """A call that failed, as every form can tell it. `status` is the provider's, 0 if it is the gateway
    that refuses; `code` and `param` are OpenAI's words for details; `retry_after` is in seconds."""

    trouble: Trouble
    message: str
    status: int = 0
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None


def status_shown(problem: Problem, usual: int) -> int:
    """The status for a client: a provider's own 500 stays what it is, `usual` is for all else."""
    return 500 if problem.trouble == "upstream_error" and problem.status == 500 else usual


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """A problem in a form's envelope. `headers` beside Content-Type and Retry-After, which are the
    caller's business."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class StreamDecoder(Protocol):
    """Reads a provider's stream, cut anywhere. An event that it cannot read is skipped and counted; where
    the stream as such cannot be read on, that becomes a `Failed`, never an exception."""

    #: events that could not be read
    skipped: int

    def feed(self, data: bytes) -> list[Delta]: ...

    def end(self) -> list[Delta]:
        """The stream has ended; a `Failed` if it was not complete."""
        ...


class StreamEncoder(Protocol):
    """Writes a client's stream."""

    def encode(self, delta: Delta) -> bytes: ...


class ServerForm(Protocol):
    """What a provider speaks. `ignored` collects the names of request fields it cannot express and
    that change little; a field that would change the answer is refused (`Refusal`)."""

    def encode_request(self, chat: ChatRequest, ignored: list[str]) -> dict[str, Any]:
        """The body for a provider. Raises `Refusal`."""
        ...

    def decode_response(self, body: bytes) -> Chat:
        """Raises `Unreadable`."""
        ...

    def stream_decoder(self) -> StreamDecoder: ...


class Form(ServerForm, Protocol):
    """The functions of a form that clients speak as well."""

    #: content type of its streams
    STREAM_TYPE: str

    def decode_request(self, body: bytes, told: Told = NOTHING_TOLD) -> ChatRequest:
        """Raises `Refusal` with the place of what is wrong."""
        ...

    def encode_response(self, chat: Chat) -> dict[str, Any]: ...

    def stream_encoder(self, *, include_usage: bool) -> StreamEncoder: ...

    def decode_error(self, status: int, body: bytes, headers: Mapping[str, str]) -> Problem:
        """What a provider's error means, whatever its body is: HTML of a proxy as well. Header names are
        in lower case."""
        ...

    def encode_error(self, problem: Problem) -> ErrorAnswer:
        """The error for a client, with the status that its SDK expects."""
        ...


def seconds_in(headers: Mapping[str, str]) -> float | None:
    """How long to wait, from Retry-After in seconds or OpenAI's finer one; dates are not read."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "")
        if value.replace(".", "", 1).isdecimal():
            return float(value) * unit
    return None


def shown_seconds(seconds: float) -> str:
    """Them as text, with no more digits than they have."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def members_beyond(body: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The members of an object that a form does not name; nulls say nothing and are left out."""
    return {name: value for name, value in body.items() if name not in known and value is not None}
