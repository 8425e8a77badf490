"""canary: sends a share of the requests to a new version.

Who belongs to the share is decided by a hash, so that a consumer, address or header value stays where it is
while the share grows. The share is fixed, grows over time, or is a group of consumers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import SystemRandom
from typing import Any, Literal
from zlib import crc32

from tollhouse.errors import UpstreamFault
from tollhouse.model.checks import AtLeastOneOf, Conditional, Custom
from tollhouse.model.validators import header_name, host, path
from tollhouse.pdk import Exchange, Plugin, Response, item, setting


def _has_share(config: Mapping[str, Any]) -> str | None:
    groups, start = config["hash"] in ("allow", "deny"), config["start"]
    if groups:
        return None if config["groups"] else "with hash 'allow' or 'deny' groups have to be given"
    if start is None and config["stages"]:
        return "stages need a start"
    if start is None and config["percentage"] is None:
        return "percentage or start has to be given"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    start: float | None = setting(
        None, gt=0, unit="s", doc="When the share begins to grow, in seconds since the epoch."
    )
    duration: float = setting(3600, gt=0, unit="s", doc="How long it grows until it is all.")
    steps: float = setting(1000, gt=0, doc="In how many steps it grows.")
    stages: tuple[float, ...] | None = setting(
        None,
        len_min=1,
        items=item(between=(0, 100)),
        doc="Shares in percent, each for an equal part of `duration`, in place of even steps.",
    )
    percentage: float | None = setting(None, between=(0, 100), doc="A fixed share, in percent.")
    hash: Literal["allow", "consumer", "deny", "header", "ip", "none"] = setting(
        "consumer",
        doc="What decides who is in the share; `allow` and `deny` go by `groups`, `none` by chance.",
    )
    hash_header: str | None = setting(None, validator=header_name, doc="The header, for hash `header`.")
    groups: tuple[str, ...] | None = setting(
        None, doc="Groups for access lists, or consumer groups, for hash `allow` and `deny`."
    )
    canary_by_header_name: str | None = setting(
        None, validator=header_name, doc="A header by which clients choose: `always` or `never`."
    )
    upstream_host: str | None = setting(None, validator=host, doc="Host or upstream of the new version.")
    upstream_port: int | None = setting(None, between=(0, 65535), doc="Its port.")
    upstream_uri: str | None = setting(None, validator=path, doc="Its path, in place of the request's.")
    upstream_fallback: bool = setting(
        False, required=True, doc="Ask the old version where the new one cannot be reached."
    )

    CHECKS = (
        AtLeastOneOf("config.upstream_host", "config.upstream_port", "config.upstream_uri"),
        Conditional("config.hash", {"eq": "header"}, "config.hash_header", {"required": True}),
        Custom(_has_share),
    )


class Canary(Plugin[Config]):
    name = "canary"
    priority = 20
    Config = Config
    forbidden_scopes = frozenset({"consumer"})

    def prepare(self) -> None:
        self._header = (self.conf.hash_header or "").lower()
        self._choice = (self.conf.canary_by_header_name or "").lower()
        self._groups = frozenset(self.conf.groups or ())
        self._random = SystemRandom()

    def access(self, ex: Exchange) -> None:
        if not self._is_chosen(ex):
            return
        conf, before = self.conf, (ex.service_at, ex.upstream_target)
        if conf.upstream_uri is not None:
            ex.send_upstream(path=conf.upstream_uri)
        if (conf.upstream_host is not None or conf.upstream_port is not None) and ex.service is not None:
            ex.service_at = (conf.upstream_host or ex.service.host, conf.upstream_port)
        if conf.upstream_fallback and ex.failover is None:
            ex.failover = _Fallback(*before)

    def _is_chosen(self, ex: Exchange) -> bool:
        chosen = ex.request.headers.values.get(self._choice) if self._choice else None
        if chosen in ("always", "never"):
            return chosen == "always"
        kind = self.conf.hash
        if kind in ("allow", "deny"):
            return self._groups.isdisjoint(self._groups_of(ex)) is (kind == "deny")
        share = self._share(self.services.wall_clock())
        if kind == "none":
            return self._random.random() * 100 < share
        return crc32(self._identity(ex, kind).encode()) % 10_000 / 100 < share

    def _groups_of(self, ex: Exchange) -> set[str]:
        if ex.consumer is None:
            return set(ex.authenticated_groups or ())
        directory, consumer = self.services.directory, ex.consumer.id
        named = {group.name for group in directory.consumer_groups(consumer)}
        return named | set(directory.groups(consumer))

    def _identity(self, ex: Exchange, kind: str) -> str:
        if kind == "header":
            return ex.request.headers.values.get(self._header, "")
        if kind == "consumer":
            if ex.consumer is not None:
                return ex.consumer.id
            if ex.credential is not None:
                return ex.credential.id
        return ex.client_ip

    def _share(self, now: float) -> float:
        """The share at that time, in percent."""
        conf = self.conf
        if conf.start is None:
            return conf.percentage or 0.0
        passed = (now - conf.start) / conf.duration
        if passed < 0:
            return 0.0
        if conf.stages:
            return conf.stages[min(int(passed * len(conf.stages)), len(conf.stages) - 1)]
        return min(100.0, int(passed * conf.steps) / conf.steps * 100)


class _Fallback:
    """Leads back to the old version, once."""

    def __init__(self, service_at: tuple[str, int | None] | None, target: str | None) -> None:
        self._before = (service_at, target)
        self._is_used = False

    def refuses(self, ex: Exchange, response: Response) -> bool:
        return False

    async def again(self, ex: Exchange, failure: Exception) -> bool:
        if self._is_used or (isinstance(failure, UpstreamFault) and failure.sent):
            return False
        self._is_used = True
        ex.service_at, ex.upstream_target = self._before
        return True
