"""fault-injection: delays and failures on purpose, to drill what depends on a service.

A delay comes first, then the failure.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from random import SystemRandom

from tollhouse.model.checks import AtLeastOneOf
from tollhouse.pdk import Exchange, Plugin, Reject, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    milliseconds: int = setting(required=True, between=(1, 600000), unit="ms", doc="How long requests wait.")
    percentage: float = setting(100, between=(0, 100), doc="Share of the requests, in percent.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    status: int = setting(503, between=(200, 599), doc="Status of the answer.")
    message: str = setting("fault injected", doc="Message of the answer.")
    percentage: float = setting(100, between=(0, 100), doc="Share of the requests, in percent.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    delay: Delay | None = setting(None, required=False, doc="Lets requests wait.")
    abort: Abort | None = setting(None, required=False, doc="Answers in place of the service.")
    headers: dict[str, str] | None = setting(
        None, doc="Only requests with these headers and values; `*` stands for any value."
    )
    tell: bool = setting(True, required=True, doc="Tell clients in X-Fault-Injected that it was on purpose.")

    CHECKS = (AtLeastOneOf("config.delay", "config.abort"),)


class FaultInjection(Plugin[Config]):
    name = "fault-injection"
    priority = 410
    Config = Config

    def prepare(self) -> None:
        self._headers = [(name.lower(), value) for name, value in (self.conf.headers or {}).items()]
        self._random = SystemRandom()

    def access(self, ex: Exchange) -> Awaitable[None] | None:
        values = ex.request.headers.values
        if any(name not in values or want not in ("*", values[name]) for name, want in self._headers):
            return None
        delay = self.conf.delay
        if delay is not None and self._hits(delay.percentage):
            self._tell(ex, "delay")
            return self._later(ex, delay.milliseconds / 1000)
        self._abort(ex)
        return None

    async def _later(self, ex: Exchange, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._abort(ex)

    def _abort(self, ex: Exchange) -> None:
        abort = self.conf.abort
        if abort is not None and self._hits(abort.percentage):
            self._tell(ex, "abort")
            raise Reject(abort.status, abort.message)

    def _hits(self, percentage: float) -> bool:
        return self._random.random() * 100 < percentage

    def _tell(self, ex: Exchange, what: str) -> None:
        if self.conf.tell:
            ex.set_early_header("X-Fault-Injected", what)
