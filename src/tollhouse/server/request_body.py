"""The part of a request body that did not come along with its head."""

from typing import Final, Protocol

from tollhouse.errors import BadRequest
from tollhouse.pdk.messages import Request
from tollhouse.pdk.wait import Wait
from tollhouse.wire.body import BodyReader

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class BodySink(Protocol):
    """Takes request body content as it arrives."""

    def body_content(self, data: bytes, done: bool) -> None: ...


class _Nowhere:
    """Drops what comes."""

    def body_content(self, data: bytes, done: bool) -> None: ...


class Client(Protocol):
    """The connection that the body arrives on."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def write(self, data: bytes) -> None: ...


class RequestBody(Wait):
    """Collects a body for a plugin that wants it whole, or passes it on as it arrives.

    Until somebody asks, at most `window_bytes` are held; then reading from the client pauses.
    """

    __slots__ = (
        "_client",
        "_collecting",
        "_expects_continue",
        "_held",
        "_holding",
        "_limit",
        "_reader",
        "_refusal",
        "_request",
        "_since",
        "_sink",
        "_window",
        "done",
        "heard",
        "received",
    )

    def __init__(
        self,
        client: Client,
        request: Request,
        reader: BodyReader,
        window: int,
        limit: int,
        *,
        expects_continue: bool,
    ) -> None:
        self._client = client
        self._request = request
        request.received = 0
        self._reader = reader
        self._window = window
        self._limit = limit
        self._refusal: Exception = BadRequest("the request body is too large", 413)
        self._expects_continue = expects_continue
        self._held: list[bytes] = []
        self._holding = 0
        self._sink: BodySink | None = None
        self._collecting = False
        self._since = 0.0
        #: something arrived, or was not waited for, since the clock last looked
        self.heard = True
        self.received = 0
        self.done = False

    # The connection's side

    def feed(self, data: bytes) -> bytes | None:
        """Takes bytes from the wire. Returns what belongs to the next request once complete."""
        content = self._reader.feed(data)
        self._expects_continue = False
        self.heard = True
        self.received += len(content)
        self._request.received = self.received
        self.done = self._reader.done
        if self.received > self._limit:
            raise self._refusal
        if self._sink is not None:
            if content or self.done:
                self._sink.body_content(content, self.done)
        else:
            self._hold(content)
        return self._reader.rest if self.done else None

    def _hold(self, content: bytes) -> None:
        if content:
            self._held.append(content)
            self._holding += len(content)
        if self.done:
            # Complete before anybody streamed it: from now on it is like a body that came with its head.
            self._request.replace_content(b"".join(self._held))
        elif self._holding > self._window:
            self._client.pause_reading()
        if self._collecting and (self.done or self._holding > self._window):
            self._collecting = False
            self.driver.advance()

    def is_overdue(self, now: float, seconds: float, *, waiting: bool) -> bool:
        """Whether the client has sent nothing for so long, though it was `waiting` to be read."""
        if self.heard or self._expects_continue or not waiting:
            self.heard = False
            self._since = now
        return now - self._since > seconds

    # The flow's side

    def collect(self, limit: int) -> Wait | None:
        """Reads the whole body into the request's `content`; await what is returned.

        A body of more than `limit` bytes is left as it is: `content` stays `None`, and what arrived is
        passed on when the body is streamed.
        """
        if self._holding > limit:
            return None
        self._window = limit
        self._collecting = True
        self.invite()
        self._client.resume_reading()
        return self

    def stream_to(self, sink: BodySink) -> None:
        """Passes on what is held and everything that still comes."""
        self._sink = sink
        self.invite()
        # First, for the sink pauses it again if this is already too much.
        self._client.resume_reading()
        held, self._held, self._holding = b"".join(self._held), [], 0
        if held:
            sink.body_content(held, False)

    def detach(self) -> None:
        """Nobody wants the rest; what still comes is dropped."""
        self._sink = _Nowhere()

    def cap(self, limit: int, refusal: Exception) -> None:
        """Ends the exchange with `refusal` once more than `limit` bytes have come."""
        if limit < self._limit:
            self._limit, self._refusal = limit, refusal
            if self.received > limit:
                raise refusal

    def invite(self) -> None:
        """Tells a client that waits for it to send the body."""
        if self._expects_continue:
            self._expects_continue = False
            self._client.write(CONTINUE)
