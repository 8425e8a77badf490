"""Asks one target after another, where a plugin has several, until one's answer begins to reach the client.

Only a plugin that sets `Exchange.failover` leads here. It says what is a failure and who is next; here the
exchange is made ready to be sent once more.
"""

from collections.abc import Awaitable
from time import perf_counter
from typing import TYPE_CHECKING

from tollhouse.errors import Reject, TryAnother, UpstreamFault
from tollhouse.flow import forward, respond
from tollhouse.flow.drive import DrivenExchange
from tollhouse.pdk.exchange import Failover, Try
from tollhouse.upstream.http1 import Arrival

if TYPE_CHECKING:
    from tollhouse.flow.gateway import Gateway
    from tollhouse.flow.plan import Plan


async def until_answered(ex: DrivenExchange, plan: "Plan", gateway: "Gateway", failover: Failover) -> None:
    """Raises what the last attempt failed with, if the plugin knows no other target."""
    early = ex.early_headers
    tries: list[Try] = []
    try:
        while True:
            try:
                await once(ex, plan, gateway)
                return
            except (UpstreamFault, Reject, TryAnother) as failure:
                if ex.head_sent:
                    raise
                respond.give_up_upstream(ex)
                tries += ex.tries or (_failed(ex, failure),)
                ex.tries = None
                if not await gateway.settled(failover.again(ex, failure)):
                    raise
                _begin_anew(ex)
                ex.early_headers = early
    finally:
        ex.tries = [*tries, *(ex.tries or ())] or None


async def once(ex: DrivenExchange, plan: "Plan", gateway: "Gateway") -> None:
    """Sends the request and its answer back."""
    await relayed(ex, plan, gateway, forward.begin(ex, plan, gateway))


async def relayed(ex: DrivenExchange, plan: "Plan", gateway: "Gateway", arriving: Awaitable[Arrival]) -> None:
    """Sends back the answer that is coming, or that of another attempt if this one fails."""
    try:
        arrival = await arriving
    except UpstreamFault as fault:
        arrival = await forward.again(ex, plan, gateway, fault)
    relaying = respond.relay(ex, plan, gateway, arrival)
    if relaying is not None:
        await relaying


def _failed(ex: DrivenExchange, failure: Exception) -> Try:
    """An attempt that failed after the head of its answer had come."""
    host, port = (ex.peer.host, ex.peer.port) if ex.peer is not None else ("", 0)
    code = failure.status if isinstance(failure, UpstreamFault | Reject) else ex.upstream_status
    return Try(host, port, ex.sent_at, perf_counter(), "failed", code)


def _begin_anew(ex: DrivenExchange) -> None:
    """Forgets what the last attempt has left on the exchange."""
    ex.response, ex.peer = None, None
    ex.sent_at = ex.answered_at = 0.0
    ex.upstream_status = 0
    ex.holds_head = False
    ex.last_words = ex.watch = None
