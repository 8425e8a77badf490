"""syslog: the record of every exchange for the system's own syslog (`KONG_SYSLOG_SOCKET`)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tollhouse.model.common import PROTOCOLS
from tollhouse.pdk import Plugin, setting
from tollhouse.pdk.delivery import QueueSettings
from tollhouse.pdk.records import Logged, SeveritySettings, encoder, severity_of, status_of

#: numbers of facilities (RFC 5424, 6.2.1, and the systems' own syslog.h)
_FACILITIES: Final = {
    "kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8,
    "cron": 9, "authpriv": 10, "ftp": 11, "local0": 16, "local1": 17, "local2": 18, "local3": 19,
    "local4": 20, "local5": 21, "local6": 22, "local7": 23,
}  # fmt: skip
#: in the order in which Kong's schema and refusals list them
_CHOICES: Final = (
    "auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog", "user", "uucp",
    *(f"local{number}" for number in range(8)),
)  # fmt: skip
_QUEUE: Final = QueueSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(SeveritySettings):
    facility: str = setting(
        "user", required=True, one_of=_CHOICES, doc="The facility that records are filed under."
    )


class Syslog(Plugin[Config]):
    name = "syslog"
    priority = 4
    Config = Config
    protocols = PROTOCOLS

    def prepare(self) -> None:
        self._facility = _FACILITIES[self.conf.facility] << 3
        self._encoded = encoder(self.conf, self.services)
        self._link = self.services.links.local_syslog()
        self._queue = self.services.queues.open(
            "syslog", _QUEUE, self._send, size_of=len, ended=self._link.close
        )

    def close(self) -> None:
        self._queue.close()

    def log(self, ex: Logged) -> None:
        severity = severity_of(self.conf, status_of(ex))
        if severity is None:
            return
        # The form that the socket of a system is spoken to in (RFC 3164, 5.4), as its own library does.
        moment = time.strftime("%b %e %H:%M:%S", time.localtime(self.services.wall_clock()))
        head = f"<{self._facility | severity}>{moment} tollhouse[{self.services.node.pid}]: "
        self._queue.add(head.encode() + self._encoded(ex))

    log_session = log

    async def _send(self, records: Sequence[bytes]) -> None:
        await self._link.send(records[0])
