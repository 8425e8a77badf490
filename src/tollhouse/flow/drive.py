"""Runs the coroutine of one exchange without a task.

An asyncio task costs a handful of loop callbacks for each request. Most exchanges wait exactly once,
for the upstream's answer, and whoever has that answer can go on with the exchange right there: it calls
`advance` or `throw` on the exchange. One that waits for more is a plain coroutine driven by hand, which
yields the thing it waits for. What needs asyncio's own machinery (a plugin's `async def`, a connection
being opened) becomes a task and is awaited through `settled`.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tollhouse.pdk.exchange import Exchange
from tollhouse.pdk.wait import NOBODY, Wait
from tollhouse.upstream.http1 import UpstreamConnection

if TYPE_CHECKING:
    from tollhouse.balance.members import Member
    from tollhouse.flow.backend import Endpoint
    from tollhouse.flow.balanced import Lease
    from tollhouse.flow.client import Client
    from tollhouse.flow.plan import Plan
    from tollhouse.flow.upload import Upload

T = TypeVar("T")


class DrivenExchange(Exchange):
    """An exchange together with the coroutine that carries it from wait to wait."""

    client: "Client"
    plan: "Plan"
    #: the connection that carries the request; `None` when it has been given back
    connection: UpstreamConnection | None = None
    #: what streams the request body, if it was not complete with its head
    upload: "Upload | None" = None
    #: the upstream's address that has this exchange, and those that failed it before
    lease: "Lease | None" = None
    failed_members: "Sequence[Member[Endpoint]]" = ()
    peer_trusted: bool = False
    head_sent: bool = False
    #: `None` as long as nothing but the upstream's answer has been waited for
    _coroutine: Coroutine[Wait, Any, None] | None = None

    def start(self, coroutine: Coroutine[Wait, Any, None]) -> None:
        """Runs the coroutine until it waits for something or ends."""
        self._coroutine = coroutine
        try:  # this runs for each request: a context manager would cost more than the rest
            coroutine.send(None).driver = self
        except StopIteration:
            pass

    def advance(self, value: Any = None) -> None:
        """Goes on with what was waited for."""
        if self._coroutine is None:
            return
        try:
            self._coroutine.send(value).driver = self
        except StopIteration:
            pass

    def throw(self, error: BaseException) -> None:
        """Goes on with a failure."""
        if self._coroutine is None:
            return
        try:
            self._coroutine.throw(error).driver = self
        except StopIteration:
            pass


async def settled(task: asyncio.Task[T]) -> T:
    """Waits for a task from within a driven flow; ends it when the flow is thrown out of waiting."""
    if not task.done():
        done = Wait()
        task.add_done_callback(lambda _: done.driver.advance())
        try:
            await done
        except BaseException:
            done.driver = NOBODY
            task.cancel()
            raise
    return task.result()
