"""rate-limiting: so many requests in a second, minute, hour, day, month or year.

Windows are aligned to the calendar. A request counts in all windows or in none. Policy `local` is exact on
a node, whatever the number of its workers; policies `redis` and `cluster` are exact over all nodes that use
the server or the database; `redis` counts refused requests too, as Kong does. With a `sync_rate` every worker
counts for itself and tells the others what it counted so often. While they cannot be told the node counts
alone if the plugin is fault-tolerant; else requests are refused with 500.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

from tollhouse.model.checks import AtLeastOneOf, Conditional, Custom
from tollhouse.model.validators import header_name
from tollhouse.model.validators import path as uri_path
from tollhouse.pdk import Exchange, FieldSet, Plugin, Reject, Tally, Window, setting
from tollhouse.pdk.limiting import CALLERS_KNOWN, Limiter, Verdict, of_periods
from tollhouse.pdk.periods import NOBODY, caller_id, falling_limits, shown
from tollhouse.pdk.redis import REDIS_SHORTHANDS, Redis, redis_problem
from tollhouse.pdk.services import SharedCounts
from tollhouse.pdk.wait import Answered
from tollhouse.pdk.windows import SECONDS, reset_after, start_of

LimitBy = Literal["consumer", "credential", "ip", "service", "header", "path"]


def _sync_rate(config: Mapping[str, Any]) -> str | None:
    rate = config["sync_rate"]
    if rate == -1:
        return None
    if config.get("policy") == "local" or config.get("policy") is None:
        return "sync_rate can only be used with the redis policy"
    if config["policy"] == "cluster" and rate == 0:
        return None
    return "sync_rate must be greater than 0.02, or -1 to disable" if rate < 0.02 else None


def _limits(config: Mapping[str, Any]) -> str | None:
    needs_redis = config.get("policy") == "redis"
    return (
        falling_limits(config, "The")
        or _sync_rate(config)
        or (redis_problem(config) if needs_redis else None)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    second: float | None = setting(None, gt=0, doc="Requests allowed in a second.")
    minute: float | None = setting(None, gt=0, doc="Requests allowed in a minute.")
    hour: float | None = setting(None, gt=0, doc="Requests allowed in an hour.")
    day: float | None = setting(None, gt=0, doc="Requests allowed in a day.")
    month: float | None = setting(None, gt=0, doc="Requests allowed in a month.")
    year: float | None = setting(None, gt=0, doc="Requests allowed in a year.")
    limit_by: LimitBy = setting("consumer", doc="Whose requests are counted together.")
    header_name: str | None = setting(
        None, validator=header_name, doc="The header to count by, for limit_by `header`."
    )
    path: str | None = setting(
        None,
        starts_with="/",
        match_none=(("//", "must not have empty segments"),),
        validator=uri_path,
        doc="The path to count by, for limit_by `path`.",
    )
    policy: Literal["local", "cluster", "redis"] = setting(
        "local", len_min=0, doc="Where the counts are kept; `cluster` is the database that nodes share."
    )
    fault_tolerant: bool = setting(True, required=True, doc="Let requests pass while counts are unreachable.")
    redis: Redis = setting(Redis, required=True, doc="The server for policy `redis`.")
    hide_client_headers: bool = setting(False, required=True, doc="Tell clients nothing of their limits.")
    error_code: float = setting(429, gt=0, doc="Status of a refusal.")
    error_message: str = setting("API rate limit exceeded", doc="Message of a refusal.")
    sync_rate: float = setting(
        -1,
        required=True,
        unit="s",
        doc="Seconds between exchanges with Redis, or (Tollhouse's own) with the "
        "database; -1, and 0 for the database: each request.",
    )
    window_type: Literal["fixed", "sliding"] | None = setting(
        None,
        extra=True,
        doc="Whether windows end all at once, as by default, or what was counted in the one before still "
        "weighs in as much of the running one as is left. Tollhouse's own.",
    )

    CHECKS = (
        AtLeastOneOf(*(f"config.{period}" for period in SECONDS)),
        Conditional("config.policy", {"eq": "redis"}, "config.redis.port", {"required": True}),
        Conditional("config.policy", {"eq": "redis"}, "config.redis.timeout", {"required": True}),
        Conditional("config.limit_by", {"eq": "header"}, "config.header_name", {"required": True}),
        Conditional("config.limit_by", {"eq": "path"}, "config.path", {"required": True}),
        Custom(_limits),
    )
    SHORTHANDS = REDIS_SHORTHANDS


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigWithoutDatabase(Config):
    policy: Literal["local", "redis"] = setting("local", len_min=0, doc="Where the counts are kept.")


class _Period:
    """One configured limit, with the header fields that tell of it."""

    __slots__ = ("allowed", "limit", "lines", "name", "reset", "scarce", "seconds", "start", "told", "whole")

    def __init__(self, name: str, limit: float) -> None:
        self.name = name
        self.limit = limit
        #: Kong lets a request pass while the count is below the limit, which need not be whole.
        self.allowed = ceil(limit)
        #: what is left is told without its fraction
        self.whole = int(limit)
        self.seconds = SECONDS[name]
        self.start = 0
        kind = name.capitalize()
        #: the lines for every client, up to what is left
        self.told = f"X-RateLimit-Limit-{kind}: {shown(limit)}\r\nX-RateLimit-Remaining-{kind}: "
        #: the lines that follow where this limit is scarcest, up to what is left
        self.scarce = f"RateLimit-Limit: {shown(limit)}\r\nRateLimit-Remaining: "

    def roll(self, now: float) -> bool:
        """Comes up to this second; says whether another window has begun."""
        before, self.start = self.start, start_of(self.name, now)
        self.reset = str(reset_after(self.name, self.start, now))
        #: all lines for a client that has been let through, where this is the only limit; twice what is left
        self.lines = f"{self.told}%d\r\n{self.scarce}%d\r\nRateLimit-Reset: {self.reset}\r\n".encode()
        return self.start != before


class RateLimiting(Plugin[Config]):
    name = "rate-limiting"
    priority = 910
    Config = Config
    ConfigWithoutDatabase = ConfigWithoutDatabase

    def prepare(self) -> None:
        conf = self.conf
        limits = ((name, getattr(conf, name)) for name in SECONDS)
        self._periods = tuple(_Period(name, limit) for name, limit in limits if limit is not None)
        self._others = self._periods[1:]
        self._only = None if self._others else self._periods[0]
        # Kong's key: the ids the plugin is bound to, so that a reload with the same ids counts on.
        self._scope = f"rl:{self.scope.route or NOBODY}:{self.scope.service or NOBODY}:"
        self._header = (conf.header_name or "").lower()
        self._clock = self.services.wall_clock
        self._by_consumer = conf.limit_by == "consumer"
        self._tells = not conf.hide_client_headers
        self._second = 0
        self._tallies: dict[str, Tally] = {}
        self._shared = self._shared_counts()
        slides = conf.window_type == "sliding"
        self._limiter: Limiter | None = None
        if self._shared is not None or slides:
            self._limiter = Limiter(
                of_periods([(period.name, period.limit) for period in self._periods]),
                self.services.counters,
                self._clock,
                prefix=self._scope,
                shared=self._shared,
                slides=slides,
                penalty=conf.policy == "redis" and not slides,
                fault_tolerant=conf.fault_tolerant,
            )

    def _shared_counts(self) -> SharedCounts | None:
        conf = self.conf
        sync_seconds = conf.sync_rate if conf.sync_rate > 0 else None
        if conf.policy == "redis":
            return self.services.redis.counts(conf.redis, sync_seconds)
        return self.services.database.counts(sync_seconds) if conf.policy == "cluster" else None

    def close(self) -> None:
        if self._shared is not None:
            self._shared.close()

    def access(self, ex: Exchange) -> Answered | None:
        if self._limiter is not None:
            identifier = self._identifier(ex)
            return self._limiter.take(identifier, lambda verdict: self._judge(ex, verdict))
        second = self._second
        if not second <= (now := self._clock()) < second + 1:
            self._roll(now)
        consumer = ex.consumer
        identifier = consumer.id if self._by_consumer and consumer is not None else self._identifier(ex)
        taken, counts = (self._tallies.get(identifier) or self._tally(identifier)).take()
        if self._tells:
            only = self._only
            if only is not None and taken:
                left = only.whole - counts[0]
                lines = only.lines % ((left, left) if left > 0 else (0, 0))
            else:
                lines = self._lines_for(counts, taken)
            ex.early_headers += (FieldSet(None, lines),)
        if not taken:
            raise Reject(int(self.conf.error_code), self.conf.error_message)
        return None

    def _judge(self, ex: Exchange, verdict: Verdict) -> None:
        """Tells of limits that are not counted on this node alone, and refuses what is above them."""
        for period, wait in zip(self._periods, verdict.wait, strict=True):
            period.reset = str(wait)
        if self._tells:
            ex.add_early_headers(FieldSet(None, self._lines_for(verdict.used, verdict.passes)))
        if not verdict.passes:
            raise Reject(int(self.conf.error_code), self.conf.error_message)

    def _identifier(self, ex: Exchange) -> str:
        limit_by = self.conf.limit_by
        if limit_by == "service" and ex.service is not None:
            return ex.service.id
        if limit_by == "header":
            return ex.request.headers.values.get(self._header, ex.client_ip)
        if limit_by == "path" and ex.request.target.normal == self.conf.path:
            return ex.request.target.normal
        return caller_id(ex, limit_by)

    def _roll(self, now: float) -> None:
        """Comes up to this second, with which windows may have begun that nobody has counted in."""
        self._second = int(now)
        if any([period.roll(now) for period in self._periods]):
            self._tallies.clear()

    def _tally(self, identifier: str) -> Tally:
        key = self._scope + identifier
        windows = [Window(key, p.start, p.seconds, p.allowed) for p in self._periods]
        if len(self._tallies) >= CALLERS_KNOWN:
            self._tallies.clear()
        tally = self._tallies[identifier] = self.services.counters.tally(windows)
        return tally

    def _lines_for(self, counts: Sequence[int], taken: bool) -> bytes:
        """What is left in every window, and all of that window where least is left."""
        scarce = self._periods[0]
        least = max(scarce.whole - counts[0], 0)
        lines = f"{scarce.told}{least}\r\n"
        for period, count in zip(self._others, counts[1:], strict=True) if self._others else ():
            left = max(period.whole - count, 0)
            lines += f"{period.told}{left}\r\n"
            if left <= least:  # of equals the longer window tells more
                scarce, least = period, left
        lines += f"{scarce.scarce}{least}\r\nRateLimit-Reset: {scarce.reset}\r\n"
        return (lines if taken else f"{lines}Retry-After: {scarce.reset}\r\n").encode()
