"""prometheus: counts requests, bytes, latencies and AI usage, under Kong's metric names."""

from dataclasses import dataclass
from typing import Final

from tollhouse.pdk import Count, Distribution, Exchange, Plugin, setting
from tollhouse.pdk.usage import Metered

_KONG_MS: Final = (1, 2, 5, 7, 10, 15, 20, 30, 50, 75, 100, 200, 500, 750, 1000, 3000, 6000)
_REQUEST_MS: Final = (25, 50, 80, 100, 250, 400, 700, 1000, 2000, 5000, 10000, 30000, 60000)
_PROVIDER_MS: Final = (250, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000, 10000, 30000, 60000)
_ROUTE: Final = ("service", "route")
_AI: Final = (
    "ai_provider", "ai_model", "cache_status", "vector_db", "embeddings_provider", "embeddings_model",
)  # fmt: skip
_WORKSPACE: Final = "default"
#: nginx's status for a client that went away before there was an answer
_CLIENT_GONE: Final = 499
_SERIES_KNOWN: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    per_consumer: bool = setting(False, doc="Tell consumers apart.")
    status_code_metrics: bool = setting(False, doc="Count requests by status.")
    ai_metrics: bool = setting(False, doc="Count tokens, cost and latency of AI requests.")
    latency_metrics: bool = setting(False, doc="Distributions of latencies.")
    bandwidth_metrics: bool = setting(False, doc="Count bytes in and out.")
    upstream_health_metrics: bool = setting(False, doc="Health of upstream targets.")
    wasm_metrics: bool = setting(False, doc="Accepted for compatibility: there are no WASM filters here.")


class Prometheus(Plugin[Config]):
    name = "prometheus"
    priority = 13
    Config = Config

    def prepare(self) -> None:
        meter = self.services.meter
        self._requests = meter.counter(
            "kong_http_requests_total",
            "HTTP status codes per consumer/service/route in Kong",
            (*_ROUTE, "code", "source", "workspace", "consumer"),
        )
        self._bytes = meter.counter(
            "kong_bandwidth_bytes",
            "Total bandwidth (ingress/egress) throughput in bytes",
            (*_ROUTE, "direction", "workspace", "consumer"),
        )
        labels = (*_ROUTE, "workspace")
        text = "Latency added by {} for each service/route in Kong"
        self._kong = meter.histogram("kong_kong_latency_ms", text.format("Kong"), labels, _KONG_MS)
        self._upstream = meter.histogram(
            "kong_upstream_latency_ms", text.format("upstream"), labels, _REQUEST_MS
        )
        self._total = meter.histogram(
            "kong_request_latency_ms", text.format("the whole request"), labels, _REQUEST_MS
        )
        self._series: dict[tuple[str, str, str, int, bool], _Series] = {}
        self._prepare_ai()

    def _prepare_ai(self) -> None:
        meter = self.services.meter
        labels = (*_AI, "workspace")
        self._ai_requests = meter.counter("kong_ai_llm_requests_total", "AI requests per model", labels)
        self._ai_cost = meter.counter("kong_ai_llm_cost_total", "AI cost per model, in USD", labels)
        self._ai_tokens = meter.counter(
            "kong_ai_llm_tokens_total", "AI tokens per model", (*_AI, "token_type", "workspace")
        )
        self._ai_latency = meter.histogram(
            "kong_ai_llm_provider_latency_ms", "Latency of AI providers", labels, _PROVIDER_MS
        )

    def log(self, ex: Exchange) -> None:
        matched, response = ex.matched, ex.response
        if matched is None:
            return  # as in Kong, what no route took is not counted
        service, route = matched.service, matched.route
        key = (
            (service.name or service.host) if service is not None else "",
            route.name or route.id,
            (ex.consumer.username or "") if self.conf.per_consumer and ex.consumer is not None else "",
            response.status if response is not None else _CLIENT_GONE,
            response is not None and response.from_upstream,
        )
        found = self._series.get(key)
        if found is None:
            if len(self._series) >= _SERIES_KNOWN:
                self._series.clear()
            found = self._series[key] = self._series_of(*key)
        if found.requests is not None:
            found.requests.value += 1
        if found.bytes is not None:
            ingress, egress = found.bytes
            ingress.value += ex.bytes_in
            egress.value += ex.bytes_out
        if found.latencies is not None:
            _observe(ex, *found.latencies)
        if self.conf.ai_metrics:
            metered = ex.peek(Metered)
            if metered is not None and metered.statistics:
                self._ai(metered)

    def _series_of(
        self, service: str, route: str, consumer: str, status: int, from_upstream: bool
    ) -> "_Series":
        conf, found = self.conf, _Series()
        if conf.status_code_metrics:
            source = "service" if from_upstream else "kong"
            found.requests = self._requests.series(
                (service, route, str(status), source, _WORKSPACE, consumer)
            )
        if conf.bandwidth_metrics:
            found.bytes = (
                self._bytes.series((service, route, "ingress", _WORKSPACE, consumer)),
                self._bytes.series((service, route, "egress", _WORKSPACE, consumer)),
            )
        if conf.latency_metrics:
            labels = (service, route, _WORKSPACE)
            found.latencies = (
                self._total.series(labels),
                self._upstream.series(labels),
                self._kong.series(labels),
            )
        return found

    def _ai(self, metered: Metered) -> None:
        labels = (metered.provider, metered.model, "", "", "", "")
        of_model = (*labels, _WORKSPACE)
        self._ai_requests.series(of_model).value += 1
        usage = metered.usage
        for kind, tokens in (
            ("prompt_tokens", usage.prompt_tokens),
            ("completion_tokens", usage.completion_tokens),
            ("total_tokens", usage.total_tokens),
        ):
            if tokens:
                self._ai_tokens.series((*labels, kind, _WORKSPACE)).value += tokens
        if metered.cost_nano_usd:
            self._ai_cost.series(of_model).value += metered.cost_nano_usd / 1e9
        if metered.latency_ms:
            self._ai_latency.series(of_model).observe(metered.latency_ms)


@dataclass(slots=True)
class _Series:
    """What one kind of request is counted in, looked up once."""

    requests: Count | None = None
    #: in and out
    bytes: tuple[Count, Count] | None = None
    #: of the whole, of the upstream, of the gateway
    latencies: tuple[Distribution, Distribution, Distribution] | None = None


def _observe(ex: Exchange, whole: Distribution, upstream: Distribution, gateway: Distribution) -> None:
    milliseconds = int((ex.ended_at - ex.started) * 1000)
    whole.observe(milliseconds)
    if ex.sent_at and ex.answered_at:
        waited = int((ex.answered_at - ex.sent_at) * 1000)
        upstream.observe(waited)
        milliseconds -= waited
    gateway.observe(max(0, milliseconds))
