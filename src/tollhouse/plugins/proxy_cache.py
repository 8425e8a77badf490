"""proxy-cache: keeps answers of upstreams and gives them again.

Answers are kept for all workers of the node, or in Redis for all nodes. The key is made of who asks
(consumer and route), method, path, query and the headers named by `vary_headers`. Unlike in Kong it includes
the request's body, since two POSTs that differ only there are two questions.
"""

import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any, Final, Literal

from tollhouse.model.checks import Custom, CustomEntity
from tollhouse.model.common import PROTOCOLS
from tollhouse.model.validators import shared_dictionary
from tollhouse.pdk import Exchange, Plugin, Reject, item, setting
from tollhouse.pdk.cached import CachedAnswer, decoded
from tollhouse.pdk.redis import AdvancedRedis, redis_problem
from tollhouse.pdk.services import Responses, SharedResponses
from tollhouse.wire.headers import Headers
from tollhouse.wire.http1 import connection_tokens
from tollhouse.wire.uri import encoded_arguments

Method = Literal["HEAD", "GET", "POST", "PATCH", "PUT"]
Directives = Mapping[str, float | bool]
_Media = tuple[str, str, Mapping[str, str]]

#: fields that belong to one connection or one answer, not to what is kept (RFC 9111 3.1)
_NOT_KEPT: Final = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "trailers",
        "transfer-encoding", "upgrade", "content-length", "date", "age", "via", "x-cache-key",
        "x-cache-status", "ratelimit-remaining", "ratelimit-reset", "ratelimit-limit",
    }
)  # fmt: skip
_NOT_KEPT_PREFIXES: Final = ("x-ratelimit-", "x-kong-")
#: https://www.rfc-editor.org/rfc/rfc2045#section-5.1; Kong takes a lone asterisk for any type
_WORD: Final = r"[^\x00-\x20\x7f-\U0010ffff()<>@,;:\\\"/\[\]?={}]+"
_VALUE: Final = rf'(?:{_WORD}|"[^"\x00-\x1f\x7f]*")'
_PARAMETER: Final = re.compile(rf"[ \t]*;[ \t]*({_WORD})=({_VALUE})")
_MEDIA: Final = re.compile(rf"(?:({_WORD})/({_WORD})|\*)((?:[ \t]*;[ \t]*{_WORD}={_VALUE})*)")
_BODY_BYTES: Final = 8 * 1024 * 1024


def _unknown_dictionary(plugin: Mapping[str, Any]) -> str | None:
    return shared_dictionary(plugin["config"]["memory"]["dictionary_name"])


def _problem(config: Mapping[str, Any]) -> str | None:
    return redis_problem(config) if config.get("strategy") == "redis" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    dictionary_name: str = setting(
        "kong_db_cache",
        required=True,
        doc="One of Kong's shared dictionaries; there is one place, of `KONG_MEM_CACHE_SIZE`.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownHeaders:
    age: bool | None = setting(True, doc="Tell `Age` of kept answers.")
    x_cache_status: bool | None = setting(True, doc="Tell `X-Cache-Status`.", name="X-Cache-Status")
    x_cache_key: bool | None = setting(True, doc="Tell `X-Cache-Key`.", name="X-Cache-Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    response_code: tuple[int, ...] = setting(
        (200, 301, 404),
        required=True,
        len_min=1,
        items=item(between=(100, 900)),
        doc="Statuses of answers that are kept.",
    )
    request_method: tuple[Method, ...] = setting(
        ("GET", "HEAD"), required=True, doc="Methods whose answers are kept."
    )
    content_type: tuple[str, ...] = setting(
        ("text/plain", "application/json"),
        required=True,
        doc="Content types that are kept, parameters included; `*` stands for any type or subtype.",
    )
    cache_ttl: int = setting(300, gt=0, unit="s", doc="How long an answer is fresh, in seconds.")
    strategy: Literal["memory", "redis"] = setting(
        required=True,
        assumed="memory",
        doc="Where answers are kept: `memory` for this node, `redis` for all that use the server.",
    )
    cache_control: bool = setting(
        False, required=True, doc="Heed the Cache-Control of requests and answers (RFC 9111)."
    )
    ignore_uri_case: bool = setting(False, required=False, doc="Take paths in any case for the same.")
    storage_ttl: int | None = setting(
        None, unit="s", doc="How long an answer is kept in all, in seconds, for clients that take stale ones."
    )
    memory: Memory = setting(Memory, required=True, doc="Settings of the strategy `memory`.")
    redis: AdvancedRedis | None = setting(
        None, extra=True, doc="The server of the strategy `redis`. Tollhouse's own."
    )
    vary_query_params: tuple[str, ...] | None = setting(
        None, doc="Query arguments that make a difference; else all do."
    )
    vary_headers: tuple[str, ...] | None = setting(None, doc="Headers that make a difference.")
    response_headers: ShownHeaders = setting(ShownHeaders, required=True, doc="What clients are told.")

    CHECKS = (CustomEntity(("config.memory.dictionary_name",), _unknown_dictionary), Custom(_problem))


@dataclass(slots=True)
class _Pending:
    """An answer that will be kept if it turns out to be fit for it."""

    key: str = ""
    status: str = "Miss"
    #: what is kept of the answer's head; `None` if it is not kept
    headers: list[tuple[str, str]] | None = None
    ttl: float = 0.0
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0


class ProxyCache(Plugin[Config]):
    name = "proxy-cache"
    priority = 100
    Config = Config
    protocols = PROTOCOLS
    changes_body = False

    def prepare(self) -> None:
        conf = self.conf
        self._methods: frozenset[str] = frozenset(conf.request_method)
        found = (_media_type(text) for text in conf.content_type)
        #: one that is no media type matches nothing
        self._types = tuple(media for media in found if media is not None)
        self._vary = tuple(sorted(name.lower() for name in conf.vary_headers or ()))
        self._parameters = frozenset(conf.vary_query_params) if conf.vary_query_params else None
        self._responses: Responses = self.services.responses
        self._shared: SharedResponses | None = None
        if conf.strategy == "redis":
            self._responses = self._shared = self.services.redis.responses(conf.redis or AdvancedRedis())
        self.request_body_limit = _BODY_BYTES if self._methods - {"GET", "HEAD"} else None

    def close(self) -> None:
        if self._shared is not None:
            self._shared.close()

    def needs_body(self, ex: Exchange) -> bool:
        return ex.request.method in self._methods

    def access(self, ex: Exchange) -> Awaitable[None] | None:
        asked = _directives(ex.request.headers) if self.conf.cache_control else {}
        unknown = ex.request.content is None  # a body that is too large to be part of a key
        if ex.request.method not in self._methods or unknown or "no-store" in asked or "no-cache" in asked:
            self._tell(ex, "Bypass")
            return None
        key = self._key(ex)
        if self._shows(ex, self.conf.response_headers.x_cache_key):
            ex.set_early_header("X-Cache-Key", key)
        found = self._responses.find(key)
        if found is None or isinstance(found, bytes):
            self._decide(ex, key, asked, found)
            return None
        return self._later(ex, key, asked, found)

    async def _later(
        self, ex: Exchange, key: str, asked: Directives, finding: Awaitable[bytes | None]
    ) -> None:
        self._decide(ex, key, asked, await finding)

    def _decide(self, ex: Exchange, key: str, asked: Directives, found: bytes | None) -> None:
        """Gives a kept answer, or notes to keep the upstream's."""
        answer = decoded(found) if found is not None else None
        if answer is not None:
            age = max(0.0, self.services.wall_clock() - answer.stored_at)
            if self._is_fresh(answer, age, asked):
                self._give(ex, answer, age)
        elif "only-if-cached" in asked:
            raise Reject(504, exact=True)
        pending = ex.slot(_Pending)
        pending.key, pending.status = key, "Miss" if answer is None else "Refresh"

    def _is_fresh(self, answer: CachedAnswer, age: float, asked: Directives) -> bool:
        if not self.conf.cache_control:
            return age <= self.conf.cache_ttl
        stale = asked.get("max-stale", 0)
        allowed = float("inf") if stale is True else float(stale)
        return (
            age <= float(asked.get("max-age", age))
            and age - answer.ttl <= allowed
            and answer.ttl - age >= float(asked.get("min-fresh", answer.ttl - age))
        )

    def _give(self, ex: Exchange, answer: CachedAnswer, age: float) -> None:
        self._tell(ex, "Hit")
        ex.counts_as_proxied = True
        tells_age = self._shows(ex, self.conf.response_headers.age)
        fields = [*answer.headers, ("Age", str(int(age)))] if tells_age else answer.headers
        raise Reject(answer.status, body=answer.body, fields=fields)

    def _shows(self, ex: Exchange, setting: bool | None) -> bool:
        """Whether a client is told: if it is so configured, and anyone who asks with Kong-Debug."""
        return bool(setting) or "kong-debug" in ex.request.headers.values

    def _tell(self, ex: Exchange, status: str) -> None:
        if self._shows(ex, self.conf.response_headers.x_cache_status):
            ex.set_early_header("X-Cache-Status", status)

    def header_filter(self, ex: Exchange) -> None:
        pending, response = ex.peek(_Pending), ex.response
        if pending is None or response is None:
            return
        told = _directives(response.headers) if self.conf.cache_control else {}
        pending.ttl = self._lifetime(response.headers, told)
        if response.from_upstream and self._is_kept(response.status, response.headers, told, pending.ttl):
            self._tell_now(ex, response.headers, pending.status)
            if ex.request.method != "HEAD":
                own_hop = connection_tokens(response.headers)
                pending.headers = [
                    pair
                    for pair in response.headers.items()
                    if _is_for_all(pair[0]) and pair[0] not in own_hop
                ]
        else:
            self._tell_now(ex, response.headers, "Bypass")

    def _tell_now(self, ex: Exchange, headers: Headers, status: str) -> None:
        if self._shows(ex, self.conf.response_headers.x_cache_status):
            headers.set("X-Cache-Status", status)

    def _is_kept(self, status: int, headers: Headers, told: Directives, ttl: float) -> bool:
        if status not in self.conf.response_code or ttl <= 0:
            return False
        if any(name in told for name in ("no-store", "no-cache", "private")):
            return False
        content_type = headers.values.get("content-type")
        if not content_type:
            return False
        found = _media_type(content_type)
        return any(_includes(wanted, found) for wanted in self._types)

    def _lifetime(self, headers: Headers, told: Directives) -> float:
        """For how long the answer is fresh, in seconds."""
        if not self.conf.cache_control:
            return self.conf.cache_ttl
        for name in ("s-maxage", "max-age"):
            if name in told:
                return float(told[name])
        try:
            expires = parsedate_to_datetime(headers.values.get("expires", "")).timestamp()
        except (TypeError, ValueError):
            return 0.0
        return expires - self.services.wall_clock()

    def body_filter(self, ex: Exchange, chunk: bytes, last: bool) -> bytes:
        pending = ex.peek(_Pending)
        if pending is None or pending.headers is None:
            return chunk
        pending.size += len(chunk)
        if pending.size > self._responses.largest_bytes:
            pending.headers, pending.pieces = None, []
            return chunk
        pending.pieces.append(chunk)
        if last and ex.response is not None:
            body = b"".join(pending.pieces)
            asked = ex.request.content or b""
            now = self.services.wall_clock()
            kept = CachedAnswer(ex.response.status, pending.headers, body, now, pending.ttl, asked)
            seconds = max(self.conf.storage_ttl or 0, pending.ttl)
            self._responses.put(pending.key, kept.encoded(), seconds)
        return chunk

    def _key(self, ex: Exchange) -> str:
        request, route = ex.request, ex.route
        path = request.target.path.lower() if self.conf.ignore_uri_case else request.target.path
        arguments = ex.upstream_arguments()
        if self._parameters is not None:
            arguments = {name: value for name, value in arguments.items() if name in self._parameters}
        headers = (f"{name}={request.headers.joined(name) or ''}" for name in self._vary)
        parts = (
            ex.consumer.id if ex.consumer is not None else "",
            route.id if route is not None else "",
            self.scope.service or "",
            request.method,
            path,
            encoded_arguments(arguments),
            *headers,
        )
        # Lengths before the parts, so that no two lists of parts are ever the same text.
        text = "|".join(f"{len(part)}:{part}" for part in parts)
        return sha256(text.encode("latin-1", "replace") + b"|" + (request.content or b"")).hexdigest()


def _is_for_all(name: str) -> bool:
    return name not in _NOT_KEPT and not name.startswith(_NOT_KEPT_PREFIXES)


def _directives(headers: Headers) -> Directives:
    """Cache-Control by name; one that should have a number and has none is `True`."""
    found: dict[str, float | bool] = {}
    for piece in (headers.joined("cache-control") or "").split(","):
        name, _, value = piece.strip().partition("=")
        if name:
            number = value.strip().strip('"')
            found[name.lower()] = int(number) if number.isdecimal() else True
    return found


def _media_type(text: str) -> _Media | None:
    """Type, subtype and parameters, `None` for what is no media type."""
    found = _MEDIA.fullmatch(text)
    if found is None:
        return None
    kind, subtype, rest = found.groups()
    parameters = {name.lower(): value.strip('"') for name, value in _PARAMETER.findall(rest)}
    return (kind or "*").lower(), (subtype or "*").lower(), parameters


def _includes(wanted: _Media, found: _Media | None) -> bool:
    """Whether a configured type, `*` for any, takes this one. Parameters are the same or it does not."""
    kind, subtype, parameters = found or (None, None, {})
    return wanted[0] in ("*", kind) and wanted[1] in ("*", subtype) and wanted[2] == parameters
