"""tcp-log: the record of every exchange as a line of JSON over TCP, or TLS."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tollhouse.model.common import PROTOCOLS
from tollhouse.model.validators import host
from tollhouse.pdk import Plugin, setting
from tollhouse.pdk.delivery import QueueSettings, TlsTo
from tollhouse.pdk.records import Logged, RecordSettings, encoder

#: Kong has no settings for it here: lines go out at once, together with those that came meanwhile.
_QUEUE: Final = QueueSettings(max_batch_size=100, max_coalescing_delay=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(RecordSettings):
    host: str = setting(required=True, validator=host, doc="The collector's host.")
    port: int = setting(required=True, between=(0, 65535), doc="Its port.")
    timeout: float = setting(10_000, unit="ms", doc="How long connecting and sending may take, in ms.")
    keepalive: float = setting(60_000, unit="ms", doc="How long an idle connection is kept, in milliseconds.")
    tls: bool = setting(False, required=True, doc="Speak TLS.")
    tls_sni: str | None = setting(None, doc="The name asked for in TLS; without it the host.")
    ssl_verify: bool = setting(
        False, newer=True, doc="Refuse a server whose certificate is not trusted for its name."
    )


class TcpLog(Plugin[Config]):
    name = "tcp-log"
    priority = 7
    Config = Config
    protocols = PROTOCOLS

    def prepare(self) -> None:
        conf = self.conf
        self._link = self.services.links.stream(
            conf.host,
            conf.port,
            timeout_seconds=conf.timeout / 1000,
            keepalive_seconds=conf.keepalive / 1000,
            tls=TlsTo(conf.tls_sni, conf.ssl_verify) if conf.tls else None,
        )
        self._encoded = encoder(conf, self.services)
        self._queue = self.services.queues.open(
            f"tcp-log {conf.host}:{conf.port}", _QUEUE, self._send, size_of=len, ended=self._link.close
        )

    def close(self) -> None:
        self._queue.close()

    def log(self, ex: Logged) -> None:
        self._queue.add(self._encoded(ex) + b"\n")

    log_session = log

    async def _send(self, lines: Sequence[bytes]) -> None:
        await self._link.send(b"".join(lines))
