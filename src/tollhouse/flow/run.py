"""The way of one exchange, top to bottom.

client bytes → parse → route → plugin phases → balance → upstream → stream back → log

Nearly every exchange waits once, for its upstream's answer: it begins, and when the answer is here it goes on
and ends, both in plain calls. What has to wait for anything else goes on in a coroutine from there.
"""

import logging
from collections.abc import Awaitable, Iterator
from typing import TYPE_CHECKING, Any

from tollhouse.errors import BadRequest, ClientGone, PeerError, Reject, UpstreamFault
from tollhouse.flow import answers, failover, forward, own_stream, respond
from tollhouse.flow.drive import DrivenExchange
from tollhouse.flow.plan import AccessStep, Plan
from tollhouse.flow.snapshot import CompiledSnapshot

if TYPE_CHECKING:
    from tollhouse.flow.gateway import Gateway

log = logging.getLogger("tollhouse.flow")


class Way(DrivenExchange):
    """An exchange from its request to its end. Every way to end passes `_end`; nothing is raised."""

    gateway: "Gateway"

    def begin(self, gateway: "Gateway") -> None:
        """Goes as far as it can at once."""
        self.gateway = gateway
        snapshot = gateway.snapshot
        self.plan = snapshot.unmatched
        try:
            rest = self._ahead(gateway, snapshot)
        except Exception as error:  # noqa: BLE001 - as in `_through`
            self._fail(error)
            self._end()
            return
        if rest is not None:
            self.start(self._through(rest))

    def _ahead(self, gateway: "Gateway", snapshot: CompiledSnapshot) -> Awaitable[None] | None:
        """Goes on until something must be waited for; `None` if that is nothing but the upstream's answer."""
        if snapshot.rewrite:
            steps = iter(snapshot.rewrite)
            for step in steps:
                waiting = step(self)
                if waiting is not None:
                    return _rewrite(self, gateway, snapshot, steps, waiting)
        plan = snapshot.match(self)
        if plan.scoped is not None:
            return _access(self, plan, gateway, iter(()), None)
        steps = iter(plan.access)
        for step in steps:
            waiting = step(self)
            if waiting is not None:
                return _access(self, plan, gateway, steps, waiting)
        if self.failover is not None or self.own_stream is not None:
            return _answer(self, plan, gateway)
        arriving = forward.begin(self, plan, gateway)
        connection = self.connection
        if connection is None or arriving is not connection:
            return failover.relayed(self, plan, gateway, arriving)
        connection.driver = self
        return None

    def advance(self, value: Any = None) -> None:
        """The upstream has answered; or the coroutine goes on with what it has been waiting for."""
        if self._coroutine is not None:
            super().advance(value)
            return
        try:
            rest = respond.relay(self, self.plan, self.gateway, value)
        except Exception as error:  # noqa: BLE001 - as in `_through`
            rest = None
            self._fail(error)
        if rest is None:
            self._end()
        else:
            self.start(self._through(rest))

    def throw(self, error: BaseException) -> None:
        """There will be no answer; or the coroutine goes on with a failure."""
        if self._coroutine is not None:
            super().throw(error)
        elif isinstance(error, UpstreamFault):
            again = forward.again(self, self.plan, self.gateway, error)
            self.start(self._through(failover.relayed(self, self.plan, self.gateway, again)))
        else:
            self._fail(error)
            self._end()

    async def _through(self, rest: Awaitable[None]) -> None:
        try:
            await rest
        except Exception as error:  # noqa: BLE001 - the last resort: a bug must not take the worker along
            self._fail(error)
        self._end()

    def _fail(self, error: BaseException) -> None:
        """Answers for what has ended the exchange."""
        gateway = self.gateway
        match error:
            case Reject():
                respond.refused(self, gateway, error)
            case UpstreamFault():
                respond.failed(self, gateway, error)
            case ClientGone():
                respond.gone(self)
            case PeerError():
                self.unexpected = True
                status = error.status if isinstance(error, BadRequest) else 400
                response = answers.error_page(self.request, status, self.request_id, pages=gateway.pages)
                respond.own(self, gateway, response, close=True)
            case _:
                log.error("exchange %s failed", self.request_id, exc_info=error)
                self.unexpected = True
                respond.refused(self, gateway, Reject(500))

    def _end(self) -> None:
        gateway = self.gateway
        if self.lease is not None:
            self.lease.ended(self.upstream_status, self.answered_at)
        respond.run_quietly(self, self.plan.log)
        if gateway.access_log is not None:
            gateway.access_log.exchange(self)


async def _rewrite(
    ex: DrivenExchange,
    gateway: "Gateway",
    snapshot: CompiledSnapshot,
    steps: Iterator[AccessStep],
    waiting: Awaitable[None],
) -> None:
    """The rest of an exchange that waits before its route is known: for what is awaited, then these steps."""
    await gateway.settled(waiting)
    for step in steps:
        more = step(ex)
        if more is not None:
            await gateway.settled(more)
    plan = snapshot.match(ex)
    await _access(ex, plan, gateway, iter(plan.access), None)


async def _access(
    ex: DrivenExchange,
    plan: Plan,
    gateway: "Gateway",
    steps: Iterator[AccessStep],
    waiting: Awaitable[None] | None,
) -> None:
    """The rest of an exchange from its access phase on: what is waited for there, then these steps."""
    if plan.scoped is not None:
        plan = await plan.scoped.go_on(ex, gateway)
    else:
        if waiting is not None:
            await gateway.settled(waiting)
        for step in steps:
            waiting = step(ex)
            if waiting is not None:
                await gateway.settled(waiting)
    await _answer(ex, plan, gateway)


async def _answer(ex: DrivenExchange, plan: Plan, gateway: "Gateway") -> None:
    if ex.failover is not None:
        await failover.until_answered(ex, plan, gateway, ex.failover)
    elif ex.own_stream is not None:
        await own_stream.send(ex, plan, gateway, ex.own_stream)
    else:
        await failover.once(ex, plan, gateway)
