"""rate-limiting-advanced: several limits at once, each over a window of its own, fixed or sliding.

In a sliding window what was counted in the window before weighs as much as there is left of the running one.
Requests that are refused count too unless `disable_penalty` is set. Strategy `redis` counts for all nodes:
asked for each request (`sync_rate` 0) or told every so many seconds. While Redis is away each node counts
alone. Configurations with one `namespace` count together.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from tollhouse.model.checks import Conditional, Custom
from tollhouse.model.shorthands import only_default
from tollhouse.model.validators import header_name
from tollhouse.model.validators import path as uri_path
from tollhouse.pdk import Exchange, FieldSet, Plugin, Reject, item, setting
from tollhouse.pdk.limiting import Limiter, Span, Verdict
from tollhouse.pdk.periods import caller_id, shown
from tollhouse.pdk.redis import AdvancedRedis, redis_problem
from tollhouse.pdk.services import SharedCounts
from tollhouse.pdk.wait import Answered
from tollhouse.pdk.windows import SECONDS

By = Literal["consumer", "consumer-group", "credential", "header", "ip", "path", "route", "service"]
_PERIODS: Final = {seconds: period.capitalize() for period, seconds in SECONDS.items()}


def _problem(config: Mapping[str, Any]) -> str | None:
    limits, sizes = config.get("limit"), config.get("window_size")
    if isinstance(limits, list) and isinstance(sizes, list) and len(limits) != len(sizes):
        return "You must provide the same number of windows and limits"
    rate = config.get("sync_rate")
    if config.get("strategy") != "redis":
        wrong = rate is not None and rate != -1
        return "sync_rate cannot be configured when using a local strategy" if wrong else None
    if rate is None:
        return "sync_rate is required if not local"
    if rate not in (-1, 0) and rate < 0.02:
        return "sync_rate must be 0, or greater than 0.02, or -1 to disable"
    return redis_problem(config)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    limit: tuple[float, ...] = setting(
        required=True, len_min=1, items=item(gt=0), doc="Requests allowed, a number for each window."
    )
    window_size: tuple[int, ...] = setting(
        required=True, len_min=1, items=item(gt=0), doc="Lengths of the windows, in seconds."
    )
    window_type: Literal["fixed", "sliding"] = setting("sliding", doc="How windows follow one another.")
    identifier: By = setting("consumer", required=True, doc="Whose requests are counted together.")
    compound_identifier: tuple[By, ...] | None = setting(
        None, as_set=True, doc="Several of these together, in place of `identifier`."
    )
    counter_key: Literal["consumer.custom_id", "consumer.id", "consumer.username"] | None = setting(
        None, doc="What of a consumer tells it from others; its id by default."
    )
    header_name: str | None = setting(
        None, validator=header_name, doc="The header to count by, for identifier `header`."
    )
    path: str | None = setting(
        None, starts_with="/", validator=uri_path, doc="The path to count by, for identifier `path`."
    )
    namespace: str | None = setting(None, doc="Configurations with the same one count together.")
    strategy: Literal["local", "redis"] = setting("local", required=True, doc="Where the counts are kept.")
    sync_rate: float | None = setting(
        None, unit="s", doc="Seconds between exchanges with Redis; 0: each request; -1: none."
    )
    redis: AdvancedRedis = setting(AdvancedRedis, required=True, doc="The server for strategy `redis`.")
    hide_client_headers: bool = setting(False, doc="Tell clients nothing of their limits.")
    retry_after_jitter_max: float = setting(
        0, unit="s", doc="At most so many seconds more, by chance, in `Retry-After`."
    )
    disable_penalty: bool = setting(False, doc="Do not count what is refused.")
    error_code: float = setting(429, gt=0, doc="Status of a refusal.")
    error_message: str = setting("API rate limit exceeded", doc="Message of a refusal.")

    CHECKS = (
        Conditional("config.identifier", {"eq": "header"}, "config.header_name", {"required": True}),
        Conditional("config.identifier", {"eq": "path"}, "config.path", {"required": True}),
        Custom(_problem),
    )
    SHORTHANDS = (
        only_default("dictionary_name", "kong_rate_limiting_counters"),
        only_default("lock_dictionary_name", "kong_locks"),
        # Other limits for a group: a configuration of the plugin that is bound to the group.
        only_default("consumer_groups", None),
        only_default("enforce_consumer_groups", False),
        only_default("throttling", {"enabled": False, "interval": 5, "queue_limit": 5, "retry_times": 3}),
    )


class RateLimitingAdvanced(Plugin[Config]):
    name = "rate-limiting-advanced"
    priority = 910
    Config = Config

    def prepare(self) -> None:
        conf = self.conf
        pairs = sorted(zip(conf.window_size, conf.limit, strict=True))
        self._spans = tuple(Span(limit, seconds) for seconds, limit in pairs)
        self._names = tuple(_PERIODS.get(span.seconds, str(span.seconds)) for span in self._spans)
        identify: Mapping[str, Callable[[Exchange], str]] = {
            "consumer": self._consumer,
            "consumer-group": self._group,
            "credential": lambda ex: caller_id(ex, "credential"),
            "header": lambda ex: ex.request.headers.values.get(
                (conf.header_name or "").lower(), ex.client_ip
            ),
            "ip": lambda ex: ex.client_ip,
            "path": lambda ex: conf.path if ex.request.target.normal == conf.path else ex.client_ip,
            "route": lambda ex: ex.route.id if ex.route is not None else ex.client_ip,
            "service": lambda ex: ex.service.id if ex.service is not None else ex.client_ip,
        }
        self._identify = tuple(identify[by] for by in conf.compound_identifier or (conf.identifier,))
        self._counter_key = (conf.counter_key or "consumer.id").partition(".")[2]
        self._shared: SharedCounts | None = None
        if conf.strategy == "redis" and conf.sync_rate is not None and conf.sync_rate >= 0:
            self._shared = self.services.redis.counts(conf.redis, conf.sync_rate or None)
        self._limiter = Limiter(
            self._spans,
            self.services.counters,
            self.services.wall_clock,
            prefix=f"rla:{conf.namespace or self.id}:",
            shared=self._shared,
            slides=conf.window_type == "sliding",
            penalty=not conf.disable_penalty,
        )

    def close(self) -> None:
        if self._shared is not None:
            self._shared.close()

    def access(self, ex: Exchange) -> Answered | None:
        identifier = "|".join([identify(ex) for identify in self._identify])
        return self._limiter.take(identifier, lambda verdict: self._judge(ex, verdict))

    def _judge(self, ex: Exchange, verdict: Verdict) -> None:
        if not self.conf.hide_client_headers:
            ex.add_early_headers(FieldSet(None, self._lines(verdict)))
        if not verdict.passes:
            raise Reject(int(self.conf.error_code), self.conf.error_message)

    def _lines(self, verdict: Verdict) -> bytes:
        """What is left in every window, and all of that window where least is left."""
        lines, scarce, least = "", 0, float("inf")
        for number, (span, name) in enumerate(zip(self._spans, self._names, strict=True)):
            left = max(int(span.limit) - verdict.used[number], 0)
            lines += (
                f"X-RateLimit-Limit-{name}: {shown(span.limit)}\r\nX-RateLimit-Remaining-{name}: {left}\r\n"
            )
            if left <= least:
                scarce, least = number, left
        wait = verdict.wait[scarce]
        lines += f"RateLimit-Limit: {shown(self._spans[scarce].limit)}\r\nRateLimit-Remaining: {least}\r\n"
        lines += f"RateLimit-Reset: {wait}\r\n"
        if not verdict.passes:
            # Clients that were refused together shall not come back together.
            jitter = random.uniform(0, self.conf.retry_after_jitter_max)  # noqa: S311 - nothing to guess
            lines += f"Retry-After: {wait + round(jitter)}\r\n"
        return lines.encode()

    def _consumer(self, ex: Exchange) -> str:
        if ex.consumer is not None:
            return str(getattr(ex.consumer, self._counter_key) or ex.consumer.id)
        return caller_id(ex, "consumer")

    def _group(self, ex: Exchange) -> str:
        """The first of the consumer's groups, by name."""
        if ex.consumer is not None:
            groups = self.services.directory.consumer_groups(ex.consumer.id)
            if groups:
                return groups[0].id
        return caller_id(ex, "consumer")
