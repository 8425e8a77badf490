"""One request and its response, as plugins see them."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import msgspec

from tollhouse.errors import UpstreamFault
from tollhouse.model.entities import Consumer, Credential, Route, Service
from tollhouse.pdk.caller import Caller
from tollhouse.pdk.messages import ArrivingBody, Request, Response, grouped_arguments
from tollhouse.wire.fields import FieldSet, wire_field
from tollhouse.wire.uri import Target

T = TypeVar("T")


class ClientSide(Protocol):
    """The client's connection, as far as plugins may know it."""

    peer_ip: str
    peer_port: int
    scheme: str
    port: int
    number: int
    requests: int
    #: what the client has shown of itself in the TLS handshake, DER, its own certificate first
    certificates: tuple[bytes, ...]
    #: version of TLS and cipher suite in OpenSSL's words; `None` without TLS
    tls: tuple[str, str] | None

    @property
    def body(self) -> ArrivingBody | None:
        """The part of the request body that is still to come; `None` when all is here."""
        ...


#: what a regex path captured: by name, and by position (`None` for a group that took no part)
Captures = tuple[Mapping[str, str], tuple[str | None, ...]]


class Matched:
    """What the router found for a request target.

    `captures` holds what a regex path captured, by name and by number (the first at index 0).
    """

    __slots__ = (
        "captures",
        "forwarded",
        "plan",
        "prefix",
        "route",
        "service",
        "upstream_path",
        "upstream_target",
    )

    def __init__(
        self,
        route: Route,
        service: Service | None,
        plan: Any,
        target: Target,
        upstream_path: str,
        prefix: str,
        captures: Captures | None,
    ) -> None:
        self.route = route
        self.service = service
        self.plan = plan
        self.upstream_path = upstream_path
        #: path and query for the upstream's request line
        self.upstream_target = upstream_path if target.query is None else f"{upstream_path}?{target.query}"
        self.prefix = prefix
        self.captures = captures
        shown = f"X-Forwarded-Prefix: {prefix}\r\n" if prefix else ""
        #: the lines that tell the upstream what the client asked for
        self.forwarded = f"X-Forwarded-Path: {target.path}\r\n{shown}"


class Peer(Protocol):
    """An address that requests are sent to."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...


@dataclass(slots=True)
class Try:
    """One attempt to get an answer from a target. Instants in seconds of the node's clock."""

    ip: str
    port: int
    started: float
    ended: float = 0.0
    state: str | None = None
    code: int | None = None
    #: it failed because a kept connection had been closed by the target; not counted as a retry
    stale: bool = False


class Patience(msgspec.Struct, frozen=True, cache_hash=True):
    """How long to wait for an upstream, in seconds: for the first byte of its answer, from one piece of
    it to the next, and for all of it. Where `first` or `gap` is `None`, the service's own read timeout
    holds if somebody has set one, else what `USUAL_PATIENCE` says. What else is `None` is as the service
    has it: the time to connect, that between two writes, and how often a failed connection is retried."""

    first: float | None = None
    gap: float | None = None
    total: float = float("inf")
    connect: float | None = None
    write: float | None = None
    retries: int | None = None

    def with_read(self, read: float) -> "tuple[float, float, float]":
        """First, gap and total beside a service that has this read timeout."""
        is_set = read != KONG_READ_SECONDS
        first, gap = (read, read) if is_set else USUAL_PATIENCE
        return self.first or first, self.gap or gap, self.total


#: Kong's default of a service's `read_timeout`
KONG_READ_SECONDS: Final = 60.0
#: first and gap where nobody has set anything: models think long before they answer
USUAL_PATIENCE: Final = (300.0, 60.0)


@dataclass(frozen=True, slots=True)
class OwnStream:
    """An answer that a plugin makes piece by piece. `pieces` are bytes and the seconds to wait before
    them; `is_cut`: the connection ends after them as if it had broken off."""

    status: int
    content_type: str
    pieces: Iterable[tuple[float, bytes]]
    is_cut: bool = False


class Failover(Protocol):
    """A plugin that knows other targets for a request. It is asked only while nothing of an answer has
    reached the client."""

    def refuses(self, ex: "Exchange", response: Response) -> bool:
        """Whether this answer, of which the head is known, is not for the client; then `again` follows."""
        ...

    async def again(self, ex: "Exchange", failure: Exception) -> bool:
        """Directs the exchange to another target, after `failure` of the last one; `False` if that is to
        be the client's answer. May raise `Reject`."""
        ...


class Exchange:
    """One request and its response.

    Instants are seconds on the node's monotonic clock, 0.0 while they have not come. Plugins keep
    their own state in a typed slot (`ex.slot(Seen)`), never under a string key.
    """

    matched: Matched | None = None
    consumer: Consumer | None = None
    credential: Credential | None = None
    #: groups for access lists that whoever recognised the caller tells, where no consumer has them
    authenticated_groups: tuple[str, ...] | None = None
    response: Response | None = None
    #: the id that a plugin gave the request, or found on it, to be found again in logs
    correlation_id: str | None = None
    #: what a plugin puts in place of the service's address (scheme, host, port), of path and query,
    #: and of the Host that the upstream gets
    upstream_address: tuple[str, str, int] | None = None
    upstream_target: str | None = None
    upstream_host: str | None = None
    #: host or upstream, and port if it is another one, in place of the service's own; all else is as the
    #: service has it
    service_at: tuple[str, int | None] | None = None
    #: the method towards the upstream, where a plugin wants another one than the client's
    upstream_method: str | None = None
    #: set by a plugin that gives an upstream's answer itself: the client is told as if it were asked now
    counts_as_proxied: bool = False
    #: the answer is the gateway's because something failed, not because somebody has decided so
    unexpected: bool = False
    #: fields that plugins put on the answer before there is one; they stand before the upstream's own
    early_headers: tuple[FieldSet, ...] = ()
    #: set by a plugin that must see the whole answer before its head goes out
    wants_whole_response: bool = False
    #: set in `header_filter` by a plugin that must see the beginning of a streamed body before its head
    #: goes out, and unset by its `body_filter`. Until then nothing reaches the client, and an error,
    #: also a `Reject` that `body_filter` raises, becomes an answer of its own.
    holds_head: bool = False
    #: what a plugin says to the client in place of the rest, if the upstream breaks off within the body
    last_words: Callable[[UpstreamFault], bytes] | None = None
    #: asked a few times a second while a body streams, with the instant: why it must end, else `None`
    watch: Callable[[float], str | None] | None = None
    #: how long to wait for the upstream, where a plugin knows better than the service
    patience: Patience | None = None
    #: set by a plugin that has other targets for the request, should this one fail
    failover: Failover | None = None
    #: set by a plugin in `access` that gives another answer in place of the upstream's: awaited once that
    #: is here whole, in `response.content`; it raises `Reject`. As in Kong the upstream is asked by the
    #: gateway itself then, and told nothing of the client's way here.
    remake: Callable[["Exchange"], Awaitable[None]] | None = None
    #: set by a plugin in `access` that answers in place of an upstream, and not at once
    own_stream: OwnStream | None = None
    #: the upstream's answer is taken to its end though the client has gone
    outlives_client: bool = False
    sent_at: float = 0.0
    answered_at: float = 0.0
    ended_at: float = 0.0
    #: the lines that the gateway put on the answer, as text
    gateway_fields: str = ""
    #: bytes of the answer on the wire, and those of them that are its head
    bytes_out: int = 0
    head_bytes: int = 0
    upstream_status: int = 0
    #: the address that answered
    peer: Peer | None = None
    #: the attempts that failed
    tries: list[Try] | None = None

    def __init__(self, client: ClientSide, request: Request, request_id: str, started: float) -> None:
        self.client = client
        self.request = request
        self.request_id = request_id
        self.started = started
        self.client_ip = client.peer_ip
        self._slots: dict[type, Any] = {}

    @property
    def route(self) -> Route | None:
        return self.matched.route if self.matched is not None else None

    @property
    def service(self) -> Service | None:
        return self.matched.service if self.matched is not None else None

    @property
    def bytes_in(self) -> int:
        """Bytes of the request on the wire, as far as they have come."""
        return self.request.head_bytes + self.request.received

    def patience_of_service(self) -> Patience:
        """What a plugin has set so far, or else the service's own timeouts and retries."""
        service = self.service
        if self.patience is not None or service is None:
            return self.patience or Patience()
        read = (service.read_timeout or 60_000) / 1000
        connect, write = service.connect_timeout or 60_000, service.write_timeout or 60_000
        return Patience(
            first=read, gap=read, connect=connect / 1000, write=write / 1000, retries=service.retries
        )

    @property
    def upstream_query(self) -> str | None:
        """The query that the upstream gets, without `?`."""
        if self.upstream_target is None:
            return self.request.target.query
        _, mark, query = self.upstream_target.partition("?")
        return query if mark else None

    def upstream_arguments(self) -> dict[str, Any]:
        """Query arguments as the upstream gets them; a repeated one has a list, one without `=` `True`."""
        return grouped_arguments(self.upstream_query)

    def send_upstream(self, *, path: str | None = None, query: str | None = None) -> None:
        """Puts another path or query (without `?`, empty for none) in place of what the upstream gets."""
        if self.matched is None:
            return
        before, mark, had = (self.upstream_target or self.matched.upstream_target).partition("?")
        tail = (f"?{query}" if query else "") if query is not None else mark + had
        self.upstream_target = (before if path is None else path) + tail

    def add_early_headers(self, fields: FieldSet) -> None:
        """Puts fields on the answer, whoever will make it."""
        self.early_headers += (fields,)

    def set_early_header(self, name: str, value: str) -> None:
        """Puts one field on the answer, whoever will make it."""
        self.add_early_headers(FieldSet.of((wire_field(name, value),)))

    def slot(self, kind: type[T]) -> T:
        """This exchange's object of that type, made without arguments when first asked for."""
        found = self._slots.get(kind)
        if found is None:
            found = self._slots[kind] = kind()
        return found

    def put(self, value: object) -> None:
        """Puts an object in the place of this exchange's own of its type."""
        self._slots[type(value)] = value

    def peek(self, kind: type[T]) -> T | None:
        """This exchange's object of that type if somebody made it."""
        return self._slots.get(kind)

    def authenticate(self, caller: Caller) -> None:
        """Attaches who is calling and tells the upstream."""
        self.consumer = caller.consumer
        self.credential = caller.credential
        self.request.headers.assign(caller.fields)
