"""prometheus: counts requests, bytes, latencies and AI usage, under Kong's metric names."""

from dataclasses import dataclass
from typing import Final

from tollhouse.pdk import Exchange, Plugin, setting
from tollhouse.pdk.usage import Metered

_KONG_MS: Final = (1, 2, 5, 7, 10, 15, 20, 30, 50, 75, 100, 200, 500, 750, 1000, 3000, 6000)
_REQUEST_MS: Final = (25, 50, 80, 100, 250, 400, 700, 1000, 2000, 5000, 10000, 30000, 60000)
_PROVIDER_MS: Final = (250, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000, 10000, 30000, 60000)
_ROUTE: Final = ("service", "route")
_AI: Final = (
    "ai_provider", "ai_model", "cache_status", "vector_db", "embeddings_provider", "embeddings_model",
)  # fmt: skip
_WORKSPACE: Final = "default"


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
        matched = ex.matched
        if matched is None:
            return  # as in Kong, what no route took is not counted
        conf = self.conf
        service, route = matched.service, matched.route
        service_name = (service.name or service.host) if service is not None else ""
        route_name = route.name or route.id
        consumer = (ex.consumer.username or "") if conf.per_consumer and ex.consumer is not None else ""
        response = ex.response
        if conf.status_code_metrics:
            code = str(response.status) if response is not None else "499"
            source = "service" if response is not None and response.from_upstream else "kong"
            self._requests.inc((service_name, route_name, code, source, _WORKSPACE, consumer))
        if conf.bandwidth_metrics:
            self._bytes.inc((service_name, route_name, "ingress", _WORKSPACE, consumer), ex.bytes_in)
            self._bytes.inc((service_name, route_name, "egress", _WORKSPACE, consumer), ex.bytes_out)
        if conf.latency_metrics:
            self._latencies(ex, (service_name, route_name, _WORKSPACE))
        if conf.ai_metrics:
            metered = ex.peek(Metered)
            if metered is not None and metered.statistics:
                self._ai(metered)

    def _latencies(self, ex: Exchange, labels: tuple[str, ...]) -> None:
        total = (ex.ended_at - ex.started) * 1000
        waiting = (ex.answered_at - ex.sent_at) * 1000 if ex.sent_at and ex.answered_at else -1
        self._total.observe(labels, int(total))
        self._kong.observe(labels, max(0, int(total - max(waiting, 0))))
        if waiting >= 0:
            self._upstream.observe(labels, int(waiting))

    def _ai(self, metered: Metered) -> None:
        labels = (metered.provider, metered.model, "", "", "", "")
        ending = (_WORKSPACE,)
        self._ai_requests.inc(labels + ending)
        usage = metered.usage
        for kind, tokens in (
            ("prompt_tokens", usage.prompt_tokens),
            ("completion_tokens", usage.completion_tokens),
            ("total_tokens", usage.total_tokens),
        ):
            if tokens:
                self._ai_tokens.inc((*labels, kind, _WORKSPACE), tokens)
        if metered.cost_nano_usd:
            self._ai_cost.inc(labels + ending, metered.cost_nano_usd / 1e9)
        if metered.latency_ms:
            self._ai_latency.observe(labels + ending, metered.latency_ms)
