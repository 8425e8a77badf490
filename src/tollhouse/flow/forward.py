"""Sends the request to a target: pick, send, retry."""

from collections.abc import Awaitable
from time import perf_counter
from typing import TYPE_CHECKING, Final

from tollhouse.errors import Cause, Reject, UpstreamFault
from tollhouse.flow.advertise import PRODUCT
from tollhouse.flow.backend import Backend, Endpoint
from tollhouse.flow.drive import DrivenExchange
from tollhouse.flow.upload import Upload
from tollhouse.pdk.exchange import Try
from tollhouse.upstream.http1 import Arrival, UpstreamConnection
from tollhouse.wire.headers import FieldBlock, Headers
from tollhouse.wire.http1 import KEEP_ALIVE, asks_for_websocket, connection_tokens

if TYPE_CHECKING:
    from tollhouse.flow.gateway import Gateway
    from tollhouse.flow.plan import Plan

NO_SERVICE: Final = "no Service found with those values"
#: Fields that the gateway writes itself, or that end at this hop (RFC 9110 7.6.1).
_NOT_FORWARDED: Final = frozenset(
    {
        "host", "connection", "keep-alive", "proxy-connection", "proxy", "te", "upgrade", "expect",
        "transfer-encoding", "content-length", "via", "x-kong-request-id", "x-real-ip",
        "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port",
        "x-forwarded-path", "x-forwarded-prefix",
    }
)  # fmt: skip
#: An answer that makes no sense is an answer: the target is there and has acted.
_REPEATED: Final = frozenset(
    {
        Cause.CONNECT_REFUSED, Cause.CONNECT_TIMEOUT, Cause.TLS_FAILED,
        Cause.SEND_TIMEOUT, Cause.READ_TIMEOUT, Cause.RESET,
    }
)  # fmt: skip
#: nginx repeats these only if nothing was sent yet.
_NOT_REPEATABLE: Final = frozenset({"POST", "LOCK", "PATCH"})


def begin(ex: DrivenExchange, plan: "Plan", gateway: "Gateway") -> Awaitable[Arrival]:
    """Sends at once if a kept connection is at hand, which is the usual case; else begins attempts."""
    backend = plan.backend
    if ex.upstream_address is not None or ex.service_at is not None or ex.patience is not None:
        backend = gateway.elsewhere(ex, plan)
    if backend is None:
        raise Reject(503, NO_SERVICE)
    endpoint = backend.endpoint
    content = ex.request.content
    if endpoint is None or content is None:
        return _attempts(ex, backend, gateway)
    connection = endpoint.pool.take()
    if connection is None:
        return _attempts(ex, backend, gateway)
    now = ex.sent_at = perf_counter()
    connection.timeouts = backend.timeouts
    ex.connection = connection
    ex.peer = endpoint.pool.address
    head = request_head(ex, endpoint, gateway)
    connection.send(
        head + content if content else head, ex.upstream_method or ex.request.method, now, complete=True
    )
    return connection


async def again(ex: DrivenExchange, plan: "Plan", gateway: "Gateway", fault: UpstreamFault) -> Arrival:
    """Goes on after the first attempt failed, if another is allowed. Raises `UpstreamFault`."""
    backend = plan.backend
    if ex.upstream_address is not None or ex.service_at is not None or ex.patience is not None:
        backend = gateway.elsewhere(ex, plan)
    connection = ex.connection
    if backend is None or connection is None or ex.tries:
        raise fault  # it came out of `_attempts`, which has tried what may be tried
    _note(ex, connection, ex.sent_at, fault)
    if not _may_repeat(ex, backend, fault):
        raise fault
    return await _attempts(ex, backend, gateway)


async def _attempts(ex: DrivenExchange, backend: Backend, gateway: "Gateway") -> Arrival:
    while True:
        endpoint = backend.targets.now(ex) or await gateway.settled(backend.targets.pick(ex))
        host = ex.upstream_host
        if host is not None and ex.upstream_address is None and endpoint.pool.address.tls:
            endpoint = endpoint.for_host(host)
        started = perf_counter()
        ex.sent_at = ex.sent_at or started
        connection: UpstreamConnection | None = None
        try:
            connection = endpoint.pool.take()
            if connection is None:
                connection = await gateway.settled(endpoint.pool.connect(backend.timeouts.connect))
            return await _send(ex, gateway, backend, endpoint, connection)
        except UpstreamFault as fault:
            _note(ex, connection, started, fault, endpoint)
            if not _may_repeat(ex, backend, fault):
                raise


async def _send(
    ex: DrivenExchange,
    gateway: "Gateway",
    backend: Backend,
    endpoint: Endpoint,
    connection: UpstreamConnection,
) -> Arrival:
    request = ex.request
    connection.timeouts = backend.timeouts
    ex.connection = connection
    ex.peer = endpoint.pool.address
    content = request.content
    complete = content is not None
    head = request_head(ex, endpoint, gateway)
    method = ex.upstream_method or request.method
    if complete and ex.remake is None:
        connection.pass_trailers(ex.client.request_trailers)
    connection.send(head + (content or b""), method, perf_counter(), complete=complete)
    if not complete:
        ex.upload = Upload(ex.client, connection, chunked=request.chunked)
        ex.upload.start()
    return await connection


def _may_repeat(ex: DrivenExchange, backend: Backend, fault: UpstreamFault) -> bool:
    """Kong's rule: `retries` more attempts, for failures of the connection only; what may have been
    acted upon is repeated only if that does no harm. A kept connection that the target had closed in
    the meantime does not count."""
    if fault.cause not in _REPEATED or ex.upload is not None:
        return False
    if fault.sent and (ex.upstream_method or ex.request.method) in _NOT_REPEATABLE:
        return False
    tries = ex.tries or []
    return tries[-1].stale or sum(not attempt.stale for attempt in tries) <= backend.retries


def _note(
    ex: DrivenExchange,
    connection: UpstreamConnection | None,
    started: float,
    fault: UpstreamFault,
    endpoint: Endpoint | None = None,
) -> None:
    """Remembers a failed attempt, for the retry rule and the log record."""
    pool = connection.pool if connection is not None else endpoint.pool if endpoint is not None else None
    stale = connection is not None and connection.carried > 1 and fault.cause is Cause.RESET
    attempt = Try(pool.address.host, pool.address.port, started) if pool is not None else Try("", 0, started)
    attempt.ended = perf_counter()
    attempt.state, attempt.code, attempt.stale = "failed", fault.status, stale
    ex.tries = [*(ex.tries or ()), attempt]
    if ex.lease is not None:
        ex.failed_members = (*ex.failed_members, ex.lease.failed(fault.status, stale=stale))
        ex.lease = None


def request_head(ex: DrivenExchange, endpoint: Endpoint, gateway: "Gateway") -> bytes:
    """The request head for the upstream, up to and including its empty line."""
    request = ex.request
    headers = request.headers
    matched = ex.matched
    if matched is None:
        raise Reject(503, NO_SERVICE)
    if ex.remake is not None:
        return _own_head(ex, endpoint, ex.upstream_target or matched.upstream_target)
    block = headers.block
    added = b"" if headers.values is block.values else headers.added(_NOT_FORWARDED)
    if added is None:
        hop, lines, is_first_hop = _forwarded(headers, gateway, ex.client.protocol_version)
        added = b""
    else:
        hop, lines, is_first_hop = block.forwarded or _remembered(block, gateway, ex.client.protocol_version)
    client = ex.client
    if is_first_hop and client.forwarded_host == headers.values.get("host"):
        forwarded = client.forwarded + matched.forwarded
    else:
        forwarded = gateway.forwarded(ex, matched)
    request_id = f"X-Kong-Request-Id: {ex.request_id}\r\n" if gateway.id_upstream else ""
    head = (
        f"{ex.upstream_method or request.method} {ex.upstream_target or matched.upstream_target} "
        f"HTTP/1.1\r\nHost: {ex.upstream_host or endpoint.host}\r\n"
        f"{hop}{forwarded}{request_id}{request.framing}"
    )
    return b"".join((head.encode("latin-1"), lines, added, b"\r\n"))


def _own_head(ex: DrivenExchange, endpoint: Endpoint, target: str) -> bytes:
    """The head where the gateway asks for itself: nothing of the client's hop, as from Kong."""
    request = ex.request
    method, host = ex.upstream_method or request.method, ex.upstream_host or endpoint.host
    agent = "" if "user-agent" in request.headers.values else "User-Agent: tollhouse\r\n"
    length = len(request.content or b"")
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{agent}Content-Length: {length}\r\n"
    return b"".join((head.encode("latin-1"), request.headers.without(_NOT_FORWARDED), b"\r\n"))


def _remembered(block: FieldBlock, gateway: "Gateway", version: str) -> tuple[str, bytes, bool]:
    """What the client's fields decide of a head, for all requests that come with the same ones."""
    forwarded = block.forwarded = _forwarded(Headers.of(block), gateway, version)
    return forwarded


def _forwarded(headers: Headers, gateway: "Gateway", version: str) -> tuple[str, bytes, bool]:
    """The fields of this hop, the lines that go along, and whether there is no X-Forwarded-For."""
    values = headers.values
    unwanted, hop = _NOT_FORWARDED, "Connection: keep-alive\r\n"
    if "connection" in values or "te" in values:
        unwanted, hop = _hop_by_hop(headers)
    own = f"{version} {PRODUCT}"
    via = f"Via: {values['via']}, {own}\r\n" if "via" in values else f"Via: {own}\r\n"
    return f"{hop}{via}", headers.without(unwanted), "x-forwarded-for" not in values


def _hop_by_hop(headers: Headers) -> tuple[frozenset[str], str]:
    """What not to forward of this request's own hop, and the hop's fields towards the upstream."""
    values = headers.values
    tokens = connection_tokens(headers)
    fields = "Connection: keep-alive\r\n"
    if asks_for_websocket(headers):
        fields = f"Connection: keep-alive, Upgrade\r\nUpgrade: {values['upgrade']}\r\n"
    if "trailers" in values.get("te", "").lower():
        fields += "TE: trailers\r\n"
    if tokens <= {"", KEEP_ALIVE, "close", "upgrade", "te"}:
        return _NOT_FORWARDED, fields
    # Only what the client sent is the client's to withhold, not what a plugin put there since.
    return _NOT_FORWARDED | {token for token in tokens if headers.is_original(token)}, fields
