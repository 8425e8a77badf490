"""A cluster: every key has a slot, every slot a node (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/)."""

import asyncio
import logging
from binascii import crc_hqx
from collections.abc import Callable, Sequence
from typing import Any, Final

import hiredis

from tollhouse.pdk.tasks import Tasks
from tollhouse.stores.redis.connection import Batch, Done, Lost, packed
from tollhouse.stores.redis.place import Address, Place
from tollhouse.stores.redis.server import Channel, Server, asked_once
from tollhouse.stores.watch import Watch

log = logging.getLogger("tollhouse.redis")

SLOTS: Final = 16384
_ASKING: Final = packed(("ASKING",))
_EARLY_LIMIT: Final = 10_000
#: the topology is not asked for more often, in seconds
_REFRESH_SECONDS: Final = 0.5


def slot_of(key: str) -> int:
    """The slot of a key: of what stands in its first braces, if there is anything."""
    start = key.find("{")
    if start >= 0:
        end = key.find("}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    return crc_hqx(key.encode(), 0) % SLOTS


class Cluster:
    """Sends every batch to the node that has its slot, and follows where that has moved."""

    def __init__(self, place: Place, watch: Watch, tasks: Tasks, hello: Sequence[bytes]) -> None:
        self._place = place
        self._watch = watch
        self._tasks = tasks
        self._hello = hello
        self._owners: dict[int, Address] = {}
        self._servers: dict[Address, Server] = {}
        self._early: list[Batch] = []
        self._refreshing: asyncio.Task[None] | None = None
        self._is_away = False

    def send(self, batch: Batch) -> bool:
        owner = self._owners.get(slot_of(batch.key))
        if owner is not None:
            return self._send_to(owner, batch, self._place.redirections)
        if self._is_away or len(self._early) >= _EARLY_LIMIT:
            self._watch.refused()
            self._refresh()
            return False
        self._early.append(batch)
        self._refresh()
        return True

    def everywhere(self) -> Sequence[Channel]:
        return [self._server(address) for address in set(self._owners.values())]

    def close(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
        for server in self._servers.values():
            server.close()

    def _send_to(self, owner: Address, batch: Batch, left: int) -> bool:
        following = Batch(batch.key, batch.commands, self._following(batch, left))
        if self._server(owner).send(following):
            return True
        self._refresh()  # its slots may be somebody else's by now
        return False

    def _server(self, address: Address) -> Server:
        server = self._servers.get(address)
        if server is None:
            server = Server(self._place, _always(address), self._watch, self._tasks, self._hello)
            self._servers[address] = server
        return server

    def _following(self, batch: Batch, left: int) -> Done:
        def done(replies: list[Any] | Lost) -> None:
            if isinstance(replies, Lost):
                self._refresh()
                batch.done(replies)
                return
            moved = next((reply for reply in replies if _is_redirection(reply)), None)
            if moved is None or left <= 0:
                batch.done(replies)
            else:
                self._redirect(batch, replies, moved, left - 1)

        return done

    def _redirect(self, batch: Batch, replies: list[Any], moved: Exception, left: int) -> None:
        """Repeats at the right node those commands that were sent on, and puts their replies in place."""
        kind, slot, place = str(moved).split(" ")[:3]
        host, _, port = place.rpartition(":")
        owner = (host or self._place.addresses[0][0], int(port))
        again = [number for number, reply in enumerate(replies) if _is_redirection(reply)]
        asking = kind == "ASK"
        if not asking:
            self._owners[int(slot)] = owner
            self._refresh()
        commands = [batch.commands[number] for number in again]
        if asking:
            commands = [piece for command in commands for piece in (_ASKING, command)]

        def done(answers: list[Any] | Lost) -> None:
            if isinstance(answers, Lost):
                batch.done(answers)
                return
            for number, reply in zip(again, answers[1::2] if asking else answers, strict=True):
                replies[number] = reply
            batch.done(replies)

        if not self._send_to(owner, Batch(batch.key, commands, done), left):
            batch.done(Lost(f"{place} cannot be reached"))

    def _refresh(self) -> None:
        if self._refreshing is None:
            self._refreshing = self._tasks.spawn(self._ask_topology(), "redis cluster")

    async def _ask_topology(self) -> None:
        candidates = [*self._place.addresses, *self._servers]
        why: Exception = Lost("no node has its slot")
        for address in candidates:
            try:
                async with asyncio.timeout(self._place.connect_seconds):
                    slots = await asked_once(self._place, address, self._place.login, ("CLUSTER", "SLOTS"))
            except (OSError, Lost) as error:
                why = error
                continue
            self._take_over(slots, address)
            break
        else:
            self._is_away = True
            self._watch.went(why)
        self._send_early(Lost(str(why)))
        await asyncio.sleep(_REFRESH_SECONDS)
        self._refreshing = None

    def _send_early(self, why: Lost) -> None:
        early, self._early = self._early, []
        for batch in early:
            owner = self._owners.get(slot_of(batch.key))
            if owner is None or not self._send_to(owner, batch, self._place.redirections):
                batch.done(why)

    def _take_over(self, slots: list[Any], asked: Address) -> None:
        owners: dict[int, Address] = {}
        for first, last, master, *_ in slots:
            host = (master[0] or b"").decode() or asked[0]
            owners.update(dict.fromkeys(range(first, last + 1), (host, master[1])))
        self._owners = owners
        self._is_away = not owners
        for address in set(self._servers) - set(owners.values()):
            self._servers.pop(address).close()


def _is_redirection(reply: Any) -> bool:
    return isinstance(reply, hiredis.ReplyError) and str(reply).startswith(("MOVED ", "ASK "))


def _always(address: Address) -> Callable[[], Any]:
    async def find() -> Address:
        return address

    return find
