"""response-ratelimiting: limits by what an answer says it cost.

The upstream names in a header how much of which limit its answer used (`X-Kong-Limit: video=2`). A
caller whose limit is used up is refused before the upstream is asked only if the plugin is told to
block; otherwise the answer that goes over a limit is taken away.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tollhouse.model.checks import AtLeastOneOf, Conditional, Custom
from tollhouse.pdk import Exchange, Plugin, Reject, Window, setting
from tollhouse.pdk.limiting import UNREACHABLE
from tollhouse.pdk.periods import NOBODY, caller_id, falling_limits, shown
from tollhouse.pdk.redis import REDIS_SHORTHANDS, Redis, redis_problem
from tollhouse.pdk.services import SharedCounts
from tollhouse.pdk.wait import Answered
from tollhouse.pdk.windows import SECONDS, start_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    second: float | None = setting(None, gt=0, doc="Units in a second.")
    minute: float | None = setting(None, gt=0, doc="Units in a minute.")
    hour: float | None = setting(None, gt=0, doc="Units in an hour.")
    day: float | None = setting(None, gt=0, doc="Units in a day.")
    month: float | None = setting(None, gt=0, doc="Units in a month.")
    year: float | None = setting(None, gt=0, doc="Units in a year.")

    CHECKS = (AtLeastOneOf(*SECONDS), Custom(lambda limits: falling_limits(limits, "the")))


def _problem(config: Mapping[str, Any]) -> str | None:
    return redis_problem(config) if config.get("policy") == "redis" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    header_name: str = setting("x-kong-limit", doc="The response header that tells what was used.")
    limit_by: Literal["consumer", "credential", "ip"] = setting("consumer", doc="Whose units are counted.")
    policy: Literal["local", "cluster", "redis"] = setting(
        "local", doc="Where the counts are kept; `cluster` is the database that nodes share."
    )
    fault_tolerant: bool = setting(True, required=True, doc="Let requests pass while counts are unreachable.")
    redis: Redis = setting(Redis, required=True, doc="The server for policy `redis`.")
    block_on_first_violation: bool = setting(
        False, required=True, doc="Refuse before asking the upstream once a limit is used up."
    )
    hide_client_headers: bool = setting(False, required=True, doc="Tell clients nothing of their limits.")
    limits: dict[str, Limit] = setting(required=True, len_min=1, doc="Limits by name.")

    CHECKS = (
        Conditional("config.policy", {"eq": "redis"}, "config.redis.port", {"required": True}),
        Conditional("config.policy", {"eq": "redis"}, "config.redis.timeout", {"required": True}),
        Custom(_problem),
    )
    SHORTHANDS = REDIS_SHORTHANDS


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigWithoutDatabase(Config):
    policy: Literal["local", "redis"] = setting("local", doc="Where the counts are kept.")


@dataclass(slots=True)
class _Seen:
    """What a caller had used when its request came, by limit and period, where counts are not at hand."""

    used: dict[tuple[str, str], int]


class ResponseRatelimiting(Plugin[Config]):
    name = "response-ratelimiting"
    priority = 900
    Config = Config
    ConfigWithoutDatabase = ConfigWithoutDatabase

    def prepare(self) -> None:
        self._header = self.conf.header_name.lower()
        self._scope = f"rrl:{self.scope.route or NOBODY}:{self.scope.service or NOBODY}:"
        self._limits: Mapping[str, tuple[tuple[str, float], ...]] = {
            name: tuple((p, getattr(limit, p)) for p in SECONDS if getattr(limit, p) is not None)
            for name, limit in self.conf.limits.items()
        }
        self._places = [
            (name, period, limit) for name in self._limits for period, limit in self._limits[name]
        ]
        self._shared: SharedCounts | None = None
        if self.conf.policy == "redis":
            self._shared = self.services.redis.counts(self.conf.redis)
        elif self.conf.policy == "cluster":
            self._shared = self.services.database.counts()

    def close(self) -> None:
        if self._shared is not None:
            self._shared.close()

    def access(self, ex: Exchange) -> Answered | None:
        if self._shared is None:
            self._judge(ex)
            return None
        windows = [self._window(ex, *place) for place in self._places]

        def done(counts: list[int] | None) -> None:
            if counts is None and not self.conf.fault_tolerant:
                raise Reject(500, UNREACHABLE)
            if counts is not None:
                places = ((name, period) for name, period, _ in self._places)
                ex.put(_Seen(dict(zip(places, counts, strict=True))))
            self._judge(ex)

        return self._shared.read(windows, done)

    def _judge(self, ex: Exchange) -> None:
        left = {name: min(self._left(ex, name).values()) for name in self._limits}
        for name, remaining in left.items():
            if remaining <= 0 and self.conf.block_on_first_violation:
                raise Reject(429, f"API rate limit exceeded for '{name}'")
        if not self.conf.hide_client_headers:
            for name, remaining in left.items():
                ex.request.headers.set(f"X-RateLimit-Remaining-{name}", str(remaining))

    def header_filter(self, ex: Exchange) -> None:
        response = ex.response
        if response is None or not response.from_upstream:
            return
        used = self._used(response.headers.joined(self._header) or "")
        response.headers.remove(self._header)
        over = False
        for name, limits in self._limits.items():
            amount = used.get(name, 0)
            left = self._left(ex, name)
            for period, limit in limits:
                if amount and left[period] <= 0:
                    over = True
                if amount:
                    left[period] = max(0, int(limit - self._add(ex, name, period, limit, amount)))
                if not self.conf.hide_client_headers:
                    response.headers.set(f"X-RateLimit-Limit-{name}-{period}", shown(limit))
                    response.headers.set(f"X-RateLimit-Remaining-{name}-{period}", str(left[period]))
        if over:
            response.status, response.line = 429, b""
            response.content = b""

    def _used(self, text: str) -> dict[str, int]:
        """`name=2, other=1`; as in Kong a name without a number counts nothing."""
        used: dict[str, int] = {}
        for entry in text.split(","):
            name, _, amount = (part.strip() for part in entry.partition("="))
            if name in self._limits and amount.isdecimal():
                used[name] = int(amount)
        return used

    def _window(self, ex: Exchange, name: str, period: str, limit: float) -> Window:
        key = f"{{{self._scope}{caller_id(ex, self.conf.limit_by)}}}:{name}"
        return Window(key, start_of(period, self.services.wall_clock()), SECONDS[period], limit)

    def _add(self, ex: Exchange, name: str, period: str, limit: float, amount: int) -> int:
        """Counts what an answer cost; returns the new count as far as it is known."""
        window = self._window(ex, name, period, limit)
        seen = ex.peek(_Seen)
        if self._shared is None or seen is None:
            return self.services.counters.add(window, amount)
        self._shared.add(window, amount)
        return seen.used[name, period] + amount

    def _left(self, ex: Exchange, name: str) -> dict[str, int]:
        seen = ex.peek(_Seen)
        read = self.services.counters.read
        left = {}
        for period, limit in self._limits[name]:
            window = self._window(ex, name, period, limit)
            left[period] = max(0, int(limit - (read(window) if seen is None else seen.used[name, period])))
        return left
