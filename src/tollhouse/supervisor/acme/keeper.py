"""Sees to it that the names of the plugin `acme` have certificates: asks for them, keeps and renews them.

Storage keys are Kong's. Nodes that share a storage share account and certificates: who asks takes a lock,
and what another node has got is found there.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from tollhouse.errors import PeerError
from tollhouse.pdk.acme import NotIssued
from tollhouse.pdk.tasks import Tasks
from tollhouse.stores.values import ValuesError
from tollhouse.supervisor.acme.certificates import Kept, Pair
from tollhouse.supervisor.acme.order import Order
from tollhouse.supervisor.channel import Issued, ToWorker, Vouched

log = logging.getLogger("tollhouse.acme")

_CERTIFICATE: Final = "kong_acme:cert_key:"
_LOCK: Final = "kong_acme:update_lock:"
_BACKOFF: Final = "kong_acme:fail_backoff:"
#: how often the configuration, the account and the ends of certificates are looked at, in seconds
_LOOK_SECONDS: Final = 1.0
#: how often a certificate that is due is tried, in seconds
_RENEW_SECONDS: Final = 86_400.0
#: who asks for a certificate is taken for dead after so long, in seconds
_LOCK_SECONDS: Final = 300.0
_DAY_SECONDS: Final = 86_400.0


class Keeper:
    """`admin.acme.Certificates` of a node. `order` tells what the configuration in force asks for, if it asks
    for anything; `tell` reaches all workers."""

    def __init__(
        self, order: Callable[[], Order | None], tell: Callable[[ToWorker], None], tasks: Tasks
    ) -> None:
        self._order_now = order
        self._tell = tell
        self._tasks = tasks
        self._order: Order | None = None
        self._thumbprint: str | None = None
        self._kept: dict[str, Kept] = {}
        self._tried: dict[str, float] = {}
        self._busy: set[str] = set()
        self._problem = ""

    async def run(self) -> None:
        """Keeps certificates until it is cancelled."""
        while True:
            try:
                await self._look()
            except (PeerError, ValuesError) as problem:
                self._complain(str(problem))
            else:
                self._complain("")
            await asyncio.sleep(_LOOK_SECONDS)

    def told(self) -> Iterator[ToWorker]:
        """What a worker has to know that has just started."""
        yield Vouched(self._thumbprint)
        for host, kept in self._kept.items():
            yield Issued(host, kept.pair.cert, kept.pair.key)

    def want(self, host: str) -> None:
        """A client has asked for a name that there is no certificate for."""
        order = self._order
        if order is None or host in self._busy or host in self._kept or not order.domains.has(host):
            return
        self._tasks.spawn(self._get_quietly(host), f"certificate for {host}")

    def _complain(self, problem: str) -> None:
        """Says once what is wrong."""
        if problem and problem != self._problem:
            log.error("certificates cannot be asked for: %s", problem)
        self._problem = problem

    # The Admin API's side

    @property
    def order(self) -> Order | None:
        """What certificates are asked for by; None without the plugin."""
        return self._order_now()

    async def challenge_arrives(self, host: str) -> str | None:
        """Why the authority's question would not arrive here; None if it does."""
        from tollhouse.supervisor.acme import issue

        return await asyncio.to_thread(issue.challenge_arrives, host)

    async def create(self, host: str) -> None:
        """Asks for a certificate whether there is one or not. Raises `NotIssued`, `ValuesError`."""
        await self._take_over(self._order_now())
        await self._ask(host)

    def renew_due(self) -> None:
        """Renews what is due, though it has been tried a short while ago."""
        self._tried.clear()

    async def certificates(self) -> dict[str, Kept]:
        """All that the storage has, by host. Raises `ValuesError`."""
        await self._take_over(self._order_now())
        await self._load()
        return dict(sorted(self._kept.items()))

    async def certificate(self, host: str) -> Kept | None:
        """One of them. Raises `ValuesError`."""
        await self._take_over(self._order_now())
        return await self._found(host)

    # Looking

    async def _look(self) -> None:
        await self._take_over(self._order_now())
        order = self._order
        if order is None:
            return
        await self._vouch(order)
        now = time.time()
        for host, kept in list(self._kept.items()):
            is_due = kept.ends_at - now < order.config.renew_threshold_days * _DAY_SECONDS
            if is_due and now - self._tried.get(host, 0.0) > _RENEW_SECONDS and host not in self._busy:
                self._tried[host] = now
                self._tasks.spawn(self._renew(host, kept), f"renewal for {host}")

    async def _take_over(self, order: Order | None) -> None:
        """Starts anew with another configuration of the plugin."""
        if order == self._order:
            return
        if self._order is not None:
            self._order.storage.close()
        self._order = order
        self._kept, self._thumbprint = {}, None
        self._tried.clear()
        if order is not None:
            await self._vouch(order)
            await self._load()

    async def _vouch(self, order: Order) -> None:
        """Lets workers answer challenges as soon as there is an account."""
        if self._thumbprint is None:
            self._thumbprint = await order.thumbprint()
            if self._thumbprint is not None:
                self._tell(Vouched(self._thumbprint))

    async def _load(self) -> None:
        if self._order is not None:
            for key in await self._order.storage.keys(_CERTIFICATE):
                await self._found(key.removeprefix(_CERTIFICATE))

    async def _found(self, host: str) -> Kept | None:
        """The certificate in the storage, from then on shown by workers."""
        if self._order is None:
            return None
        data = await self._order.storage.get(_CERTIFICATE + host)
        kept = Kept.read(data) if data is not None else None
        if kept is not None and self._kept.get(host) != kept:
            self._kept[host] = kept
            self._tell(Issued(host, kept.pair.cert, kept.pair.key))
        return kept

    # Asking

    async def _get_quietly(self, host: str) -> None:
        """For a client, who is not told what comes of it."""
        self._busy.add(host)
        try:
            if await self._found(host) is None:
                await self._ask(host)
        except (NotIssued, ValuesError) as problem:
            log.error("no certificate for %s: %s", host, problem)
        finally:
            self._busy.discard(host)

    async def _renew(self, host: str, before: Kept) -> None:
        self._busy.add(host)
        try:
            if await self._found(host) in (None, before):  # else another node has renewed it
                await self._ask(host)
        except (NotIssued, ValuesError) as problem:
            log.error("the certificate for %s was not renewed: %s", host, problem)
        finally:
            self._busy.discard(host)

    async def _ask(self, host: str) -> None:
        """Asks the authority, unless somebody does or it has just failed. Raises `NotIssued`,
        `ValuesError`."""
        order = self._order
        if order is None:
            raise NotIssued("the plugin acme is not configured")
        storage = order.storage
        until = await storage.get(_BACKOFF + host)
        if until is not None and until.isdigit():
            raise NotIssued(
                f"please try again in {int(until) - int(time.time())} seconds for host {host} because of "
                "previous failure; this is configurable with config.fail_backoff_minutes"
            )
        if not await storage.add(_LOCK + host, b"placeholder", _LOCK_SECONDS):
            raise NotIssued(f"update_certificate for {host} is already running")
        try:
            await self._order_from(order, host)
        except PeerError as error:
            seconds = order.config.fail_backoff_minutes * 60
            if seconds > 0:
                await storage.put(_BACKOFF + host, b"%d" % (time.time() + seconds), seconds)
            raise NotIssued(f"could not create certificate for host: {host} err: {error}") from error
        finally:
            await storage.delete(_LOCK + host)

    async def _order_from(self, order: Order, host: str) -> None:
        await order.have_account()
        await self._vouch(order)
        pair: Pair = await order.issue(host)
        await order.storage.put(_CERTIFICATE + host, msgspec.json.encode(pair))
        self._tried[host] = time.time()
        log.info("a certificate for %s was given out", host)
        await self._found(host)
