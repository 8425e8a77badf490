"""request-mirror: sends a copy of requests to another service, whose answers nobody waits for.

Copies leave once the client's own request has been answered; there is a limit to how many are under way, and
those over it are dropped and counted.
"""

from dataclasses import dataclass
from random import SystemRandom
from typing import Final
from urllib.parse import urlsplit

from tollhouse.errors import UpstreamFault
from tollhouse.model.validators import url
from tollhouse.pdk import Exchange, Plugin, setting
from tollhouse.pdk.tasks import Tasks

#: fields that belong to the client's own connection, or say where the request was meant to go
_NOT_SENT: Final = frozenset(
    {
        "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
        "content-length", "host", "expect",
    }
)  # fmt: skip
_CREDENTIALS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "apikey"})
_BODY_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    url: str = setting(required=True, validator=url, doc="Where copies go; their path is put behind its own.")
    percentage: float = setting(100, between=(0, 100), doc="Share of the requests, in percent.")
    timeout: int = setting(10000, between=(1, 600000), unit="ms", doc="How long a copy may take.")
    max_in_flight: int = setting(100, gt=0, doc="Most copies under way at once, for each worker.")
    send_credentials: bool = setting(
        False, required=True, doc="Copy Authorization, cookies and API keys, too."
    )


class RequestMirror(Plugin[Config]):
    name = "request-mirror"
    priority = 18
    Config = Config

    def prepare(self) -> None:
        self.request_body_limit = _BODY_BYTES
        parts = urlsplit(self.conf.url)
        self._base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._unwanted = _NOT_SENT if self.conf.send_credentials else _NOT_SENT | _CREDENTIALS
        self._random = SystemRandom()
        self._tasks = Tasks()
        self._in_flight = 0
        counter = self.services.meter.counter(
            "tollhouse_mirrored_requests_total", "Copies of requests by what became of them", ("result",)
        )
        self._sent, self._failed, self._dropped = (
            counter.series((result,)) for result in ("sent", "failed", "dropped")
        )

    def access(self, ex: Exchange) -> None:
        """Has no part in it, but that the body is read whole for it."""

    def log(self, ex: Exchange) -> None:
        if ex.matched is None or self._random.random() * 100 >= self.conf.percentage:
            return
        if self._in_flight >= self.conf.max_in_flight or ex.request.content is None:
            self._dropped.value += 1
            return
        self._in_flight += 1
        headers = [pair for pair in ex.request.headers.items() if pair[0] not in self._unwanted]
        headers += [("x-mirrored", "1"), ("x-request-id", ex.request_id)]
        target = ex.upstream_target or ex.matched.upstream_target
        method = ex.upstream_method or ex.request.method
        self._tasks.spawn(self._send(method, target, headers, ex.request.content), "request-mirror")

    async def _send(self, method: str, target: str, headers: list[tuple[str, str]], body: bytes) -> None:
        try:
            await self.services.http.request(
                method,
                self._base + target,
                headers=headers,
                body=body,
                timeout_seconds=self.conf.timeout / 1000,
            )
            self._sent.value += 1
        except (UpstreamFault, ValueError):
            self._failed.value += 1
        finally:
            self._in_flight -= 1
