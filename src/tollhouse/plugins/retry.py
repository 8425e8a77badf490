"""retry: asks the service again when it fails, after waits that grow.

Beside Kong's own retries of failed connections this knows answers that are failures, waits between attempts
and a limit of time for each. Nothing is repeated once a part of an answer has reached the client, nor a body
that was streamed.
"""

import asyncio
from dataclasses import dataclass
from random import SystemRandom
from typing import Final, Literal

from msgspec.structs import replace

from tollhouse.errors import Cause, TryAnother, UpstreamFault
from tollhouse.pdk import Exchange, Plugin, Response, setting

Condition = Literal[
    "error", "timeout", "http_429", "http_500", "http_502", "http_503", "http_504", "non_idempotent"
]
_TIMEOUTS: Final = frozenset({Cause.CONNECT_TIMEOUT, Cause.SEND_TIMEOUT, Cause.READ_TIMEOUT})
#: methods that may be asked twice (RFC 9110 9.2.2)
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
_BODY_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    retries: int = setting(3, between=(0, 100), doc="How often to ask again.")
    timeout: int | None = setting(
        None,
        between=(1, 2147483646),
        unit="ms",
        doc="How long each attempt may take until its answer begins.",
    )
    backoff: int = setting(
        100, between=(0, 60000), unit="ms", doc="Wait before the first repetition; it doubles each time."
    )
    max_backoff: int = setting(5000, between=(0, 600000), unit="ms", doc="The longest wait.")
    jitter: float = setting(0.5, between=(0, 1), doc="Part of each wait that is left to chance.")
    conditions: tuple[Condition, ...] = setting(
        ("error", "timeout", "http_502", "http_503", "http_504"),
        as_set=True,
        doc="What is a failure; with `non_idempotent` POST and PATCH are repeated, too.",
    )


class Retry(Plugin[Config]):
    name = "retry"
    priority = 395
    Config = Config

    def prepare(self) -> None:
        self.conditions = frozenset(self.conf.conditions)
        self.random = SystemRandom()
        self.request_body_limit = _BODY_BYTES if self.conf.retries else None

    def needs_body(self, ex: Exchange) -> bool:
        return self.may_repeat(ex)

    def may_repeat(self, ex: Exchange) -> bool:
        """Whether asking twice does no harm, by the request's method."""
        return ex.request.method in _IDEMPOTENT or "non_idempotent" in self.conditions

    def access(self, ex: Exchange) -> None:
        patience = replace(ex.patience_of_service(), retries=0)
        if self.conf.timeout is not None:
            patience = replace(patience, first=self.conf.timeout / 1000)
        ex.patience = patience
        if ex.failover is None:
            ex.failover = _Attempts(self)


class _Attempts:
    """The attempts of one exchange."""

    def __init__(self, plugin: Retry) -> None:
        self._plugin = plugin
        self._made = 0

    def refuses(self, ex: Exchange, response: Response) -> bool:
        return (
            self._is_left(ex)
            and self._plugin.may_repeat(ex)
            and f"http_{response.status}" in self._plugin.conditions
        )

    async def again(self, ex: Exchange, failure: Exception) -> bool:
        if not isinstance(failure, TryAnother) and not self._repeats(ex, failure):
            return False
        conf = self._plugin.conf
        wait = min(conf.max_backoff, conf.backoff * 2**self._made) / 1000
        self._made += 1
        await asyncio.sleep(wait * (1 - conf.jitter * self._plugin.random.random()))
        return True

    def _is_left(self, ex: Exchange) -> bool:
        return self._made < self._plugin.conf.retries and ex.request.content is not None

    def _repeats(self, ex: Exchange, failure: Exception) -> bool:
        if not isinstance(failure, UpstreamFault) or not self._is_left(ex):
            return False
        if failure.sent and not self._plugin.may_repeat(ex):
            return False
        return ("timeout" if failure.cause in _TIMEOUTS else "error") in self._plugin.conditions
