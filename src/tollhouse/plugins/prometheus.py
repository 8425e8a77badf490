"""prometheus: counts requests, bytes, latencies and AI usage, under Kong's metric names."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from tollhouse.model.common import PROTOCOLS
from tollhouse.model.entities import Route, Service
from tollhouse.pdk import Count, Distribution, Exchange, Plugin, StreamSession, setting
from tollhouse.pdk.meter import Counter, Histogram
from tollhouse.pdk.usage import Metered, OwnCalls

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
#: in place of the time that an upstream took
_NOBODY_ASKED: Final = -1
_SERIES_KNOWN: Final = 10_000
#: different latencies that wait for their distributions
_LATENCIES_KEPT: Final = 256
_MODELS_KNOWN: Final = 2000
_CALL_SECONDS: Final = (0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    per_consumer: bool = setting(False, doc="Tell consumers apart.")
    status_code_metrics: bool = setting(False, doc="Count requests by status.")
    ai_metrics: bool = setting(False, doc="Count tokens, cost and latency of AI requests.")
    latency_metrics: bool = setting(False, doc="Distributions of latencies.")
    bandwidth_metrics: bool = setting(False, doc="Count bytes in and out.")
    upstream_health_metrics: bool = setting(False, doc="Health of upstream targets.")
    wasm_metrics: bool = setting(
        False, doc="Accepted for Kong's files; has no effect here because there are no WASM filters."
    )


class Prometheus(Plugin[Config]):
    name = "prometheus"
    priority = 13
    Config = Config
    protocols = PROTOCOLS

    def prepare(self) -> None:
        self._per_consumer, self._ai_metrics = self.conf.per_consumer, self.conf.ai_metrics
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
        self._kinds: dict[tuple[str, str, int, bool], _Requests] = {}
        sessions = "Stream sessions per service/route in Kong, by status"
        self._sessions = meter.counter(
            "kong_stream_sessions_total", sessions, (*_ROUTE, "code", "source", "workspace")
        )
        lasted = "How long stream sessions lasted for each service/route in Kong, in milliseconds"
        self._lasted = meter.histogram("kong_session_duration_ms", lasted, labels, _REQUEST_MS)
        self._prepare_ai()

    def _prepare_ai(self) -> None:
        meter = self.services.meter
        labels = (*_AI, "workspace")
        role, provider = ("model", "role"), ("ai_provider", "ai_model")
        self._llm = _Llm(
            requests=meter.counter("kong_ai_llm_requests_total", "AI requests per model", labels),
            cost=meter.counter("kong_ai_llm_cost_total", "AI cost per model, in USD", labels),
            tokens=meter.counter(
                "kong_ai_llm_tokens_total", "AI tokens per model", (*_AI, "token_type", "workspace")
            ),
            latency=meter.histogram(
                "kong_ai_llm_provider_latency_ms", "Latency of AI providers", labels, _PROVIDER_MS
            ),
            role_input=meter.counter("kong_bedrock_tokens_input_total", "Tokens that went in", role),
            role_output=meter.counter("kong_bedrock_tokens_output_total", "Tokens that came out", role),
            role_seconds=meter.histogram(
                "kong_bedrock_request_duration_seconds", "Calls from request to end", role, _CALL_SECONDS
            ),
            role_cost=meter.counter("kong_bedrock_cost_estimate_dollars", "Cost of calls, in USD", role),
            role_requests=meter.counter("kong_bedrock_requests_total", "Calls, failed ones too", role),
            role_errors=meter.counter("kong_bedrock_errors_total", "Calls that failed or were left", role),
            malformed=meter.counter(
                "tollhouse_llm_malformed_events_total", "Events of streams that could not be read", provider
            ),
            unpriced=meter.counter(
                "tollhouse_llm_unpriced_calls_total",
                "Calls that used tokens nobody knows the price of",
                provider,
            ),
            estimated=meter.counter(
                "tollhouse_llm_estimated_calls_total", "Calls whose tokens are estimates", provider
            ),
        )
        self._calls: dict[tuple[str, str, str], _Calls] = {}
        own = ("purpose", "ai_provider", "ai_model")
        self._own_calls = meter.counter(
            "tollhouse_llm_own_calls_total", "Calls of models that the gateway made itself", own
        )
        self._own_tokens = meter.counter(
            "tollhouse_llm_own_tokens_total", "Tokens of such calls", (*own, "token_type")
        )
        self._own_cost = meter.counter("tollhouse_llm_own_cost_total", "Cost of such calls, in USD", own)

    def log(self, ex: Exchange) -> None:
        matched, response = ex.matched, ex.response
        if matched is None:
            return  # as in Kong, what no route took is not counted
        consumer = ""
        if self._per_consumer and ex.consumer is not None:
            consumer = ex.consumer.username or ""
        if response is not None:
            key = (matched.route.id, consumer, response.status, response.from_upstream)
        else:
            key = (matched.route.id, consumer, _CLIENT_GONE, False)
        found = self._kinds.get(key) or self._kind_of(matched.service, matched.route, key)
        request, sent = ex.request, ex.sent_at
        found.requests += 1
        found.bytes_in += request.head_bytes + request.received
        found.bytes_out += ex.bytes_out
        if found.latencies is not None:
            answered = ex.answered_at
            waited = int((answered - sent) * 1000) if sent and answered else _NOBODY_ASKED
            found.latencies[int((ex.ended_at - ex.started) * 1000), waited] += 1
        if self._ai_metrics:
            metered = ex.peek(Metered)
            if metered is not None and sent and metered.provider:
                for call in metered.earlier:
                    self._ai(ex, call)
                self._ai(ex, metered)
            own = ex.peek(OwnCalls)
            if own is not None:
                self._count_own(own)

    def log_session(self, session: StreamSession) -> None:
        """Connections without HTTP: few, so that their series are looked up each time."""
        route, served, conf = session.route, session.service, self.conf
        if route is None:
            return
        names = ((served.name or served.host) if served is not None else "", route.name or route.id)
        if conf.status_code_metrics:
            source = "service" if session.relayed_to is not None else "kong"
            self._sessions.series((*names, str(session.status), source, _WORKSPACE)).value += 1
        if conf.bandwidth_metrics:
            self._bytes.series((*names, "ingress", _WORKSPACE, "")).value += session.received
            self._bytes.series((*names, "egress", _WORKSPACE, "")).value += session.sent
        if conf.latency_metrics:
            self._lasted.series((*names, _WORKSPACE))[session.session_ms] += 1
            self._kong.series((*names, _WORKSPACE))[session.kong_ms] += 1

    def _count_own(self, own: OwnCalls) -> None:
        for purpose, metered in own.made:
            labels = (purpose, metered.provider, metered.model)
            usage = metered.usage
            self._own_calls.series(labels).value += 1
            self._own_tokens.series((*labels, "prompt_tokens")).value += usage.prompt_tokens
            self._own_tokens.series((*labels, "completion_tokens")).value += usage.completion_tokens
            if metered.cost_nano_usd:
                self._own_cost.series(labels).value += metered.cost_nano_usd / 1e9

    def _kind_of(self, served: Service | None, taken: Route, key: tuple[str, str, int, bool]) -> "_Requests":
        """What requests of that kind are counted in, from now on under the key."""
        if len(self._kinds) >= _SERIES_KNOWN:
            self._kinds.clear()
        service = (served.name or served.host) if served is not None else ""
        labels = (service, taken.name or taken.id, *key[1:])
        found = self.services.meter.sums((_Requests, self.conf, *labels), partial(self._requests_of, *labels))
        self._kinds[key] = found
        return found

    def _requests_of(
        self, service: str, route: str, consumer: str, status: int, from_upstream: bool
    ) -> "_Requests":
        conf, whose = self.conf, (_WORKSPACE, consumer)
        found = _Requests()
        if conf.status_code_metrics:
            source = "service" if from_upstream else "kong"
            found.count = self._requests.series((service, route, str(status), source, *whose))
        if conf.bandwidth_metrics:
            found.moved = (
                self._bytes.series((service, route, "ingress", *whose)),
                self._bytes.series((service, route, "egress", *whose)),
            )
        if conf.latency_metrics:
            labels = (service, route, _WORKSPACE)
            found.latencies = _Latencies(
                self._total.series(labels), self._upstream.series(labels), self._kong.series(labels)
            )
        return found

    def _ai(self, ex: Exchange, metered: Metered) -> None:
        role = metered.role
        if not role and ex.consumer is not None:
            role = ex.consumer.username or ex.consumer.id
        key = (metered.provider, metered.model, role)
        found = self._calls.get(key) or self._calls_of(key)
        # Whole milliseconds, for values that come again cost less.
        found.add(metered, int((ex.ended_at - ex.sent_at) * 1000) / 1000)

    def _calls_of(self, key: tuple[str, str, str]) -> "_Calls":
        if len(self._calls) >= _MODELS_KNOWN:  # a client may make up names of models without end
            key = (key[0], "other", "")
        found = self._calls[key] = self.services.meter.sums((_Calls, *key), partial(_Calls, self._llm, *key))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Llm:
    """The metrics of calls of models; those by role are `model` and `role`, a consumer's name."""

    requests: Counter
    cost: Counter
    tokens: Counter
    latency: Histogram
    role_input: Counter
    role_output: Counter
    role_seconds: Histogram
    role_cost: Counter
    role_requests: Counter
    role_errors: Counter
    malformed: Counter
    unpriced: Counter
    estimated: Counter


@dataclass(slots=True)
class _Used:
    """Sums of calls."""

    calls: int = 0
    prompt: int = 0
    completion: int = 0
    nano_usd: int = 0


class _Calls:
    """The calls of one model by one role. Each is added up once, and told by several series."""

    def __init__(self, llm: _Llm, provider: str, model: str, role: str) -> None:
        kong, ours, bedrock = (provider, model, "", "", "", ""), (provider, model), (model, role)
        self._requests = llm.requests.series((*kong, _WORKSPACE))
        self._cost = llm.cost.series((*kong, _WORKSPACE))
        self._latency = llm.latency.series((*kong, _WORKSPACE))
        self._prompt, self._completion, self._total = (
            llm.tokens.series((*kong, kind, _WORKSPACE))
            for kind in ("prompt_tokens", "completion_tokens", "total_tokens")
        )
        self._role_requests = llm.role_requests.series(bedrock)
        self._role_errors = llm.role_errors.series(bedrock)
        self._role_input = llm.role_input.series(bedrock)
        self._role_output = llm.role_output.series(bedrock)
        self._role_cost = llm.role_cost.series(bedrock)
        self._role_seconds = llm.role_seconds.series(bedrock)
        self._malformed = llm.malformed.series(ours)
        self._unpriced = llm.unpriced.series(ours)
        self._estimated = llm.estimated.series(ours)
        #: of calls that may be told under Kong's names, and of the others
        self._told, self._untold = _Used(), _Used()

    def add(self, metered: Metered, seconds: float) -> None:
        """Every call that was sent, whatever became of it."""
        if metered.statistics:
            used = self._told
            if metered.latency_ms:
                self._latency[metered.latency_ms] += 1
        else:
            used = self._untold
        used.calls += 1
        self._role_seconds[seconds] += 1
        if metered.error:
            self._role_errors.value += 1
        if metered.malformed_events:
            self._malformed.value += metered.malformed_events
        usage, nano_usd = metered.usage, metered.cost_nano_usd
        prompt, completion = usage.prompt_tokens, usage.completion_tokens
        if not prompt and not completion:
            return
        used.prompt += prompt
        used.completion += completion
        if usage.estimated:
            self._estimated.value += 1
        if nano_usd is None:
            self._unpriced.value += 1
        else:
            used.nano_usd += nano_usd

    def pour(self) -> None:
        told, untold = self._told, self._untold
        self._requests.value += told.calls
        self._prompt.value += told.prompt
        self._completion.value += told.completion
        self._total.value += told.prompt + told.completion
        self._cost.value += told.nano_usd / 1e9
        self._role_requests.value += told.calls + untold.calls
        self._role_input.value += told.prompt + untold.prompt
        self._role_output.value += told.completion + untold.completion
        self._role_cost.value += (told.nano_usd + untold.nano_usd) / 1e9
        self._told, self._untold = _Used(), _Used()


@dataclass(slots=True)
class _Requests:
    """The requests of one kind, and the series that tell of them as far as the configuration has any."""

    requests: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    count: Count | None = None
    #: in and out
    moved: tuple[Count, Count] | None = None
    latencies: "_Latencies | None" = None

    def pour(self) -> None:
        if self.count is not None:
            self.count.value += self.requests
        if self.moved is not None:
            ingress, egress = self.moved
            ingress.value += self.bytes_in
            egress.value += self.bytes_out
        self.requests = self.bytes_in = self.bytes_out = 0
        if self.latencies is not None:
            self.latencies.pour()


class _Latencies(dict[tuple[int, int], int]):
    """How many requests took so long in all and waited so long for the upstream, in milliseconds. Nearly
    all are as others were: each pair is put into the three distributions once for many requests."""

    def __init__(self, whole: Distribution, upstream: Distribution, gateway: Distribution) -> None:
        self._whole, self._upstream, self._gateway = whole, upstream, gateway

    def __missing__(self, pair: tuple[int, int]) -> int:
        if len(self) >= _LATENCIES_KEPT:
            self.pour()
        return 0

    def pour(self) -> None:
        for (whole, waited), times in self.items():
            self._whole[whole] += times
            if waited == _NOBODY_ASKED:
                self._gateway[whole] += times
            else:
                self._upstream[waited] += times
                self._gateway[max(whole - waited, 0)] += times
        self.clear()
