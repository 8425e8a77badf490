"""rate-limiting: so many requests in a second, minute, hour, day, month or year.

Windows are fixed and aligned to the calendar. A request counts in all windows or in none: one that is
refused is not counted. Policy `local` is exact on a node, whatever the number of its workers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from tollhouse.model.checks import AtLeastOneOf, Conditional, Custom
from tollhouse.model.validators import header_name
from tollhouse.model.validators import path as uri_path
from tollhouse.pdk import Exchange, Plugin, Reject, Window, setting, wire_field
from tollhouse.pdk.periods import NOBODY, caller_id, falling_limits, only_local, shown
from tollhouse.pdk.redis import REDIS_SHORTHANDS, Redis
from tollhouse.pdk.windows import SECONDS, reset_after, start_of

LimitBy = Literal["consumer", "credential", "ip", "service", "header", "path"]


def _sync_rate(config: Mapping[str, Any]) -> str | None:
    rate = config["sync_rate"]
    if rate == -1:
        return None
    if config.get("policy") != "redis":
        return "sync_rate can only be used with the redis policy"
    return "sync_rate must be greater than 0.02, or -1 to disable" if rate < 0.02 else None


def _limits(config: Mapping[str, Any]) -> str | None:
    return falling_limits(config, "The") or _sync_rate(config) or only_local(config)


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
    policy: Literal["local", "redis"] = setting("local", len_min=0, doc="Where the counts are kept.")
    fault_tolerant: bool = setting(True, required=True, doc="Let requests pass while counts are unreachable.")
    redis: Redis = setting(Redis, required=True, doc="The server for policy `redis`.")
    hide_client_headers: bool = setting(False, required=True, doc="Tell clients nothing of their limits.")
    error_code: float = setting(429, gt=0, doc="Status of a refusal.")
    error_message: str = setting("API rate limit exceeded", doc="Message of a refusal.")
    sync_rate: float = setting(
        -1, required=True, unit="s", doc="Seconds between exchanges with Redis; -1: each request."
    )

    CHECKS = (
        AtLeastOneOf(*(f"config.{period}" for period in SECONDS)),
        Conditional("config.policy", {"eq": "redis"}, "config.redis.host", {"required": True}),
        Conditional("config.policy", {"eq": "redis"}, "config.redis.port", {"required": True}),
        Conditional("config.policy", {"eq": "redis"}, "config.redis.timeout", {"required": True}),
        Conditional("config.limit_by", {"eq": "header"}, "config.header_name", {"required": True}),
        Conditional("config.limit_by", {"eq": "path"}, "config.path", {"required": True}),
        Custom(_limits),
    )
    SHORTHANDS = REDIS_SHORTHANDS


class _Period:
    """One configured limit, with the fields that name it."""

    __slots__ = ("limit", "limit_field", "name", "remaining_name", "seconds")

    def __init__(self, name: str, limit: float) -> None:
        self.name = name
        self.limit = limit
        self.seconds = SECONDS[name]
        title = name.capitalize()
        self.limit_field = wire_field(f"X-RateLimit-Limit-{title}", shown(limit))
        self.remaining_name = f"X-RateLimit-Remaining-{title}"


class RateLimiting(Plugin[Config]):
    name = "rate-limiting"
    priority = 910
    Config = Config

    def prepare(self) -> None:
        conf = self.conf
        limits = ((name, getattr(conf, name)) for name in SECONDS)
        self._periods = tuple(_Period(name, limit) for name, limit in limits if limit is not None)
        # Kong's key: the ids the plugin is bound to, so that a reload with the same ids counts on.
        self._scope = f"rl:{self.scope.route or NOBODY}:{self.scope.service or NOBODY}:"
        self._header = (conf.header_name or "").lower()
        self._windows: dict[str, tuple[int, list[Window]]] = {}

    def access(self, ex: Exchange) -> None:
        now = self.services.wall_clock()
        windows = self._windows_of(self._identifier(ex), now)
        taken, counts = self.services.counters.take(windows)
        if taken and self.conf.hide_client_headers:
            return
        remaining = self._remaining(windows, counts, taken=taken)
        if not self.conf.hide_client_headers:
            ex.add_early_headers(self._headers(windows, remaining, now, taken=taken))
        if not taken:
            raise Reject(int(self.conf.error_code), self.conf.error_message)

    def _identifier(self, ex: Exchange) -> str:
        limit_by = self.conf.limit_by
        if limit_by == "service" and ex.service is not None:
            return ex.service.id
        if limit_by == "header":
            return ex.request.headers.values.get(self._header) or ex.client_ip
        if limit_by == "path" and ex.request.target.normal == self.conf.path:
            return ex.request.target.normal
        return caller_id(ex, limit_by)

    def _windows_of(self, identifier: str, now: float) -> list[Window]:
        """The running windows of a caller; made anew once a second at most."""
        second = int(now)
        known = self._windows.get(identifier)
        if known is not None and known[0] == second:
            return known[1]
        key = self._scope + identifier
        windows = [Window(key, start_of(p.name, now), p.seconds, p.limit) for p in self._periods]
        if len(self._windows) >= _CALLERS_KNOWN:
            self._windows.clear()
        self._windows[identifier] = (second, windows)
        return windows

    def _remaining(self, windows: list[Window], counts: list[int], *, taken: bool) -> list[int]:
        """What is left in each window as shown: a refused request shows only where it failed."""
        left = [max(0, int(w.limit - count)) for w, count in zip(windows, counts, strict=True)]
        return left if taken else [max(0, n) for n in left]

    def _headers(
        self, windows: list[Window], remaining: list[int], now: float, *, taken: bool
    ) -> list[tuple[str, str, bytes]]:
        fields = []
        scarce = 0
        for place, (period, left) in enumerate(zip(self._periods, remaining, strict=True)):
            fields.append(period.limit_field)
            fields.append(wire_field(period.remaining_name, str(left)))
            if left <= remaining[scarce]:  # of equals the longer window tells more
                scarce = place
        period = self._periods[scarce]
        reset = str(reset_after(period.name, windows[scarce].start, now))
        fields.append(wire_field("RateLimit-Limit", shown(period.limit)))
        fields.append(wire_field("RateLimit-Remaining", str(remaining[scarce])))
        fields.append(wire_field("RateLimit-Reset", reset))
        if not taken:
            fields.append(wire_field("Retry-After", reset))
        return fields


_CALLERS_KNOWN: Final = 50_000
