"""correlation-id: gives every request an id that follows it upstream and, if asked, back."""

import uuid
from dataclasses import dataclass
from typing import Literal

from tollhouse.pdk import Exchange, FieldSet, Plugin, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    header_name: str = setting("Kong-Request-ID", doc="The header that carries the id.")
    generator: Literal["uuid", "uuid#counter", "tracker"] = setting(
        "uuid#counter", required=True, doc="How an id is made for a request that brings none."
    )
    echo_downstream: bool = setting(False, required=True, doc="Tell the client, too.")


class CorrelationId(Plugin[Config]):
    name = "correlation-id"
    priority = 100001
    Config = Config

    def prepare(self) -> None:
        self._key = self.conf.header_name.lower()
        self._prefix = f"{self.conf.header_name}: ".encode("latin-1")
        self._uuid = str(uuid.uuid4())
        self._count = 0
        self._replaced = (self._key,)
        self._echoes = self.conf.echo_downstream
        self._generate = {
            "uuid": self._new_uuid,
            "uuid#counter": self._next_count,
            "tracker": self._tracker,
        }[self.conf.generator]

    def access(self, ex: Exchange) -> None:
        headers = ex.request.headers
        known = headers.values.get(self._key)
        if known:
            line = self._prefix + known.encode("latin-1")
        else:
            known = self._generate(ex)
            line = self._prefix + known.encode("latin-1")
            headers.set_field((self._key, known, line))
        ex.correlation_id = known
        if self._echoes:
            ex.early_headers += (FieldSet(None, line + b"\r\n", self._replaced),)

    def own_answer(self, ex: Exchange) -> None:
        """Without a route there was no access phase, and only what the client sent can be told."""
        known = ex.request.headers.values.get(self._key)
        if self._echoes and known and not ex.correlation_id:
            line = self._prefix + known.encode("latin-1")
            ex.add_early_headers(FieldSet(None, line + b"\r\n", self._replaced))

    def _new_uuid(self, ex: Exchange) -> str:
        return str(uuid.uuid4())

    def _next_count(self, ex: Exchange) -> str:
        self._count += 1
        return f"{self._uuid}#{self._count}"

    def _tracker(self, ex: Exchange) -> str:
        client, node = ex.client, self.services.node
        now = self.services.wall_clock()
        return f"{client.peer_ip}-{client.port}-{node.pid}-{client.number}-{client.requests}-{now:.3f}"
