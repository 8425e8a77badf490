"""udp-log: the record of every exchange as JSON in a datagram of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tollhouse.model.common import PROTOCOLS
from tollhouse.model.validators import host
from tollhouse.pdk import Plugin, setting
from tollhouse.pdk.delivery import QueueSettings
from tollhouse.pdk.records import Logged, RecordSettings, encoder

_QUEUE: Final = QueueSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(RecordSettings):
    host: str = setting(required=True, validator=host, doc="The collector's host.")
    port: int = setting(required=True, between=(0, 65535), doc="Its port.")
    timeout: float = setting(10_000, unit="ms", doc="How long sending may take, in milliseconds.")


class UdpLog(Plugin[Config]):
    name = "udp-log"
    priority = 8
    Config = Config
    protocols = PROTOCOLS

    def prepare(self) -> None:
        conf = self.conf
        self._link = self.services.links.datagrams(conf.host, conf.port, timeout_seconds=conf.timeout / 1000)
        self._encoded = encoder(conf, self.services)
        self._queue = self.services.queues.open(
            f"udp-log {conf.host}:{conf.port}", _QUEUE, self._send, size_of=len, ended=self._link.close
        )

    def close(self) -> None:
        self._queue.close()

    def log(self, ex: Logged) -> None:
        self._queue.add(self._encoded(ex))

    log_session = log

    async def _send(self, records: Sequence[bytes]) -> None:
        await self._link.send(records[0])
