"""What a flow needs of the client's connection. `server.connection` is the real one."""

from collections.abc import Sequence
from typing import Any, Protocol

from tollhouse.errors import ClientGone
from tollhouse.pdk.exchange import ClientSide
from tollhouse.pdk.wait import Wait
from tollhouse.wire.message import Field


class Running(Protocol):
    """An exchange under way."""

    outlives_client: bool

    def throw(self, error: BaseException) -> None: ...


class Source(Protocol):
    """Where the bytes of an answer come from; it pauses while the client takes no more."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class BodySink(Protocol):
    """Takes request body content as it arrives."""

    def body_content(self, data: bytes, done: bool) -> None: ...


class TunnelEnd(Protocol):
    """The far end of a connection that no longer speaks HTTP."""

    def client_data(self, data: bytes) -> None: ...

    def client_ended(self) -> None: ...


class Body(Protocol):
    """A request body that is still arriving."""

    done: bool
    received: int

    def collect(self, limit: int) -> Wait | None: ...

    def cap(self, limit: int, refusal: Exception) -> None: ...

    def invite(self) -> None: ...

    def stream_to(self, sink: BodySink) -> None: ...

    def detach(self) -> None: ...


class Client(ClientSide, Protocol):
    """The client's connection."""

    #: the client's address as a balancer in front has told it, where it speaks the PROXY protocol
    told_ip: str | None

    #: of HTTP, as `Via` names it
    protocol_version: str
    sni: str | None
    #: the common name in the certificate that the client had to show, if it had to
    peer_name: str | None
    flow: Any
    source: Source | None
    forwarded: str
    forwarded_host: str | None
    writing_paused: bool

    @property
    def local_ip(self) -> str | None:
        """The node's address that the client has come to; `None` for a Unix socket."""
        ...

    @property
    def request_trailers(self) -> Sequence[Field]:
        """Fields after the request's content that may be passed on; complete with the request."""
        ...

    @property
    def body(self) -> Body | None: ...

    def write(self, data: bytes) -> None: ...

    def finish(self, keep_alive: bool) -> None: ...

    def abort(self) -> None: ...

    def tunnel_to(self, end: TunnelEnd) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def goes_on_without(client: Client, error: Exception) -> bool:
    """Whether an exchange is to be taken to its end though its client takes no more of it; the answer
    then comes no slower for that."""
    body = client.body
    if not isinstance(error, ClientGone) or not client.flow.outlives_client:
        return False
    if body is not None and not body.done:
        return False
    if client.source is not None:
        client.source.resume_reading()
    return True
