"""zipkin: the spans of an exchange to a Zipkin server, as its JSON (https://zipkin.io/zipkin-api/).

The request is a SERVER span, sending it on and each attempt at a target are CLIENT spans below it. The
upstream is told in the headers that `propagation` names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import random
from typing import Any, Final, Literal

import msgspec

from tollhouse.model.common import PROTOCOLS
from tollhouse.model.entities import Service
from tollhouse.model.validators import url
from tollhouse.pdk import Exchange, Plugin, item, setting
from tollhouse.pdk.delivery import QueueSettings, Undelivered
from tollhouse.pdk.propagation import Propagation, rules
from tollhouse.pdk.records import status_of
from tollhouse.pdk.services import Tracing
from tollhouse.pdk.session import StreamSession
from tollhouse.pdk.spans import CLIENT, SERVER, Span, Traced, begun, new_id, spans_of
from tollhouse.pdk.timings import Timings

_MILLISECONDS: Final = (0, 2147483646)
_LARGEST_SUCCESS: Final = 299
_DEFAULT: Final = "b3"
_RESERVED: Final = (
    "error", "http.method", "http.path", "http.status_code", "kong.balancer.state", "kong.balancer.try",
    "kong.consumer", "kong.credential", "kong.node.id", "kong.route", "kong.service", "lc", "peer.hostname",
)  # fmt: skip
#: phases in Zipkin's annotations of Kong
_LETTERS: Final = {"rewrite": "kr", "access": "ka", "header_filter": "kh", "body_filter": "kb"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    name: str = setting(required=True, not_one_of=_RESERVED, doc="Name of the tag.")
    value: str = setting(required=True, doc="Its value.")


HeaderType = Literal[
    "preserve", "ignore", "b3", "b3-single", "w3c", "jaeger", "ot", "aws", "datadog", "gcp", "instana"
]
DefaultHeaderType = Literal["b3", "b3-single", "w3c", "jaeger", "ot", "aws", "datadog", "gcp", "instana"]


def _repeated(tags: Sequence[Mapping[str, Any]]) -> str | None:
    seen: set[str] = set()
    for tag in tags:
        if tag["name"] in seen:
            return f"repeated tags are not allowed: {tag['name']}"
        seen.add(tag["name"])
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    local_service_name: str = setting("kong", required=True, doc="The name of this node in traces.")
    http_endpoint: str | None = setting(
        None, validator=url, doc="Where spans are sent, usually `…/api/v2/spans`; else only headers are."
    )
    sample_ratio: float = setting(0.001, between=(0, 1), doc="Share of traces, where clients do not say.")
    default_service_name: str | None = setting(None, doc="Name of the remote end where a service has none.")
    include_credential: bool = setting(True, required=True, doc="Tag spans with the credential's id.")
    traceid_byte_count: Literal[8, 16] = setting(16, required=True, doc="Bytes of trace ids that begin here.")
    header_type: HeaderType = setting(
        "preserve", required=True, doc="Older form of `propagation`, which counts if it says anything."
    )
    default_header_type: DefaultHeaderType = setting(
        "b3", required=True, doc="Older name of `propagation.default_format`."
    )
    tags_header: str = setting(
        "Zipkin-Tags", required=True, doc="Header of requests with more tags, `name=value; …`."
    )
    static_tags: tuple[Tag, ...] | None = setting(
        None, items=item(required=True), validator=_repeated, doc="Tags of every trace."
    )
    http_span_name: Literal["method", "method_path"] = setting(
        "method", required=True, doc="What spans of requests are called."
    )
    connect_timeout: int = setting(
        2000, between=_MILLISECONDS, unit="ms", doc="How long connecting may take, in milliseconds."
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
    phase_duration_flavor: Literal["annotations", "tags"] = setting(
        "annotations", required=True, doc="How the durations of phases are told."
    )
    queue: QueueSettings = setting(QueueSettings, required=True, doc="How spans wait for being sent.")
    propagation: Propagation = setting(
        Propagation(default_format="b3"),
        required=True,
        doc="Trace headers of requests and upstream.",
    )


class _Trace(Traced):
    """One of its own, so that both tracing plugins may take part."""


class Zipkin(Plugin[Config]):
    name = "zipkin"
    priority = 100000
    Config = Config
    protocols = PROTOCOLS
    looks_at_answer = False
    wants_timings = True

    def prepare(self) -> None:
        conf = self.conf
        own = conf.propagation.default_format
        self._rule = rules(
            conf.propagation, conf.header_type, own if own != _DEFAULT else conf.default_header_type
        )
        self._static = {tag.name: tag.value for tag in conf.static_tags or ()}
        place = (conf.http_endpoint or "").partition("?")[0]
        self._queue = self.services.queues.open(f"zipkin {place}", conf.queue, self._send, size_of=len)

    def close(self) -> None:
        self._queue.close()

    def access(self, ex: Exchange) -> None:
        self._begin(ex)

    def _begin(self, ex: Exchange, *, tells_upstream: bool = True) -> _Trace:
        traced = begun(
            ex,
            self._rule,
            self._decide,
            trace_digits=self.conf.traceid_byte_count * 2,
            shares_spans=True,
            tells_upstream=tells_upstream,
        )
        kept = ex.slot(_Trace)
        for name in Traced.__slots__:
            setattr(kept, name, getattr(traced, name))
        return kept

    def _trace(self, ex: Exchange) -> _Trace:
        """The trace; one that begins now where no route was found, so that there was no access phase."""
        return ex.peek(_Trace) or self._begin(ex, tells_upstream=False)

    def _decide(self, sampled: bool | None, _trace_id: str = "") -> bool:
        return random() < self.conf.sample_ratio if sampled is None else sampled  # noqa: S311 - nobody gains by guessing

    def header_filter(self, ex: Exchange) -> None:
        name = self.conf.http_response_header_for_traceid
        if name is not None and ex.response is not None:
            ex.response.headers.set(name, self._trace(ex).trace_id)

    def log(self, ex: Exchange) -> None:
        if self.conf.http_endpoint is None:
            return
        traced = self._trace(ex)
        if not traced.sampled:
            return
        for span in self._spans(ex, traced):
            self._queue.add(msgspec.json.encode(span))

    def log_session(self, session: StreamSession) -> None:
        if self.conf.http_endpoint is not None and self._decide(None):
            for span in self._session_spans(session):
                self._queue.add(msgspec.json.encode(span))

    def _session_spans(self, session: StreamSession) -> list[dict[str, Any]]:
        """The same of a connection without HTTP, which has no trace of the client's to go on with."""
        conf = self.conf
        drawn = _Drawn(self.services.wall_clock() - self.services.clock(), conf)
        preread = (session.started, session.balanced_at or session.ended_at)
        request = drawn.span("stream", SERVER, session.started, session.ended_at)
        request["id"] = request.pop("parentId")
        request["tags"] = {"lc": "kong", "kong.node.id": self.services.node.node_id, **self._static}
        request["remoteEndpoint"] = _endpoint(session.client_ip, session.client_port)
        proxied = drawn.span("stream (proxy)", CLIENT, preread[0], session.ended_at)
        proxied["tags"] = _about_service(session)
        if session.service is not None:
            proxied["tags"]["peer.hostname"] = session.service.host
        if conf.phase_duration_flavor == "tags":
            proxied["tags"]["kong.preread.duration_ms"] = f"{(preread[1] - preread[0]) * 1000:.3f}"
        else:
            proxied["annotations"] = [
                {"value": value, "timestamp": drawn.microseconds(instant)}
                for value, instant in zip(("kps", "kpf"), preread, strict=True)
            ]
        attempts = self._session_attempts(session, drawn)
        if attempts:
            proxied["remoteEndpoint"] = attempts[-1]["remoteEndpoint"]
        return [request, proxied, *attempts]

    def _session_attempts(self, session: StreamSession, drawn: "_Drawn") -> list[dict[str, Any]]:
        last = session.relayed_to
        attempts = []
        for number, attempt in enumerate([*(session.tries or ()), *((last,) if last else ())], 1):
            name, ended = f"stream (balancer try {number})", attempt.ended or session.ended_at
            span = drawn.span(name, CLIENT, attempt.started, ended)
            span["tags"] = {"kong.balancer.try": str(number), **_about_service(session)}
            if attempt is not last:
                span["tags"] |= {"error": "true", "kong.balancer.state": attempt.state or "failed"}
            span["remoteEndpoint"] = self._named_endpoint(attempt.ip, attempt.port, session.service)
            attempts.append(span)
        return attempts

    def _named_endpoint(self, host: str, port: int, service: Service | None) -> dict[str, Any]:
        name = (service.name if service is not None else None) or self.conf.default_service_name
        return _endpoint(host, port) | ({"serviceName": name} if name else {})

    def _spans(self, ex: Exchange, traced: Traced) -> list[dict[str, Any]]:
        """What Zipkin gets: the request, what was proxied of it, and each attempt."""
        conf, request = self.conf, ex.request
        name = request.method if conf.http_span_name == "method" else f"{request.method} {request.path}"
        root, *attempts = spans_of(ex, traced, self.services, Tracing(frozenset({"balancer"})))
        root.name = name
        root.attributes = self._tags(ex)
        request_told = self._shown(ex, traced, root, SERVER)
        shown = [request_told]
        began = ex.peek(Timings)
        routed = began.routed_at() if began is not None else None
        started = root.started + int(((routed or ex.started) - ex.started) * 1e9)
        proxied = Span(f"{name} (proxy)", CLIENT, traced.upstream_id, root.span_id, started, root.ended)
        proxied.attributes = _about_service(ex) | ({"peer.hostname": ex.service.host} if ex.service else {})
        told = self._shown(ex, traced, proxied, CLIENT)
        self._tell_phases(ex, root, request_told, told)
        shown.append(told)
        for number, attempt in enumerate(attempts, 1):
            # The proxied request has the id that the upstream sees; attempts have their own.
            attempt.span_id = f"{(int(traced.upstream_id, 16) + number) % 2**64 or 1:016x}"
            attempt.name = f"{name} (balancer try {number})"
            code = attempt.attributes.get("http.status_code")
            attempt.attributes = {"kong.balancer.try": str(number), **_about_service(ex)}
            if attempt.failed:
                attempt.attributes |= {"error": "true", "kong.balancer.state": "failed"}
                attempt.attributes["http.status_code"] = str(code)
            shown.append(self._shown(ex, traced, attempt, CLIENT))
        return shown

    def _tags(self, ex: Exchange) -> dict[str, Any]:
        tags = {
            "lc": "kong",
            "http.method": ex.request.method,
            "http.host": ex.request.headers.values.get("host", "").partition(":")[0].lower(),
            "http.protocol": f"HTTP/{float(ex.request.versions[ex.request.minor]):g}",
            "http.path": ex.request.path,
            "http.status_code": str(status_of(ex)),
            "kong.node.id": self.services.node.node_id,
            **self._static,
        }
        for part in ";".join(ex.request.headers.get_all(self.conf.tags_header.lower())).split(";"):
            name, value = (text.strip() for text in part.partition("=")[::2])
            if value and len(name.split()) == 1:
                tags[name] = value
        if ex.consumer is not None:
            tags["kong.consumer"] = ex.consumer.id
        if ex.credential is not None and self.conf.include_credential:
            tags["kong.credential"] = ex.credential.id
        return tags

    def _tell_phases(
        self, ex: Exchange, root: Span, request_told: dict[str, Any], proxied_told: dict[str, Any]
    ) -> None:
        """When each phase began and ended, in microseconds."""
        for phase, (first, last) in _phases(ex).items():
            # The phase before the route is known is the request's, not the proxy's.
            told = request_told if phase == "rewrite" else proxied_told
            if self.conf.phase_duration_flavor == "tags":
                told["tags"][f"kong.{phase}.duration_ms"] = f"{(last - first) * 1000:.3f}"
                continue
            for letter, instant in (("s", first), ("f", last)):
                moment = (root.started + int((instant - ex.started) * 1e9)) // 1000
                told["annotations"].append({"value": _LETTERS[phase] + letter, "timestamp": moment})

    def _shown(self, ex: Exchange, traced: Traced, span: Span, kind: str) -> dict[str, Any]:
        shown: dict[str, Any] = {
            # As Zipkin's servers show them: no more than 16 digits where the others are zero.
            "traceId": traced.trace_id.removeprefix("0" * 16),
            "id": span.span_id,
            "name": span.name,
            "kind": kind,
            "timestamp": span.started // 1000,
            "duration": max(1, (span.ended - span.started) // 1000),
            "localEndpoint": {"serviceName": self.conf.local_service_name},
            "tags": {key: str(value) for key, value in span.attributes.items()},
            "annotations": [],
        }
        if span.parent_id is not None:
            shown["parentId"] = span.parent_id
        if kind == SERVER:
            shown["remoteEndpoint"] = _endpoint(ex.client_ip, ex.client.peer_port)
        elif ex.peer is not None:
            shown["remoteEndpoint"] = self._named_endpoint(ex.peer.host, ex.peer.port, ex.service)
        return shown

    async def _send(self, spans: Sequence[bytes]) -> None:
        conf = self.conf
        answer = await self.services.http.request(
            "POST",
            conf.http_endpoint or "",
            headers=(("Content-Type", "application/json"),),
            body=b"[%b]" % b",".join(spans),
            timeout_seconds=(conf.connect_timeout + conf.send_timeout + conf.read_timeout) / 1000,
            connect_seconds=conf.connect_timeout / 1000,
            keepalive_seconds=60.0,
        )
        if answer.status > _LARGEST_SUCCESS:
            raise Undelivered(f"the server answered {answer.status}")


class _Drawn:
    """The spans of one trace, from instants of the node's clock; `offset` leads to the time of day."""

    def __init__(self, offset: float, conf: Config) -> None:
        self._offset = offset
        self._trace, self._root = new_id(conf.traceid_byte_count * 2), new_id(16)
        self._here = {"serviceName": conf.local_service_name}

    def microseconds(self, instant: float) -> int:
        return int((instant + self._offset) * 1e6)

    def span(self, name: str, kind: str, started: float, ended: float) -> dict[str, Any]:
        """A span below the root."""
        return {
            "traceId": self._trace,
            "id": new_id(16),
            "parentId": self._root,
            "name": name,
            "kind": kind,
            "timestamp": self.microseconds(started),
            "duration": max(1, int((ended - started) * 1e6)),
            "localEndpoint": self._here,
        }


def _phases(ex: Exchange) -> dict[str, tuple[float, float]]:
    """When phases began and ended: as plugins ran in them, else as the exchange went."""
    timings = ex.peek(Timings)
    found: dict[str, tuple[float, float]] = {}
    for (phase, _), (started, ended, _) in timings.entries.items() if timings is not None else ():
        first, last = found.get(phase, (started, ended))
        found[phase] = (min(first, started), max(last, ended))
    routed = (timings.routed_at() if timings is not None else None) or ex.started
    answered = ex.answered_at or ex.ended_at
    head = found.get("header_filter", (answered, answered))
    usual = {
        "rewrite": (ex.started, routed),
        "access": (routed, ex.sent_at or answered),
        "header_filter": head,
        "body_filter": (head[1], max(head[1], ex.ended_at)),
    }
    return {phase: found.get(phase, usual[phase]) for phase in _LETTERS}


def _about_service(ex: Exchange | StreamSession) -> dict[str, Any]:
    about = {}
    for kind, entity in (("service", ex.service), ("route", ex.route)):
        if entity is not None:
            about[f"kong.{kind}"] = entity.id
            if entity.name:
                about[f"kong.{kind}_name"] = entity.name
    return about


def _endpoint(host: str, port: int) -> dict[str, Any]:
    return {"ipv6" if ":" in host else "ipv4": host, "port": port}
