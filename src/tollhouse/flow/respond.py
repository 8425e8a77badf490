"""The way back: the upstream's answer or the gateway's own, through the plugins, to the client."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Final, cast

from tollhouse.errors import Cause, Reject, TryAnother, UpstreamFault
from tollhouse.flow import answers
from tollhouse.flow.advertise import PRODUCT
from tollhouse.flow.download import Download, collect, takes_trailers
from tollhouse.flow.drive import DrivenExchange
from tollhouse.flow.tunnel import tunnel
from tollhouse.pdk.exchange import Exchange
from tollhouse.pdk.messages import Request, Response
from tollhouse.upstream.http1 import Arrival
from tollhouse.wire.body import LAST_CHUNK, chunk
from tollhouse.wire.headers import Headers
from tollhouse.wire.http1 import CHUNKED, KEEP_ALIVE, asks_for_websocket, connection_tokens

if TYPE_CHECKING:
    from tollhouse.flow.gateway import Gateway
    from tollhouse.flow.plan import Plan, Step

log = logging.getLogger("tollhouse.flow")

#: Fields that the gateway writes itself, or that end at this hop (RFC 9110 7.6.1).
_NOT_RETURNED: Final = frozenset(
    {
        "connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-connection", "trailer", "via",
        "x-kong-upstream-latency", "x-kong-proxy-latency", "x-kong-request-id",
    }
)  # fmt: skip
#: what the body is sent by, whatever Connection says of it
_FRAMING: Final = frozenset({"content-length"})
_NOTHING: Final[frozenset[str]] = frozenset()
#: what tells a client that takes trailers which ones will come
_ANNOUNCED: Final = frozenset({"trailer"})
#: values of Connection that name no field
_PLAIN_HOPS: Final = ("close", KEEP_ALIVE)
_WITHOUT_BODY: Final = frozenset({204, 304})


def relay(ex: DrivenExchange, plan: "Plan", gateway: "Gateway", arrival: Arrival) -> Awaitable[None] | None:
    """Sends the upstream's answer on: at once if it is all here, else what is returned must be awaited."""
    response, content, done = arrival
    ex.answered_at = perf_counter()
    ex.response = response
    ex.upstream_status = response.status
    if response.status == 101:
        return _switch(ex, plan, gateway, response, content)
    if done:
        ex.connection = None
    if ex.failover is not None and ex.failover.refuses(ex, response):
        raise TryAnother
    if ex.remake is not None:
        return _remade(ex, gateway, response, content, ex.remake, done=done)
    if not done:
        whole = bool(plan.response) or ex.wants_whole_response
        return (
            _collected(ex, plan, gateway, response, content)
            if whole
            else _stream(ex, plan, gateway, response, content)
        )
    response.content = content
    if plan.response:
        return _examined(ex, plan, gateway, response)
    _filter_head(ex, plan, response)
    _send_whole(ex, plan, gateway, response)
    return None


def _filter_head(ex: DrivenExchange, plan: "Plan", response: Response) -> None:
    """The phases between the upstream's answer and the client. What plugins put on the answer is only
    put among its fields if somebody looks at them."""
    if plan.merges_early:
        put_early(ex, response)
    for phase in plan.header_filter:
        phase(ex)


def put_early(ex: DrivenExchange, response: Response) -> None:
    for fields in ex.early_headers:
        response.headers.prepend(fields)
    ex.early_headers = ()


async def _remade(
    ex: DrivenExchange,
    gateway: "Gateway",
    response: Response,
    content: bytes,
    remake: Callable[[Exchange], Awaitable[None]],
    *,
    done: bool,
) -> None:
    """Lets a plugin answer in place of the upstream, by raising `Reject`."""
    response.content = content if done else await collect(ex, content)
    await gateway.settled(remake(ex))


async def _collected(
    ex: DrivenExchange, plan: "Plan", gateway: "Gateway", response: Response, content: bytes
) -> None:
    response.content = await collect(ex, content)
    await _examined(ex, plan, gateway, response)


async def _examined(ex: DrivenExchange, plan: "Plan", gateway: "Gateway", response: Response) -> None:
    """Lets the phases see the whole answer, which may take them a while, and sends it."""
    if plan.merges_early:
        put_early(ex, response)
    for phase in plan.response:
        waiting = phase(ex)
        if waiting is not None:
            await gateway.settled(waiting)
    _filter_head(ex, plan, response)
    _send_whole(ex, plan, gateway, response)


def _send_whole(ex: DrivenExchange, plan: "Plan", gateway: "Gateway", response: Response) -> None:
    """Sends an upstream's answer whose body is all here, head and body in one write."""
    content = response.content or b""
    for body_filter in plan.body_filter:
        content = body_filter(ex, content, True)
    unwanted = _NOTHING
    framing = ""
    if ex.request.method == "HEAD":
        content = b""  # the upstream may have been asked by another method
    elif (
        len(content) != response.body or "content-length" not in response.headers.values
    ) and response.status not in _WITHOUT_BODY:
        unwanted = _FRAMING
        if response.body == CHUNKED and ex.request.minor and ex.client.protocol_version != "2":
            framing = "Transfer-Encoding: chunked\r\n"
            content = chunk(content) + LAST_CHUNK if content else LAST_CHUNK
        else:
            framing = f"Content-Length: {len(content)}\r\n"
    head = _proxied_head(ex, gateway, response, unwanted, framing)
    ex.head_bytes = len(head)
    data = head + content
    ex.bytes_out += len(data)
    ex.ended_at = perf_counter()
    client = ex.client
    client.write(data)
    client.finish(ex.request.keep_alive)


async def _stream(
    ex: DrivenExchange, plan: "Plan", gateway: "Gateway", response: Response, content: bytes
) -> None:
    response.content = None
    _filter_head(ex, plan, response)
    client = ex.client
    connection = ex.connection
    if cast("bytes | None", response.content) is not None:
        give_up_upstream(ex)  # a plugin has put a body of its own in place of the upstream's
        _send_whole(ex, plan, gateway, response)
        return
    if connection is None:
        raise UpstreamFault(Cause.TRUNCATED, "the connection has gone", sent=True)
    keep_alive = ex.request.keep_alive
    if response.body >= 0 and not plan.changes_body and "content-length" in response.headers.values:
        chunked, unwanted, framing = False, _NOTHING, ""
    elif ex.request.minor:
        chunked, unwanted, framing = True, _FRAMING, "Transfer-Encoding: chunked\r\n"
    else:
        # A 1.0 client knows no chunks: the body ends with the connection.
        chunked, unwanted, framing, keep_alive = False, _FRAMING, "", False
        ex.request.keep_alive = False
    head = partial(_proxied_head, ex, gateway, response, unwanted, framing)
    download = Download(ex, plan.body_filter, head, chunked=chunked)
    download.begin(content)
    connection.watch = ex.watch
    client.source = connection
    connection.stream_to(download)
    if client.writing_paused:
        connection.pause_reading()
    await download
    ex.connection = None
    ex.ended_at = perf_counter()
    client.finish(keep_alive)


async def _switch(
    ex: DrivenExchange, plan: "Plan", gateway: "Gateway", response: Response, content: bytes
) -> None:
    """Passes `101 Switching Protocols` on and joins both connections."""
    connection = ex.connection
    if connection is None or ex.client.body is not None or not asks_for_websocket(ex.request.headers):
        raise UpstreamFault(Cause.BAD_RESPONSE, "switched protocols without being asked", sent=True)
    if plan.merges_early:
        put_early(ex, response)
    for phase in plan.header_filter:
        phase(ex)
    framing = f"Connection: upgrade\r\nUpgrade: {response.headers.values.get('upgrade', 'websocket')}\r\n"
    head = _proxied_head(ex, gateway, response, _FRAMING, framing)
    ex.head_sent = True
    await tunnel(ex, connection, head + content)


def _proxied_head(
    ex: DrivenExchange,
    gateway: "Gateway",
    response: Response,
    unwanted: frozenset[str],
    framing: str,
) -> bytes:
    """The response head up to and including its empty line; `unwanted` are fields that `framing` or
    the body rule out."""
    headers = response.headers
    block = headers.block
    known = block.returned if headers.values is block.values else None
    kept_back, lines, beside, is_dated = known or _returned(headers, gateway, response.version)
    if "trailer" in headers.values and takes_trailers(ex):
        kept_back = kept_back - _ANNOUNCED
        lines = headers.without(kept_back)
    early = b""
    for fields in ex.early_headers:
        early += fields.data
        if fields.unwanted and not headers.values.keys().isdisjoint(fields.unwanted):
            unwanted = unwanted.union(fields.unwanted)
    if unwanted:
        lines = headers.without(kept_back | unwanted)
    request = ex.request
    if not request.keep_alive or not request.minor or gateway.draining:
        framing += _connection_field(request, gateway)
    # RFC 9110 6.6.1; not one of `gateway_fields`, for Kong's log records do not have nginx's own.
    date = "" if is_dated else f"Date: {gateway.date()}\r\n"
    if gateway.plain_headers:
        sent = ex.sent_at
        own = ex.gateway_fields = (
            f"X-Kong-Upstream-Latency: {int((ex.answered_at - sent) * 1000)}\r\n"
            f"X-Kong-Proxy-Latency: {int((sent - ex.started) * 1000)}\r\n"
            f"{beside}X-Kong-Request-Id: {ex.request_id}\r\n{framing}\r\n"
        )
    else:
        lines = headers.without((kept_back | unwanted) - gateway.upstream_may_set)
        own = ex.gateway_fields = f"{gateway.proxied_headers(ex, response)}{framing}\r\n"
    line = response.line or _status_line(response.status)
    return b"".join((line, early, lines, f"{date}{own}".encode("latin-1")))


def _returned(headers: Headers, gateway: "Gateway", version: str) -> tuple[frozenset[str], bytes, str, bool]:
    """What of a head the upstream's fields decide; remembered with their block if nobody has
    changed them."""
    values = headers.values
    kept_back = _NOT_RETURNED
    if "connection" in values and (values["connection"] not in _PLAIN_HOPS or headers.has_repeats):
        kept_back = kept_back | connection_tokens(headers) - _FRAMING
    content_type = values.get("content-type")
    if content_type is not None and content_type.startswith("text/"):
        _add_charset(headers, content_type, gateway.charset)
        values = headers.values
    via = f"{version} {PRODUCT}"
    if "via" in values:
        via = f"{values['via']}, {via}"
    server = "" if "server" in values else gateway.server_field
    returned = kept_back, headers.without(kept_back), f"Via: {via}\r\n{server}", "date" in values
    if values is headers.block.values:
        headers.block.returned = returned
    return returned


def _add_charset(headers: Headers, content_type: str, charset: str | None) -> None:
    """nginx names the charset of text that has none (`charset UTF-8` in Kong's configuration)."""
    if charset and "charset" not in content_type.lower() and content_type not in ("text/event-stream",):
        headers.set("Content-Type", f"{content_type}; charset={charset}")


def _connection_field(request: Request, gateway: "Gateway") -> str:
    return (
        "Connection: keep-alive\r\n"
        if request.keep_alive and not gateway.draining
        else "Connection: close\r\n"
    )


def _status_line(status: int) -> bytes:
    return b"HTTP/1.1 %d %b\r\n" % (status, answers.reason(status).encode())


def own(
    ex: DrivenExchange, gateway: "Gateway", response: Response, *, close: bool = False, proxied: bool = False
) -> None:
    """Sends an answer that the gateway gives itself; `proxied` if an upstream had been tried."""
    give_up_upstream(ex)
    client = ex.client
    if ex.head_sent:
        client.abort()
        return
    keep_alive = ex.request.keep_alive = ex.request.keep_alive and not close
    client.write(_own_answer(ex, gateway, response, proxied=proxied))
    client.finish(keep_alive)


def refusal(ex: DrivenExchange, gateway: "Gateway", response: Response) -> None:
    """Answers bytes that are no request, of which plugins that are for everything learn all the same. What
    becomes of the connection is for whoever holds it."""
    ex.request.keep_alive = False
    ex.client.write(_own_answer(ex, gateway, response, proxied=False))
    run_quietly(ex, ex.plan.log)


def _own_answer(ex: DrivenExchange, gateway: "Gateway", response: Response, *, proxied: bool) -> bytes:
    """The whole answer on the wire, once plugins have seen it."""
    ex.response = response
    request = ex.request
    run_quietly(ex, ex.plan.own_answer)
    put_early(ex, response)
    run_quietly(ex, ex.plan.header_filter)
    put_early(ex, response)
    content = _filtered_quietly(ex, response.content or b"")
    headers = response.headers
    if ex.counts_as_proxied and headers.values.get("content-type", "").startswith("text/"):
        _add_charset(headers, headers["content-type"], gateway.charset)
    if response.status not in _WITHOUT_BODY:
        headers.set("Content-Length", str(len(content)))
    fields = f"Date: {gateway.date()}\r\n"
    if ex.counts_as_proxied:
        fields = gateway.proxied_headers(ex, response)
    else:
        fields += gateway.proxied_headers(ex) if proxied else gateway.own_headers(ex)
    if not request.keep_alive or not request.minor or gateway.draining:
        fields += _connection_field(request, gateway)
    ex.gateway_fields = fields
    head = f"{fields}\r\n".encode("latin-1")
    body = b"" if request.method == "HEAD" or response.status in _WITHOUT_BODY else content
    data = b"".join((_status_line(response.status), headers.without(frozenset()), head, body))
    ex.bytes_out += len(data)
    ex.head_bytes = len(data) - len(body)
    ex.ended_at = perf_counter()
    return data


def _filtered_quietly(ex: DrivenExchange, content: bytes) -> bytes:
    for body_filter in ex.plan.body_filter:
        try:
            content = body_filter(ex, content, True)
        except Exception:  # a plugin's bug, seen in the log; the answer goes out without its doing
            log.exception("a plugin failed at the body of the answer to %s", ex.request_id)
    return content


def run_quietly(ex: DrivenExchange, phases: "tuple[Step, ...]") -> None:
    """Runs phases that must not stop one another: those of error answers, and logging."""
    for phase in phases:
        try:
            phase(ex)
        except Exception:  # a plugin's bug, seen in the log; the answer is on its way already
            log.exception("a plugin failed after the answer to %s was made", ex.request_id)


def refused(ex: DrivenExchange, gateway: "Gateway", reject: Reject) -> None:
    """Answers for a decision of the gateway or a plugin."""
    response = answers.of_reject(reject, ex.request, ex.request_id, pages=gateway.pages)
    own(ex, gateway, response)


def failed(ex: DrivenExchange, gateway: "Gateway", fault: UpstreamFault) -> None:
    """Answers for an upstream that could not, or cuts the answer that it had begun."""
    log.info("exchange %s: %s", ex.request_id, fault)
    ex.unexpected = True
    ex.answered_at = ex.answered_at or perf_counter()
    ex.upstream_status = ex.upstream_status or fault.status
    response = answers.error_page(ex.request, fault.status, ex.request_id, pages=gateway.pages)
    own(ex, gateway, response, proxied=True)


def gone(ex: DrivenExchange) -> None:
    """The client has gone: nobody is there to answer."""
    give_up_upstream(ex)
    ex.ended_at = perf_counter()
    ex.client.abort()


def give_up_upstream(ex: DrivenExchange) -> None:
    """Ends what is under way towards the upstream."""
    connection, ex.connection = ex.connection, None
    if connection is not None:
        connection.close()
    if ex.upload is not None:
        ex.upload.stop()
