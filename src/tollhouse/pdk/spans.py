"""Spans of one exchange: the request, the router, each plugin's phases and each attempt at a target."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import getrandbits
from typing import Final

from tollhouse.pdk.exchange import Exchange
from tollhouse.pdk.log_fields import LogFields
from tollhouse.pdk.propagation import SHARING, Propagation, extracted, injected
from tollhouse.pdk.records import status_of
from tollhouse.pdk.services import Services, Tracing
from tollhouse.pdk.timings import Timings
from tollhouse.pdk.usage import Metered

SERVER: Final = "SERVER"
CLIENT: Final = "CLIENT"
INTERNAL: Final = "INTERNAL"
_SERVER_ERRORS: Final = 500
Value = str | int | float | bool
#: an instant of an exchange's clock in nanoseconds since the epoch
At = Callable[[float], int]


@dataclass(slots=True)
class Span:
    """A span, its instants in nanoseconds since the epoch."""

    name: str
    kind: str
    span_id: str
    parent_id: str | None
    started: int
    ended: int
    attributes: dict[str, Value] = field(default_factory=dict)
    failed: bool = False


class Traced:
    """The trace of one exchange."""

    __slots__ = ("parent_id", "root_id", "sampled", "trace_id", "upstream_id")

    def __init__(self) -> None:
        self.trace_id = ""
        #: the client's span, ours for the request, and ours for the attempt that the upstream sees
        self.parent_id: str | None = None
        self.root_id = ""
        self.upstream_id = ""
        self.sampled = False


def new_id(digits: int) -> str:
    """An id of so many hexadecimal digits, not zero."""
    return f"{getrandbits(digits * 4) or 1:0{digits}x}"


def begun(
    ex: Exchange,
    rule: Propagation,
    decide: Callable[[bool | None, str], bool],
    *,
    trace_digits: int = 32,
    shares_spans: bool = False,
    tells_attempts: bool = True,
    tells_upstream: bool = True,
) -> Traced:
    """Begins a trace, or goes on with the client's, and tells the upstream and the log record, unless there
    is no upstream.

    `decide` gets what the client has decided about sampling, and the trace. With `shares_spans` the request's
    span is the client's own where its format means it so; without `tells_attempts` the upstream sees it.
    """
    headers = ex.request.headers
    context = extracted(headers.values, rule.extract or ())
    traced = Traced()
    traced.trace_id = context.trace_id or new_id(trace_digits)
    traced.parent_id = context.span_id or context.parent_id
    traced.root_id = new_id(16)
    if shares_spans and context.found_in in SHARING and context.span_id:
        traced.root_id, traced.parent_id = context.span_id, context.parent_id
    traced.upstream_id = new_id(16) if tells_attempts else traced.root_id
    traced.sampled = decide(context.sampled, traced.trace_id)
    if not tells_upstream:
        return traced
    there = replace(
        context,
        trace_id=traced.trace_id,
        span_id=traced.upstream_id,
        parent_id=traced.root_id if tells_attempts else traced.parent_id,
        sampled=traced.sampled,
        digits=context.digits if context.trace_id else 0,
    )
    fields = ex.slot(LogFields)
    for name, trace in injected(headers, there, rule).items():
        fields.put(f"trace_id.{name}", trace)
    return traced


def spans_of(ex: Exchange, traced: Traced, services: Services, tracing: Tracing) -> list[Span]:
    """The spans of a finished exchange, as far as they are instrumented; the request's own first."""
    # The clock of an exchange does not tell the time of day.
    offset = services.wall_clock() - services.clock()

    def at(instant: float) -> int:
        return int((instant + offset) * 1e9)

    root = Span("kong", SERVER, traced.root_id, traced.parent_id, at(ex.started), at(ex.ended_at))
    root.attributes = _about(ex)
    root.failed = status_of(ex) >= _SERVER_ERRORS
    spans = [root, *_steps(ex, root.span_id, at, tracing)]
    if tracing.has("balancer"):
        spans += _attempts(ex, traced, at)
    return spans


def _steps(ex: Exchange, parent_id: str, at: At, tracing: Tracing) -> Iterator[Span]:
    """The router and each plugin's phases."""
    timings = ex.peek(Timings)
    if timings is None:
        return
    routed = timings.routed_at()
    if routed is not None and tracing.has("router"):
        yield Span("kong.router", INTERNAL, new_id(16), parent_id, at(ex.started), at(routed))
    for (phase, plugin), (started, ended, _) in timings.entries.items():
        if tracing.has(f"plugin_{phase}"):
            name = f"kong.{phase}.plugin.{plugin}"
            yield Span(name, INTERNAL, new_id(16), parent_id, at(started), at(ended))


def _attempts(ex: Exchange, traced: Traced, at: At) -> Iterator[Span]:
    """Attempts at targets: those that failed, and the one that the upstream has seen."""
    failed = ex.tries or ()
    for number, attempt in enumerate(failed, 1):
        span = Span(
            "kong.balancer", CLIENT, new_id(16), traced.root_id, at(attempt.started), at(attempt.ended)
        )
        span.attributes = {
            "try_count": number,
            "net.peer.ip": attempt.ip,
            "net.peer.port": attempt.port,
            "http.status_code": attempt.code or 0,
        }
        span.failed = True
        yield span
    if ex.peer is None or not ex.sent_at or not ex.answered_at:
        return
    last = Span("kong.balancer", CLIENT, traced.upstream_id, traced.root_id, at(ex.sent_at), at(ex.ended_at))
    last.attributes = {
        "try_count": len(failed) + 1,
        "net.peer.ip": ex.peer.host,
        "net.peer.port": ex.peer.port,
    }
    if ex.service is not None:
        last.attributes["net.peer.name"] = ex.service.host
    yield last


def _about(ex: Exchange) -> dict[str, Value]:
    request, client = ex.request, ex.client
    host = request.headers.values.get("host", "").partition(":")[0].lower()
    about: dict[str, Value] = {
        "http.method": request.method,
        "http.url": f"{client.scheme}://{host}{request.target.raw}",
        "http.host": host,
        "http.scheme": client.scheme,
        "http.flavor": f"{float(request.versions[request.minor]):.1f}",
        "http.client_ip": ex.client_ip,
        "net.peer.ip": client.peer_ip,
        "kong.request.id": ex.request_id,
        "http.status_code": status_of(ex),
    }
    if ex.route is not None:
        about["http.route"] = (ex.route.paths or ("",))[0]
    if ex.consumer is not None:
        about["kong.consumer"] = ex.consumer.id
    metered = ex.peek(Metered)
    if metered is not None and metered.provider:
        about |= _model(metered)
    return about


def _model(metered: Metered) -> dict[str, Value]:
    """What a model was asked (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/)."""
    about: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": metered.provider,
        "gen_ai.system": metered.provider,
        "gen_ai.request.model": metered.model,
        "gen_ai.response.model": metered.response_model or metered.model,
        "gen_ai.usage.input_tokens": metered.usage.prompt_tokens,
        "gen_ai.usage.output_tokens": metered.usage.completion_tokens,
    }
    if metered.error:
        about["error.type"] = str(metered.error)
    return about
