"""What sessions of every kind have in common: a route, plugins, a target, and how they end."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeVar

from tollhouse.balance.members import Member
from tollhouse.errors import PeerError, Reject, UpstreamFault
from tollhouse.flow.backend import Endpoint
from tollhouse.flow.balanced import Lease
from tollhouse.pdk.exchange import Try
from tollhouse.pdk.session import StreamSession
from tollhouse.routing import Connected

if TYPE_CHECKING:
    from tollhouse.stream.snapshot import StreamBackend, StreamPlan, StreamSnapshot

T = TypeVar("T")

log = logging.getLogger("tollhouse.stream")

NO_ROUTE: Final = "no Route found with those values"
NO_SERVICE: Final = "no Service found with those values"
_RELAYED: Final = 200
#: status where no target can be had
NO_TARGET: Final = 502


class Routed(StreamSession):
    """A session on its way. A client without HTTP cannot be told more than that it is over."""

    lease: Lease | None = None
    failed_members: Sequence[Member[Endpoint]] = ()

    async def seen_through(self, work: Awaitable[None]) -> None:
        """Does the work; whatever goes wrong becomes a status and a line in the error log."""
        try:
            await work
        except Reject as refused:
            self.refuse(refused.status, refused.message or "refused")
        except UpstreamFault as fault:
            self.refuse(NO_TARGET, str(fault))
        except (PeerError, OSError) as error:  # of the client: a handshake that fails or does not come
            self.refuse(400, str(error) or type(error).__name__)
        except Exception:  # a bug, perhaps a plugin's: it must not end the others
            log.exception("the connection of %s failed", self.client_ip)
            self.status = 500

    def refuse(self, status: int, message: str) -> None:
        self.status = status
        log.warning(
            "unable to proxy stream connection of %s, status: %d, err: %s", self.client_ip, status, message
        )

    def route_by(self, snapshot: "StreamSnapshot", connected: Connected) -> "StreamPlan":
        """Finds the plan. Raises `Reject`."""
        plan = snapshot.find(connected)
        if plan is None:
            raise Reject(500, NO_ROUTE)
        self.route, self.service = plan.route, plan.service
        return plan

    async def admit(self, plan: "StreamPlan") -> "StreamBackend":
        """Asks the plugins. Raises `Reject`, also where there is no service."""
        for step in plan.preread:
            waiting = step(self)
            if waiting is not None:
                await waiting
        if plan.backend is None:
            raise Reject(503, NO_SERVICE)
        return plan.backend

    async def reach(self, backend: "StreamBackend", opened: Callable[[Endpoint], Awaitable[T]]) -> T:
        """A target, as `opened` opens it; others are tried as long as none has been opened, for not a byte
        of the client's has been sent then. Raises `UpstreamFault` and `Reject`."""
        self.balanced_at = perf_counter()
        while True:
            endpoint = backend.targets.now(self) or await backend.targets.pick(self)
            started = perf_counter()
            try:
                target = await opened(endpoint)
            except UpstreamFault as fault:
                self._note(endpoint, started, fault)
                if len(self.tries or ()) > backend.retries:
                    raise
                continue
            address, opened_at = endpoint.pool.address, perf_counter()
            self.relayed_to = Try(address.host, address.port, started, opened_at)
            if self.lease is not None:
                self.lease.answered(_RELAYED, opened_at)
            return target

    def _note(self, endpoint: Endpoint, started: float, fault: UpstreamFault) -> None:
        """Remembers a failed attempt, for the next one and the log record."""
        address = endpoint.pool.address
        attempt = Try(address.host, address.port, started, perf_counter(), "failed", fault.status)
        self.tries = [*(self.tries or ()), attempt]
        if self.lease is not None:
            self.failed_members = (*self.failed_members, self.lease.failed(fault.status, stale=False))
            self.lease = None

    def finish(self, snapshot: "StreamSnapshot") -> None:
        """It is over: gives the target back, and logs by the configuration in force."""
        self.ended_at = perf_counter()
        if self.lease is not None:
            self.lease.ended(0, 0.0)
        for step in snapshot.log_steps(self.route):
            try:
                step(self)
            except Exception:  # one plugin's log must not keep the others from theirs
                log.exception("a connection could not be logged")
