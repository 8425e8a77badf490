"""What a flow needs of the client's connection. `server.connection` is the real one."""

from collections.abc import Callable
from typing import Any, Protocol

from tollhouse.pdk.exchange import ClientSide
from tollhouse.upstream.wait import Wait


class Source(Protocol):
    """Where the bytes of an answer come from; it pauses while the client takes no more."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class BodySink(Protocol):
    """Takes request body content as it arrives."""

    def body_content(self, data: bytes, done: bool) -> None: ...


class Body(Protocol):
    """A request body that is still arriving."""

    done: bool
    received: int

    def collect(self, limit: int) -> Wait | None: ...

    def stream_to(self, sink: BodySink) -> None: ...

    def detach(self) -> None: ...


class Client(ClientSide, Protocol):
    """The client's connection."""

    sni: str | None
    flow: Any
    source: Source | None
    forwarded: str
    forwarded_host: str | None
    writing_paused: bool

    @property
    def body(self) -> Body | None: ...

    def write(self, data: bytes) -> None: ...

    def finish(self, keep_alive: bool) -> None: ...

    def abort(self) -> None: ...

    def tunnel_to(self, write: Callable[[bytes], None]) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...
