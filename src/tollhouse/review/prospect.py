"""What one configuration does with recorded requests, in virtual time: nothing is sent.

Counts of limits and kept answers are those of the requests seen so far, by the times in their records.
"""

import ipaddress
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final, Literal, Protocol, TypeAlias

from tollhouse.flow.precedence import Precedence, groups_of, scope_of
from tollhouse.llm.cost import PriceBook
from tollhouse.llm.limits import Price
from tollhouse.llm.providers import PROVIDERS
from tollhouse.model.entities import Consumer, PluginInstance, Route, Service
from tollhouse.model.schema import build
from tollhouse.model.snapshot import Snapshot
from tollhouse.pdk.plugin import Plugin, Scope
from tollhouse.pdk.windows import SECONDS, start_of
from tollhouse.review.callers import AUTHENTICATING, Callers
from tollhouse.review.recorded import Recorded
from tollhouse.routing import Flavour, Match, build_router, path_builder
from tollhouse.wire.headers import Headers
from tollhouse.wire.uri import arguments, encoded_arguments

Cached: TypeAlias = Literal["hit", "miss", "no"]
#: plugins that neither answer requests nor change where they go
_PASSING: Final = frozenset({
    "ai-prompt-decorator", "ai-prompt-template", "correlation-id", "datadog", "file-log", "http-log",
    "loggly", "opentelemetry", "prometheus", "quota-mirror", "request-mirror", "response-transformer",
    "retry", "session", "statsd", "syslog", "tcp-log", "udp-log", "upstream-timeout", "zipkin",
})  # fmt: skip
#: those that send requests elsewhere than the service says, or may
_SENDING: Final = frozenset({"ai-proxy", "ai-proxy-advanced", "request-transformer"})
_SAFE: Final = frozenset({"GET", "HEAD"})


class Plugins(Protocol):
    """The plugins that are there."""

    def plugin_class(self, name: str) -> type[Plugin[Any]] | None: ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that the gateway answers itself."""

    status: int
    reason: str
    plugin: str | None = None


@dataclass(slots=True)
class Outcome:
    """What befalls a request. `None` is what cannot be told."""

    route: str | None = None
    #: where it is sent: scheme, host and port of the service, and the path without its query
    upstream: str | None = None
    refusal: Refusal | None = None
    cached: Cached | None = None
    model: str | None = None
    cost_nano_usd: int | None = None
    #: why the outcome may be another one
    unsure: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Placed:
    instance: PluginInstance
    name: str
    priority: int
    scope: Scope


@dataclass(frozen=True, slots=True)
class _Asked:
    recorded: Recorded
    route: Route
    service: Service | None
    consumer: Consumer | None


class Prospect:
    """One configuration, asked about requests in the order of their times."""

    def __init__(self, snapshot: Snapshot, flavor: Flavour, plugins: Plugins) -> None:
        services = {service.id: service for service in snapshot.services}
        self._services = services
        self._routes = {route.id: route for route in snapshot.routes}
        served = [
            route for route in snapshot.routes if not route.service or services[route.service.id].enabled
        ]
        self._router = build_router(served, flavor)
        self._flavor = flavor
        self._callers = Callers(snapshot)
        self._precedence = Precedence(_placed(snapshot, plugins), groups_of(snapshot))
        self._groups: dict[str, set[str]] = defaultdict(set)
        for acl in snapshot.acls:
            if acl.consumer is not None:
                self._groups[acl.consumer.id].add(acl.group)
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._kept: dict[tuple[object, ...], float] = {}
        self._books: dict[str, PriceBook] = {}
        self._judges: dict[str, Callable[[_Asked, _Placed, Outcome], Refusal | None]] = {
            "ip-restriction": self._address,
            "acl": self._group,
            "rate-limiting": self._limit,
            "request-termination": self._terminated,
            "redirect": self._redirected,
            "proxy-cache": self._cache,
            "ai-proxy": self._price,
            "ai-proxy-advanced": self._price_of_targets,
        }
        self._judged = _PASSING.union(AUTHENTICATING, self._judges, ("request-transformer",))

    def outcome(self, recorded: Recorded) -> Outcome:
        """What would happen to the request, and to those after it."""
        match = self._match(recorded)
        if match is None:
            return Outcome(refusal=Refusal(404, "no route matches"))
        route = self._routes[match.route.id]
        service = self._services[route.service.id] if route.service else None
        outcome = Outcome(route=route.name or route.id)
        if set(route.protocols) == {"https"} and recorded.scheme != "https":
            outcome.refusal = Refusal(route.https_redirect_status_code, "the route is for HTTPS alone")
            return outcome
        scope = (route.id, service.id if service else None)
        consumer, outcome.refusal = self._who(recorded, self._precedence.effective(*scope, None), outcome)
        if outcome.refusal is not None:
            return outcome
        asked = _Asked(recorded, route, service, consumer)
        effective = self._precedence.effective(*scope, consumer.id if consumer else None)
        for placed in effective:
            judge = self._judges.get(placed.name)
            outcome.refusal = judge(asked, placed, outcome) if judge else None
            if outcome.refusal is not None or outcome.cached == "hit":
                return outcome
            if placed.name not in self._judged:
                outcome.unsure.append(f"what {placed.name} does is not judged")
        names = {placed.name for placed in effective}
        if names <= self._judged - _SENDING:
            self._sent(asked, match, outcome)
        return outcome

    def _sent(self, asked: _Asked, match: Match, outcome: Outcome) -> None:
        """Where a request goes that no plugin stops or sends elsewhere."""
        route, service = asked.route, asked.service
        if service is None:
            outcome.refusal = Refusal(503, "the route has no service")
            return
        build = path_builder(service.path, route.strip_path, route.path_handling or "v0", self._flavor)
        path = build(match.prefix, asked.recorded.target.normal)
        outcome.upstream = f"{service.protocol}://{service.host}:{service.port}{path}"

    def _match(self, recorded: Recorded) -> Match | None:
        return self._router.find(
            recorded.method,
            recorded.target.normal,
            recorded.host,
            recorded.headers or Headers.new([("host", recorded.host)]),
            recorded.scheme,
            recorded.port,
            recorded.host.partition(":")[0] if recorded.scheme == "https" else None,
            recorded.target.query,
            (recorded.client_ip, 0),
        )

    def _who(
        self, recorded: Recorded, effective: Sequence[_Placed], outcome: Outcome
    ) -> tuple[Consumer | None, Refusal | None]:
        consumer = anonymous = None
        for placed in effective:
            if placed.name not in AUTHENTICATING:
                continue
            caller = self._callers.caller(recorded, placed.instance)
            if caller.refusal is not None:
                return None, Refusal(401, caller.refusal, placed.name)
            if caller.is_anonymous:
                anonymous = anonymous or caller.consumer
            else:
                consumer = consumer or caller.consumer
            if caller.unsure is not None:
                outcome.unsure.append(caller.unsure)
        return consumer or anonymous, None

    def _address(self, asked: _Asked, placed: _Placed, _: Outcome) -> Refusal | None:
        config = placed.instance.config
        address = asked.recorded.client_ip
        denied = _within(address, config.get("deny") or ())
        if not denied and (not config.get("allow") or _within(address, config["allow"])):
            return None
        return Refusal(int(config.get("status") or 403), "the address is not allowed", placed.name)

    def _group(self, asked: _Asked, placed: _Placed, outcome: Outcome) -> Refusal | None:
        config = placed.instance.config
        if asked.consumer is None:
            if outcome.unsure:
                return None
            return Refusal(401, "nobody was recognised", placed.name)
        mine = self._groups[asked.consumer.id]
        allowed, denied = config.get("allow"), config.get("deny")
        if mine.isdisjoint(allowed) if allowed else not mine.isdisjoint(denied or ()):
            reason = f"consumer {asked.consumer.username or asked.consumer.id} is in no group that may"
            return Refusal(403, reason, placed.name)
        return None

    def _limit(self, asked: _Asked, placed: _Placed, _: Outcome) -> Refusal | None:
        config, scope = placed.instance.config, placed.scope
        key = f"{scope.route}:{scope.service}:{_counted_for(asked, config)}"
        windows = [
            (ceil(config[name]), (key, name, start_of(name, asked.recorded.at)))
            for name in SECONDS
            if config.get(name) is not None
        ]
        for allowed, window in windows:
            if self._counts[window] >= allowed:
                return Refusal(
                    int(config["error_code"]), f"more than {allowed} in a {window[1]}", placed.name
                )
        self._counts.update(window for _, window in windows)
        return None

    def _terminated(self, asked: _Asked, placed: _Placed, _: Outcome) -> Refusal | None:
        config, recorded = placed.instance.config, asked.recorded
        trigger = config.get("trigger")
        if trigger is not None:
            told = dict(arguments(recorded.target.query))
            if trigger not in told and not (recorded.headers and trigger.lower() in recorded.headers):
                return None
        return Refusal(config["status_code"], "request-termination answers", placed.name)

    def _redirected(self, asked: _Asked, placed: _Placed, _: Outcome) -> Refusal | None:
        config = placed.instance.config
        return Refusal(config["status_code"], f"redirect to {config['location']}", placed.name)

    def _cache(self, asked: _Asked, placed: _Placed, outcome: Outcome) -> None:
        config, recorded = placed.instance.config, asked.recorded
        outcome.cached = "no"
        if recorded.method not in config["request_method"]:
            return
        if recorded.method not in _SAFE or config["cache_control"]:
            outcome.cached = None
            outcome.unsure.append("the cache depends on bodies or Cache-Control, which records do not hold")
            return
        key = (asked.consumer and asked.consumer.id, asked.route.id, *_cache_key(recorded, config))
        kept_at = self._kept.get(key)
        if kept_at is not None and recorded.at - kept_at <= config["cache_ttl"]:
            outcome.cached = "hit"
            return
        outcome.cached = "miss"
        if recorded.method == "GET" and _is_kept(recorded, config):
            self._kept[key] = recorded.at

    def _price(self, asked: _Asked, placed: _Placed, outcome: Outcome) -> None:
        self._cost(asked, placed, placed.instance.config["model"], outcome)

    def _price_of_targets(self, asked: _Asked, placed: _Placed, outcome: Outcome) -> None:
        """By the only target, or the only one whose model the record names."""
        call, targets = asked.recorded.call, placed.instance.config["targets"]
        models = [target["model"] for target in targets]
        if call is not None and len(models) > 1:
            models = [model for model in models if model.get("name") and call.model.startswith(model["name"])]
        if len(models) == 1:
            self._cost(asked, placed, models[0], outcome)
        elif call is not None:
            outcome.unsure.append(f"which target of {placed.name} would answer")

    def _cost(self, asked: _Asked, placed: _Placed, model: Mapping[str, Any], outcome: Outcome) -> None:
        call, provider = asked.recorded.call, PROVIDERS.get(model["provider"])
        if call is None or provider is None:
            return
        outcome.model = model.get("name") or call.model
        key = f"{placed.instance.id} {model['provider']} {model.get('name')}"
        book = self._books.get(key)
        if book is None:
            options = model.get("options") or {}
            prices = [build(Price, price) for price in placed.instance.config.get("prices") or ()]
            book = PriceBook(provider, options.get("input_cost"), options.get("output_cost"), prices)
            self._books[key] = book
        name = call.model if outcome.model and call.model.startswith(outcome.model) else outcome.model
        outcome.cost_nano_usd = book.nano_usd(name or "", call.usage, asked.recorded.at)


def _placed(snapshot: Snapshot, plugins: Plugins) -> Sequence[_Placed]:
    found = []
    for instance in snapshot.plugins:
        cls = plugins.plugin_class(instance.name)
        if instance.enabled and cls is not None:
            found.append(_Placed(instance, instance.name, cls.priority, scope_of(instance)))
    return found


def _within(address: str, ranges: Sequence[str]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in ipaddress.ip_network(text, strict=False) for text in ranges)


def _counted_for(asked: _Asked, config: dict[str, Any]) -> str:
    """Whose requests are counted together."""
    recorded = asked.recorded
    match config["limit_by"]:
        case "service" if asked.service is not None:
            return asked.service.id
        case "header":
            found = recorded.headers.get(config["header_name"].lower()) if recorded.headers else None
            return found or recorded.client_ip
        case "path" if recorded.target.normal == config["path"]:
            return recorded.target.normal
        case "consumer" | "credential" if asked.consumer is not None:
            return asked.consumer.id
    return recorded.client_ip


def _cache_key(recorded: Recorded, config: dict[str, Any]) -> tuple[object, ...]:
    path = recorded.target.path.lower() if config["ignore_uri_case"] else recorded.target.path
    query = dict(arguments(recorded.target.query))
    wanted = config.get("vary_query_params")
    if wanted:
        query = {name: value for name, value in query.items() if name in wanted}
    headers = recorded.headers or Headers.new()
    varied = tuple(headers.joined(name.lower()) for name in sorted(config.get("vary_headers") or ()))
    return (recorded.method, path, encoded_arguments(query), *varied)


def _is_kept(recorded: Recorded, config: dict[str, Any]) -> bool:
    if recorded.status not in config["response_code"]:
        return False
    told = recorded.answer.get("content-type") if recorded.answer else None
    if told is None:
        return True
    kind = told.lower().replace(" ", "")
    wanted = (text.lower().replace(" ", "") for text in config["content_type"])
    return any(kind == text or text in ("*/*", f"{kind.partition('/')[0]}/*") for text in wanted)
