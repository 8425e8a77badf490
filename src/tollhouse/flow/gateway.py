"""The data plane of one worker: what all its exchanges share."""

from collections.abc import Awaitable, Callable
from email.utils import formatdate
from random import SystemRandom
from time import perf_counter
from typing import Any, Final

from tollhouse.errors import BadRequest
from tollhouse.flow import answers, respond
from tollhouse.flow.advertise import PRODUCT, Advertised
from tollhouse.flow.backend import Backend
from tollhouse.flow.client import Client
from tollhouse.flow.drive import DrivenExchange, settled
from tollhouse.flow.forwarded import Trust, forwarded_fields, host_without_port
from tollhouse.flow.plan import Plan
from tollhouse.flow.run import Way
from tollhouse.flow.snapshot import CompiledSnapshot
from tollhouse.pdk.exchange import Matched, Patience
from tollhouse.pdk.messages import Request, Response
from tollhouse.pdk.tasks import Tasks
from tollhouse.pdk.wait import Wait
from tollhouse.routing import wire
from tollhouse.telemetry.access_log import AccessLog
from tollhouse.upstream.http1 import Timeouts

_ADDRESSES_KNOWN: Final = 1024
_OWN_FIELDS: Final = frozenset({"x-kong-upstream-latency", "x-kong-proxy-latency", "x-kong-request-id"})


class Gateway:
    """Takes requests from connections and sees them through, each by the snapshot of its beginning."""

    def __init__(
        self,
        snapshot: CompiledSnapshot,
        tasks: Tasks,
        *,
        advertised: Advertised,
        trust: Trust,
        pages: answers.ErrorPages,
        backend_at: Callable[[tuple[str, str, int], Backend], Backend],
        access_log: AccessLog | None = None,
        debug: bool = False,
        charset: str | None = "UTF-8",
    ) -> None:
        self.snapshot = snapshot
        #: what texts without a charset are said to be in
        self.charset = charset
        self.access_log = access_log
        self.draining = False
        self.trust = trust
        self._real_ip = bool(trust.networks) or trust.unix
        self.pages = pages
        self.server_field = f"Server: {PRODUCT}\r\n"
        self.plain_headers = advertised.plain and not debug
        self._debug = debug
        self.id_upstream = advertised.request_id_upstream
        self._backend_at = backend_at
        self._elsewhere: dict[tuple[tuple[str, str, int], Timeouts, int, Patience | None], Backend] = {}
        self._advertised = advertised.names
        self._more = advertised.more
        #: fields that the gateway does not add, so that an upstream's own pass
        self.upstream_may_set = _OWN_FIELDS - advertised.names
        self._tasks = tasks
        random = SystemRandom()
        # Unique ids need no fresh randomness each time: a random half for the worker, then counting on.
        self._id_prefix = f"{random.getrandbits(64):016x}"
        self._id = random.getrandbits(63)
        self._date = (0, "")

    # Requests

    def begin(self, client: Client, request: Request) -> None:
        """Starts the exchange of a request that has just arrived."""
        self._id += 1
        ex = Way(client, request, f"{self._id_prefix}{self._id:016x}", perf_counter())
        if self._real_ip and self.trust.trusts(client.peer_ip):
            ex.peer_trusted = True
            ex.client_ip = self.trust.client_ip(client.peer_ip, request, client.told_ip)
        client.flow = ex
        ex.begin(self)

    def refuse(self, client: Client, error: BadRequest, request: Request) -> None:
        """Answers bytes that are no request, or one with a body that is not taken."""
        self._id += 1
        ex = Way(client, request, f"{self._id_prefix}{self._id:016x}", perf_counter())
        ex.plan = self.snapshot.unmatched
        ex.unexpected = True
        response = answers.error_page(request, error.status, ex.request_id, pages=self.pages)
        respond.refusal(ex, self, response)
        if self.access_log is not None:
            known = request if request.method else None
            self.access_log.refused(client.peer_ip, response.status, response.body, ex.request_id, known)

    async def settled(self, waiting: Awaitable[Any]) -> Any:
        """Waits for whatever a plugin or a connection attempt is waiting for."""
        if isinstance(waiting, Wait):
            return await waiting
        return await settled(self._tasks.awaited(_as_coroutine(waiting), "exchange"))

    def elsewhere(self, ex: DrivenExchange, plan: Plan) -> Backend | None:
        """The backend for an address that a plugin put in place of the service's own, with its patience."""
        address, own = ex.upstream_address, plan.backend
        if ex.service_at is not None and ex.service is not None:
            own = self.snapshot.backend_at(ex.service, *ex.service_at)
        if own is None:
            return None
        if address is None:
            return own if ex.patience is None else own.with_patience(ex.patience)
        key = (address, own.timeouts, own.retries, ex.patience)
        found = self._elsewhere.get(key)
        if found is None:
            if len(self._elsewhere) >= _ADDRESSES_KNOWN:
                self._elsewhere.clear()
            if ex.patience is not None:
                own = own.with_patience(ex.patience)
            found = self._elsewhere[key] = self._backend_at(address, own)
        return found

    # Headers

    def forwarded(self, ex: DrivenExchange, matched: Matched) -> str:
        """The X-Forwarded lines of a request; remembered on its connection while they stay the same."""
        client, request = ex.client, ex.request
        if ex.peer_trusted:
            return forwarded_fields(client, request, ex.client_ip, matched.prefix, trusted=True)
        values = request.headers.values
        if "x-forwarded-for" in values:
            return forwarded_fields(client, request, ex.client_ip, matched.prefix, trusted=False)
        host = values.get("host")
        client.forwarded_host = host
        shown = f"X-Forwarded-Host: {host_without_port(host.lower())}\r\n" if host else ""
        client.forwarded = (
            f"X-Forwarded-For: {client.peer_ip}\r\nX-Forwarded-Proto: {client.scheme}\r\n{shown}"
            f"X-Forwarded-Port: {client.port}\r\nX-Real-IP: {client.peer_ip}\r\n"
        )
        return client.forwarded + matched.forwarded

    def own_headers(self, ex: DrivenExchange) -> str:
        """The gateway's headers on an answer of its own."""
        latency = int((perf_counter() - ex.started) * 1000)
        more = self._more(ex.response.status) if ex.response is not None else ""
        return (
            more
            + self._debugged(ex)
            + self._chosen(
                ("x-kong-response-latency", f"X-Kong-Response-Latency: {latency}\r\n"),
                ("server", self.server_field),
                ("x-kong-request-id", f"X-Kong-Request-Id: {ex.request_id}\r\n"),
            )
        )

    def proxied_headers(self, ex: DrivenExchange, response: Response | None = None) -> str:
        """The gateway's headers on an upstream's answer, or on the error in place of one."""
        values = response.headers.values if response is not None else {}
        status = ex.upstream_status or (response.status if response is not None else 0)
        answered = ex.answered_at or perf_counter()
        sent = ex.sent_at or answered
        via = f"{response.version if response is not None else '1.1'} {PRODUCT}"
        if "via" in values:
            via = f"{values['via']}, {via}"
        kept_via = f"Via: {values['via']}\r\n" if "via" in values and "via" not in self._advertised else ""
        date = "" if response is None or "date" in values else f"Date: {self.date()}\r\n"
        return (
            self._more(ex.response.status if ex.response is not None else status)
            + self._debugged(ex)
            + kept_via
            + date
            + self._chosen(
                ("x-kong-upstream-status", f"X-Kong-Upstream-Status: {status}\r\n"),
                ("x-kong-upstream-latency", f"X-Kong-Upstream-Latency: {int((answered - sent) * 1000)}\r\n"),
                ("x-kong-proxy-latency", f"X-Kong-Proxy-Latency: {int((sent - ex.started) * 1000)}\r\n"),
                ("via", f"Via: {via}\r\n"),
                ("server", "" if "server" in values else self.server_field),
                ("x-kong-request-id", f"X-Kong-Request-Id: {ex.request_id}\r\n"),
            )
        )

    def _debugged(self, ex: DrivenExchange) -> str:
        """What became of a request, for a client that asks, where the node tells."""
        if not self._debug or not ex.request.headers.values.get("kong-debug"):
            return ""
        route, service = ex.route, ex.service
        shown = {
            "Kong-Route-Id": route and route.id,
            "Kong-Route-Name": route and route.name,
            "Kong-Service-Id": service and service.id,
            "Kong-Service-Name": service and service.name,
        }
        lines = (f"{name}: {wire(value)}\r\n" for name, value in shown.items() if value)
        return "".join(lines)

    def _chosen(self, *fields: tuple[str, str]) -> str:
        return "".join(line for name, line in fields if name in self._advertised)

    def date(self) -> str:
        """Now, as an HTTP date; made once a second."""
        second = int(perf_counter())
        if self._date[0] != second:
            self._date = (second, formatdate(usegmt=True))
        return self._date[1]


async def _as_coroutine(waiting: Awaitable[Any]) -> Any:
    return await waiting
