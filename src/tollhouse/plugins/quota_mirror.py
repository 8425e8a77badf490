"""quota-mirror: tells, or stops, tenants who use more than their quota. Tollhouse's own.

Whoever keeps the quotas mirrors them into Redis: the hash `quota:{TENANT}` has a field `requests:PERIOD` or
`tokens:PERIOD` for each limit. The gateway counts what is used beside it, under
`quota:{TENANT}:requests:PERIOD:START` and `quota:{TENANT}:tokens:PERIOD:START`, where START is when the
period began, in seconds since the epoch. Requests are counted before they pass, so that all nodes together
let no more through than the limit; tokens of models once they are known, so that requests under way may
exceed it.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import msgspec

from tollhouse.model.checks import Custom
from tollhouse.model.validators import header_name
from tollhouse.pdk import Exchange, Plugin, Reject, setting
from tollhouse.pdk.delivery import Queue, QueueSettings
from tollhouse.pdk.events import Publisher
from tollhouse.pdk.redis import REDIS_SHORTHANDS, Redis, RedisError, redis_problem
from tollhouse.pdk.tasks import Tasks
from tollhouse.pdk.usage import Metered
from tollhouse.pdk.windows import SECONDS, reset_after, start_of

log = logging.getLogger("tollhouse.plugins.quota_mirror")

Period = Literal["minute", "hour", "day", "month"]
Resource = Literal["requests", "tokens"]
_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}")
_EXCEEDED: Final = "X-Quota-Exceeded"
#: windows that this worker has told of
_TOLD_AT_MOST: Final = 10_000
_UNLIMITED: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    minute: int | None = setting(None, gt=0, doc="In a minute.")
    hour: int | None = setting(None, gt=0, doc="In an hour.")
    day: int | None = setting(None, gt=0, doc="In a day.")
    month: int | None = setting(None, gt=0, doc="In a month.")


def _problem(config: Mapping[str, Any]) -> str | None:
    if config.get("nats_url") and not str(config["nats_url"]).startswith(("nats://", "tls://")):
        return "nats_url must begin with nats:// or tls://"
    return redis_problem(config)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    redis: Redis = setting(Redis, required=True, doc="The server that quotas are mirrored to.")
    alert_only: bool = setting(
        True, doc=f"Let tenants over their quota pass, with `{_EXCEEDED}: true`; else refuse them with 429."
    )
    tenant_header: str = setting(
        "X-Tenant-Id", validator=header_name, doc="The header that says whose a request is."
    )
    consumer_fallback: bool = setting(
        False, doc="Without that header the tenant is the consumer's `custom_id`, or its `username`."
    )
    periods: tuple[Period, ...] = setting(
        ("minute", "hour", "day", "month"), as_set=True, len_min=1, doc="The periods that are counted in."
    )
    requests: Limits | None = setting(
        None, doc="Limits of requests for tenants whose hash in Redis has none for the period."
    )
    tokens: Limits | None = setting(
        None, doc="Limits of tokens of models for tenants whose hash in Redis has none for the period."
    )
    count_tokens: bool = setting(True, doc="Count the tokens that calls of models used.")
    fault_tolerant: bool = setting(
        True, doc="While Redis is away let requests pass uncounted; else answer 503."
    )
    nats_url: str | None = setting(
        None,
        referenceable=True,
        doc="NATS server for events, `nats://host:4222`; a JetStream stream has to keep the subject.",
    )
    nats_subject: str = setting("quota.exceeded", doc="Subject of events.")

    CHECKS = (Custom(_problem),)
    SHORTHANDS = REDIS_SHORTHANDS


class _Over(NamedTuple):
    """A limit that is exceeded."""

    resource: Resource
    period: str
    start: int
    limit: int
    used: int


class _Tenant:
    """Whose an exchange is, once it has been counted."""

    name: str = ""


class QuotaMirror(Plugin[Config]):
    name = "quota-mirror"
    priority = 905
    Config = Config

    def prepare(self) -> None:
        conf = self.conf
        self._redis = self.services.redis.client(conf.redis)
        self._header = conf.tenant_header.lower()
        self._periods = tuple(name for name in SECONDS if name in conf.periods)
        self._defaults: tuple[int | None, ...] = tuple(
            getattr(limits, period) if limits is not None else None
            for limits in (conf.requests, conf.tokens)
            for period in self._periods
        )
        self._fields = [f"{kind}:{period}" for kind in ("requests", "tokens") for period in self._periods]
        self._tasks = Tasks()
        self._told: set[tuple[str, Resource, str, int]] = set()
        self._prepare_telling()

    def _prepare_telling(self) -> None:
        meter, conf = self.services.meter, self.conf
        self._exceeded = meter.counter(
            "tollhouse_quota_exceeded_total",
            "Requests of tenants over their quota",
            ("resource", "period", "action"),
        )
        self._unchecked = meter.counter(
            "tollhouse_quota_unchecked_total", "Requests and calls that could not be counted", ()
        ).series(())
        self._publisher: Publisher | None = None
        self._queue: Queue[bytes] | None = None
        if conf.nats_url is not None:
            self._publisher = self.services.events.publisher(conf.nats_url)
            self._queue = self.services.queues.open(
                self.name, QueueSettings(), self._publish, size_of=len, ended=self._publisher.close
            )

    def close(self) -> None:
        self.services.redis.release(self._redis)
        if self._queue is not None:
            self._queue.close()

    async def access(self, ex: Exchange) -> None:
        ex.request.headers.remove(_EXCEEDED.lower())
        tenant = self._tenant(ex)
        now = self.services.wall_clock()
        try:
            over = await self._count(tenant, now)
        except RedisError as error:
            self._cannot_count(error)
            return
        ex.slot(_Tenant).name = tenant
        if over is not None:
            await self._tell(ex, tenant, over)
            self._judge(ex, over, now)

    def _tenant(self, ex: Exchange) -> str:
        """Raises `Reject` if nobody says whose the request is."""
        found = ex.request.headers.get(self._header)
        if not found and self.conf.consumer_fallback and ex.consumer is not None:
            found = ex.consumer.custom_id or ex.consumer.username
        if not found:
            raise _refused(400, "MISSING_TENANT_ID", f"header {self.conf.tenant_header} is required")
        if _TENANT.fullmatch(found) is None:
            raise _refused(
                400, "INVALID_TENANT_ID", "a tenant has at most 128 letters, digits and . _ : @ / -"
            )
        return found

    def _cannot_count(self, error: RedisError) -> None:
        """The client of Redis has told the log that the server is away; this is for each request."""
        self._unchecked.value += 1
        if not self.conf.fault_tolerant:
            raise _refused(503, "QUOTA_UNAVAILABLE", "quotas cannot be checked now") from error

    async def _count(self, tenant: str, now: float) -> _Over | None:
        """Counts a request. The limit that is exceeded longest, if there is one; where that refuses the
        request it is not counted. Raises `RedisError`."""
        base = f"quota:{{{tenant}}}"
        starts = [start_of(period, now) for period in self._periods]
        keys = [self._key(base, "requests", *pair) for pair in zip(self._periods, starts, strict=True)]
        commands: list[Sequence[str | int]] = [("HMGET", base, *self._fields)]
        for period, key in zip(self._periods, keys, strict=True):
            commands += [("INCR", key), ("EXPIRE", key, SECONDS[period] + SECONDS["day"])]
        for pair in zip(self._periods, starts, strict=True):
            commands.append(("GET", self._key(base, "tokens", *pair)))
        replies = await self._redis.pipeline(base, commands)
        count = len(self._periods)
        used = [*replies[1 : 1 + 2 * count : 2], *(int(reply or 0) for reply in replies[1 + 2 * count :])]
        over = self._exceeded_of(self._limits(tenant, replies[0]), used, starts)
        if over is not None and not self.conf.alert_only:
            await self._redis.pipeline(base, [("DECR", key) for key in keys])
        return over

    @staticmethod
    def _key(base: str, resource: Resource, period: str, start: int) -> str:
        return f"{base}:{resource}:{period}:{start}"

    def _limits(self, tenant: str, told: Sequence[bytes | None]) -> list[int | None]:
        """The limits of a tenant; `None` where there is none."""
        limits: list[int | None] = []
        for field, text, default in zip(self._fields, told, self._defaults, strict=True):
            try:
                limit = default if text is None else int(text)
            except ValueError:
                log.warning("quota of tenant %s: %s is no number of %s", tenant, text, field)
                limit = default
            limits.append(None if limit == _UNLIMITED else limit)
        return limits

    def _exceeded_of(
        self, limits: Sequence[int | None], used: Sequence[int], starts: Sequence[int]
    ) -> _Over | None:
        found = None
        count = len(self._periods)
        for place, (limit, amount) in enumerate(zip(limits, used, strict=True)):
            resource: Resource = "requests" if place < count else "tokens"
            # A request has been counted already; tokens are those of the requests before.
            if limit is not None and (amount > limit or (resource == "tokens" and amount >= limit)):
                period, start = self._periods[place % count], starts[place % count]
                if found is None or SECONDS[period] > SECONDS[found.period]:
                    found = _Over(resource, period, start, limit, amount)
        return found

    async def _tell(self, ex: Exchange, tenant: str, over: _Over) -> None:
        """Log and event, once for all nodes in each period."""
        action = "alerted" if self.conf.alert_only else "refused"
        self._exceeded.series((over.resource, over.period, action)).value += 1
        window = (tenant, over.resource, over.period, over.start)
        if window in self._told:
            return
        if len(self._told) >= _TOLD_AT_MOST:
            self._told.clear()
        self._told.add(window)
        key = self._key(f"quota:{{{tenant}}}:told", over.resource, over.period, over.start)
        try:
            first = await self._redis.call("SET", key, 1, "NX", "EX", SECONDS[over.period])
        except RedisError:
            first = True  # twice is better than never
        if first is None:
            return
        log.warning(
            "tenant %s exceeds its quota of %d %s a %s", tenant, over.limit, over.resource, over.period
        )
        if self._queue is not None:
            self._queue.add(msgspec.json.encode(self._event(ex, tenant, over, key)))

    def _event(self, ex: Exchange, tenant: str, over: _Over, id_: str) -> dict[str, Any]:
        return {
            "id": id_,
            "type": "quota.exceeded",
            "tenant": tenant,
            **over._asdict(),
            "alert_only": self.conf.alert_only,
            "request_id": ex.request_id,
            "route": ex.route.name if ex.route is not None else None,
            "service": ex.service.name if ex.service is not None else None,
            "at": self.services.wall_clock(),
        }

    async def _publish(self, batch: Sequence[bytes]) -> None:
        for payload in batch:
            if self._publisher is not None:
                id_: str = msgspec.json.decode(payload)["id"]
                await self._publisher.publish(self.conf.nats_subject, payload, id_)

    def _judge(self, ex: Exchange, over: _Over, now: float) -> None:
        if self.conf.alert_only:
            ex.set_early_header(_EXCEEDED, "true")
            ex.request.headers.set(_EXCEEDED, "true")
            return
        wait = reset_after(over.period, over.start, now)
        message = f"the quota of {over.limit} {over.resource} a {over.period} is used up"
        told = {"resource": over.resource, "period": over.period, "limit": over.limit, "retry_after": wait}
        headers = {_EXCEEDED: "true", "Retry-After": str(wait)}
        raise _refused(429, "QUOTA_EXCEEDED", message, headers, **told)

    def log(self, ex: Exchange) -> None:
        tenant, metered = ex.peek(_Tenant), ex.peek(Metered)
        if tenant is None or metered is None or not self.conf.count_tokens:
            return
        tokens = sum(call.usage.total_tokens for call in (metered, *metered.earlier))
        if tokens:
            self._tasks.spawn(self._add_tokens(tenant.name, tokens), "quota-mirror")

    async def _add_tokens(self, tenant: str, tokens: int) -> None:
        base, now = f"quota:{{{tenant}}}", self.services.wall_clock()
        commands: list[Sequence[str | int]] = []
        for period in self._periods:
            key = self._key(base, "tokens", period, start_of(period, now))
            commands += [("INCRBY", key, tokens), ("EXPIRE", key, SECONDS[period] + SECONDS["day"])]
        try:
            await self._redis.pipeline(base, commands)
        except RedisError:
            self._unchecked.value += 1


def _refused(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **more: Any
) -> Reject:
    return Reject(status, body={"error": code, "message": message, **more}, headers=headers)
