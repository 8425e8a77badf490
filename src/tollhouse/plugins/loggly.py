"""loggly: the record of every exchange as a syslog message (RFC 5424) to Loggly, over UDP."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tollhouse.model.common import PROTOCOLS
from tollhouse.model.validators import host
from tollhouse.pdk import Plugin, setting
from tollhouse.pdk.delivery import QueueSettings
from tollhouse.pdk.records import Logged, SeveritySettings, encoder, severity_of, status_of

#: facility "user", where Kong files its records
_USER: Final = 1 << 3
#: the number that Loggly has from IANA, behind the customer's token
_LOGGLY: Final = 41058
_QUEUE: Final = QueueSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(SeveritySettings):
    host: str = setting("logs-01.loggly.com", validator=host, doc="Loggly's host.")
    port: int = setting(514, between=(0, 65535), doc="Its port.")
    key: str = setting(required=True, referenceable=True, encrypted=True, doc="The customer token.")
    tags: tuple[str, ...] = setting(("kong",), as_set=True, doc="Tags of the records.")
    timeout: float = setting(10_000, unit="ms", doc="How long sending may take, in milliseconds.")


class Loggly(Plugin[Config]):
    name = "loggly"
    priority = 6
    Config = Config
    protocols = PROTOCOLS

    def prepare(self) -> None:
        conf = self.conf
        tags = " ".join(f'tag="{tag}"' for tag in conf.tags)
        structured = f"[{conf.key}@{_LOGGLY} {tags}]" if tags else f"[{conf.key}@{_LOGGLY}]"
        self._rest = f"{self.services.node.hostname} kong - - {structured} "
        self._encoded = encoder(conf, self.services)
        self._link = self.services.links.datagrams(conf.host, conf.port, timeout_seconds=conf.timeout / 1000)
        self._queue = self.services.queues.open(
            f"loggly {conf.host}:{conf.port}", _QUEUE, self._send, size_of=len, ended=self._link.close
        )

    def close(self) -> None:
        self._queue.close()

    def log(self, ex: Logged) -> None:
        severity = severity_of(self.conf, status_of(ex))
        if severity is None:
            return
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.services.wall_clock()))
        self._queue.add(f"<{_USER | severity}>1 {moment} {self._rest}".encode() + self._encoded(ex))

    log_session = log

    async def _send(self, records: Sequence[bytes]) -> None:
        await self._link.send(records[0])
