"""The way of one exchange, top to bottom.

client bytes → parse → route → plugin phases → balance → upstream → stream back → log
"""

import logging
from typing import TYPE_CHECKING

from tollhouse.errors import BadRequest, ClientGone, PeerError, Reject, UpstreamFault
from tollhouse.flow import answers, failover, forward, own_stream, respond
from tollhouse.flow.drive import DrivenExchange

if TYPE_CHECKING:
    from tollhouse.flow.gateway import Gateway

log = logging.getLogger("tollhouse.flow")


async def run(ex: DrivenExchange, gateway: "Gateway") -> None:
    """Answers one request. Every way to end passes here; nothing is raised."""
    snapshot = gateway.snapshot
    ex.plan = snapshot.unmatched
    try:
        for rewrite in snapshot.rewrite:
            waiting = rewrite(ex)
            if waiting is not None:
                await gateway.settled(waiting)
        plan = snapshot.match(ex)
        if plan.scoped is not None:
            plan = await plan.scoped.go_on(ex, gateway)
        else:
            for step in plan.access:
                waiting = step(ex)
                if waiting is not None:
                    await gateway.settled(waiting)
        if ex.failover is not None:
            await failover.until_answered(ex, plan, gateway, ex.failover)
        elif ex.own_stream is not None:
            await own_stream.send(ex, plan, gateway, ex.own_stream)
        else:  # what `failover.once` does; another coroutine for each exchange would cost too much
            try:
                arrival = await forward.begin(ex, plan, gateway)
            except UpstreamFault as fault:
                arrival = await forward.again(ex, plan, gateway, fault)
            relaying = respond.relay(ex, plan, gateway, arrival)
            if relaying is not None:
                await relaying
    except Reject as reject:
        respond.refused(ex, gateway, reject)
    except UpstreamFault as fault:
        respond.failed(ex, gateway, fault)
    except ClientGone:
        respond.gone(ex)
    except PeerError as error:
        status = error.status if isinstance(error, BadRequest) else 400
        response = answers.error_page(ex.request, status, ex.request_id, default_kind=gateway.default_kind)
        respond.own(ex, gateway, response, close=True)
    except Exception:  # the last resort of an exchange: a bug must not take the worker along
        log.exception("exchange %s failed", ex.request_id)
        respond.refused(ex, gateway, Reject(500))
    if ex.lease is not None:
        ex.lease.ended(ex.upstream_status, ex.answered_at)
    respond.run_quietly(ex, ex.plan.log)
    if gateway.access_log is not None:
        gateway.access_log.exchange(ex)
