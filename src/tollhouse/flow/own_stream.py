"""Sends an answer that a plugin makes piece by piece, in place of an upstream's."""

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

from tollhouse.flow import answers, respond
from tollhouse.flow.drive import DrivenExchange
from tollhouse.pdk.exchange import OwnStream
from tollhouse.pdk.messages import Response
from tollhouse.wire.body import LAST_CHUNK, chunk

if TYPE_CHECKING:
    from tollhouse.flow.gateway import Gateway
    from tollhouse.flow.plan import Plan


async def send(ex: DrivenExchange, plan: "Plan", gateway: "Gateway", own: OwnStream) -> None:
    """Sends it to its end. The client's going away ends it."""
    response = ex.response = Response.own(own.status, content_type=own.content_type)
    response.content = None
    respond.put_early(ex, response)
    for phase in plan.header_filter:
        phase(ex)
    respond.put_early(ex, response)
    chunked = bool(ex.request.minor)
    ex.request.keep_alive = ex.request.keep_alive and chunked
    _write(ex, _head(ex, gateway, response, chunked=chunked))
    ex.head_bytes, ex.head_sent = ex.bytes_out, True
    for delay, piece in own.pieces:
        if delay:
            await gateway.settled(asyncio.sleep(delay))
        data = _filtered(ex, plan, piece, last=False)
        if data:
            _write(ex, chunk(data) if chunked else data)
    ex.ended_at = perf_counter()
    if own.is_cut:
        # What was written goes out before the end that is none.
        ex.client.finish(False)
        return
    data = _filtered(ex, plan, b"", last=True)
    end = LAST_CHUNK if chunked else b""
    _write(ex, (chunk(data) if chunked and data else data) + end)
    ex.client.finish(ex.request.keep_alive)


def _filtered(ex: DrivenExchange, plan: "Plan", data: bytes, *, last: bool) -> bytes:
    for body_filter in plan.body_filter:
        data = body_filter(ex, data, last)
    return data


def _head(ex: DrivenExchange, gateway: "Gateway", response: Response, *, chunked: bool) -> bytes:
    framing = "Transfer-Encoding: chunked\r\n" if chunked else "Connection: close\r\n"
    fields = ex.gateway_fields = f"{gateway.own_headers(ex)}{framing}"
    line = b"HTTP/1.1 %d %b\r\n" % (response.status, answers.reason(response.status).encode())
    head = f"{fields}Date: {gateway.date()}\r\n\r\n".encode("latin-1")
    return line + response.headers.without(frozenset()) + head


def _write(ex: DrivenExchange, data: bytes) -> None:
    ex.bytes_out += len(data)
    ex.client.write(data)
