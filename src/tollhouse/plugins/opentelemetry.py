"""opentelemetry: spans, and records of exchanges, to a collector by OTLP over HTTP.

Trace headers towards the upstream are written in any case; spans are made where
`KONG_TRACING_INSTRUMENTATIONS` says so, as in Kong. Encoding is done in the background
(https://opentelemetry.io/docs/specs/otlp/).
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Literal

from tollhouse import __version__
from tollhouse.model.checks import AtLeastOneOf, Custom
from tollhouse.model.shorthands import Renamed
from tollhouse.model.validators import header_name, url
from tollhouse.pdk import Exchange, Plugin, item, setting
from tollhouse.pdk.delivery import Queue, QueueSettings, Undelivered
from tollhouse.pdk.propagation import Propagation, rules
from tollhouse.pdk.records import RecordSettings, encoder
from tollhouse.pdk.spans import SERVER, Span, Traced, begun, spans_of

log = logging.getLogger("tollhouse.plugins")

_MILLISECONDS: Final = (0, 2147483646)
_LARGEST_SUCCESS: Final = 299
_KINDS: Final = {"INTERNAL": 1, SERVER: 2, "CLIENT": 3}
_ERROR: Final = 2
#: severity INFO of a log record
_INFO: Final = 9
#: about what a span takes, for `queue.max_bytes`
_SPAN_BYTES: Final = 512
HeaderType = Literal[
    "preserve", "ignore", "b3", "b3-single", "w3c", "jaeger", "ot", "aws", "gcp", "datadog", "instana"
]


def _problem(config: Mapping[str, Any]) -> str | None:
    try:
        import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    except ImportError:
        return "opentelemetry needs a library: install tollhouse[otel]"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    traces_endpoint: str | None = setting(
        None, referenceable=True, validator=url, doc="Where spans are sent, usually `…/v1/traces`."
    )
    logs_endpoint: str | None = setting(
        None, referenceable=True, validator=url, doc="Where records of exchanges are sent, as log records."
    )
    headers: dict[str, str] | None = setting(
        None,
        keys=item(validator=header_name),
        values=item(referenceable=True),
        doc="Headers of requests to the collector.",
    )
    resource_attributes: dict[str, str] | None = setting(
        None,
        keys=item(required=True),
        values=item(required=True),
        doc="What is said of this node, beside its name, version and id.",
    )
    queue: QueueSettings = setting(
        QueueSettings(max_batch_size=200), required=True, doc="How spans wait for being sent."
    )
    batch_span_count: int | None = setting(None, doc="Older name of `queue.max_batch_size`.")
    batch_flush_delay: int | None = setting(
        None, unit="s", doc="Older name of `queue.max_coalescing_delay`, in seconds."
    )
    connect_timeout: int = setting(
        1000, between=_MILLISECONDS, unit="ms", doc="How long connecting may take, in milliseconds."
    )
    send_timeout: int = setting(
        5000, between=_MILLISECONDS, unit="ms", doc="How long sending may take, in milliseconds."
    )
    read_timeout: int = setting(
        5000, between=_MILLISECONDS, unit="ms", doc="How long the answer may then take, in milliseconds."
    )
    http_response_header_for_traceid: str | None = setting(
        None, doc="Header of the answer that tells the trace id."
    )
    header_type: HeaderType | None = setting(
        "preserve", required=False, doc="Older form of `propagation`, which counts if it says anything."
    )
    sampling_rate: float | None = setting(
        None, required=False, between=(0, 1), doc="Share of traces, in place of `tracing_sampling_rate`."
    )
    propagation: Propagation = setting(
        Propagation(default_format="w3c"),
        required=True,
        doc="Trace headers of requests, and towards the upstream.",
    )

    SHORTHANDS = (Renamed("endpoint", "traces_endpoint"),)
    CHECKS = (AtLeastOneOf("traces_endpoint", "logs_endpoint"), Custom(_problem))


def _place(trace_id: str) -> float:
    """Where a trace is between 0 and 1."""
    return int.from_bytes(bytes.fromhex(trace_id[:16]), "little") / 2**64


class Opentelemetry(Plugin[Config]):
    name = "opentelemetry"
    priority = 14
    Config = Config
    looks_at_answer = False
    wants_timings = True

    def prepare(self) -> None:
        conf, services = self.conf, self.services
        default = conf.propagation.default_format
        self._rule = rules(conf.propagation, conf.header_type or "preserve", default)
        self._is_on = services.tracing.is_on
        self._tells_attempts = services.tracing.has("balancer")
        rate = services.tracing.sampling_rate if conf.sampling_rate is None else conf.sampling_rate
        self._rate = rate if self._is_on else 0.0
        self._encoded = encoder(RecordSettings(), services)
        self._spans: Queue[tuple[str, Span]] | None = None
        self._records: Queue[tuple[str, str, int, bytes]] | None = None
        queue = self._queue_settings()
        if conf.traces_endpoint is not None:
            name = f"opentelemetry {conf.traces_endpoint.partition('?')[0]}"
            self._spans = services.queues.open(name, queue, self._send_spans, size_of=lambda _: _SPAN_BYTES)
            if not self._is_on:
                log.warning("opentelemetry: no spans, for KONG_TRACING_INSTRUMENTATIONS is off")
        if conf.logs_endpoint is not None:
            name = f"opentelemetry {conf.logs_endpoint.partition('?')[0]}"
            self._records = services.queues.open(
                name, queue, self._send_records, size_of=lambda entry: len(entry[3])
            )

    def _queue_settings(self) -> QueueSettings:
        conf, queue = self.conf, self.conf.queue
        size = conf.batch_span_count
        delay = conf.batch_flush_delay
        return QueueSettings(
            max_batch_size=queue.max_batch_size if size in (None, 200) else size or 1,
            max_coalescing_delay=queue.max_coalescing_delay if delay in (None, 3) else delay or 0,
            max_entries=queue.max_entries,
            max_bytes=queue.max_bytes,
            max_retry_time=queue.max_retry_time,
            initial_retry_delay=queue.initial_retry_delay,
            max_retry_delay=queue.max_retry_delay,
            concurrency_limit=queue.concurrency_limit,
        )

    def close(self) -> None:
        for queue in (self._spans, self._records):
            if queue is not None:
                queue.close()

    def access(self, ex: Exchange) -> None:
        ex.put(begun(ex, self._rule, self._decide, tells_attempts=self._tells_attempts))

    def _decide(self, sampled: bool | None, trace_id: str) -> bool:
        # As in Kong: a client can prevent a trace and not ask for one, and every node that sees a trace
        # comes to the same decision by its id.
        return sampled is not False and _place(trace_id) < self._rate

    def header_filter(self, ex: Exchange) -> None:
        name, traced = self.conf.http_response_header_for_traceid, ex.peek(Traced)
        if name is not None and traced is not None and ex.response is not None:
            ex.response.headers.set(name, traced.trace_id)

    def log(self, ex: Exchange) -> None:
        traced = ex.peek(Traced)
        if traced is None:
            return  # it ended before its turn came
        if self._spans is not None and self._is_on and traced.sampled:
            for span in spans_of(ex, traced, self.services, self.services.tracing):
                self._spans.add((traced.trace_id, span))
        if self._records is not None:
            moment = int(self.services.wall_clock() * 1e9)
            self._records.add((traced.trace_id, traced.root_id, moment, self._encoded(ex)))

    # In the background

    async def _send_spans(self, batch: Sequence[tuple[str, Span]]) -> None:
        if self.conf.traces_endpoint is not None:
            await self._post(self.conf.traces_endpoint, _traces(batch, self._resource()))

    async def _send_records(self, batch: Sequence[tuple[str, str, int, bytes]]) -> None:
        if self.conf.logs_endpoint is not None:
            await self._post(self.conf.logs_endpoint, _logs(batch, self._resource()))

    async def _post(self, endpoint: str, body: bytes) -> None:
        conf = self.conf
        answer = await self.services.http.request(
            "POST",
            endpoint,
            headers=(("Content-Type", "application/x-protobuf"), *(conf.headers or {}).items()),
            body=body,
            timeout_seconds=(conf.connect_timeout + conf.send_timeout + conf.read_timeout) / 1000,
            connect_seconds=conf.connect_timeout / 1000,
            keepalive_seconds=60.0,
        )
        if answer.status > _LARGEST_SUCCESS:
            raise Undelivered(f"the collector answered {answer.status}")

    def _resource(self) -> dict[str, str]:
        own = {
            "service.name": "kong",
            "service.version": __version__,
            "service.instance.id": self.services.node.node_id,
        }
        return own | (self.conf.resource_attributes or {})


def _attributes(place: Any, values: Mapping[str, object]) -> None:
    for key, value in values.items():
        attribute = place.add(key=key).value
        if isinstance(value, bool):
            attribute.bool_value = value
        elif isinstance(value, int):
            attribute.int_value = value
        elif isinstance(value, float):
            attribute.double_value = value
        else:
            attribute.string_value = str(value)


def _traces(batch: Sequence[tuple[str, Span]], resource: Mapping[str, str]) -> bytes:
    service = import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    request = service.ExportTraceServiceRequest()
    about = request.resource_spans.add()
    _attributes(about.resource.attributes, resource)
    scope = about.scope_spans.add()
    scope.scope.name, scope.scope.version = "tollhouse", __version__
    for trace_id, span in batch:
        shown = scope.spans.add(
            name=span.name,
            kind=_KINDS[span.kind],
            trace_id=bytes.fromhex(trace_id.rjust(32, "0")),
            span_id=bytes.fromhex(span.span_id),
            parent_span_id=bytes.fromhex(span.parent_id or ""),
            start_time_unix_nano=span.started,
            end_time_unix_nano=span.ended,
        )
        _attributes(shown.attributes, span.attributes)
        if span.failed:
            shown.status.code = _ERROR
    encoded: bytes = request.SerializeToString()
    return encoded


def _logs(batch: Sequence[tuple[str, str, int, bytes]], resource: Mapping[str, str]) -> bytes:
    service = import_module("opentelemetry.proto.collector.logs.v1.logs_service_pb2")
    request = service.ExportLogsServiceRequest()
    about = request.resource_logs.add()
    _attributes(about.resource.attributes, resource)
    scope = about.scope_logs.add()
    scope.scope.name, scope.scope.version = "tollhouse", __version__
    for trace_id, span_id, moment, record in batch:
        shown = scope.log_records.add(
            time_unix_nano=moment,
            observed_time_unix_nano=moment,
            severity_number=_INFO,
            severity_text="INFO",
            trace_id=bytes.fromhex(trace_id.rjust(32, "0")),
            span_id=bytes.fromhex(span_id),
        )
        shown.body.string_value = record.decode()
    encoded: bytes = request.SerializeToString()
    return encoded
