"""statsd: counts and times of exchanges for a StatsD server, by service, consumer, status and workspace.

Without `tag_style` all of that is in the names of metrics; with it, in tags, and metrics that only differ
in that are left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from tollhouse.model.checks import Conditional
from tollhouse.model.common import PROTOCOLS
from tollhouse.model.validators import host
from tollhouse.pdk import Plugin, item, setting
from tollhouse.pdk.delivery import QueueSettings, with_older_names
from tollhouse.pdk.memory import peak_bytes, resident_bytes
from tollhouse.pdk.records import Logged, status_of
from tollhouse.pdk.statsd import KINDS, STATS, Server, is_sampled, line, size_of, values_of

ConsumerBy = Literal["consumer_id", "custom_id", "username"]
ServiceBy = Literal["service_id", "service_name", "service_host", "service_name_or_host"]
WorkspaceBy = Literal["workspace_id", "workspace_name"]

_MEMORY: Final = "shdict_usage"
#: in the order in which Kong's schema and refusals list them
_CHOICES: Final = (
    "kong_latency", "latency", "request_count", "request_per_user", "request_size", "response_size",
    "status_count", "status_count_per_user", "unique_users", "upstream_latency",
    "status_count_per_workspace", "status_count_per_user_per_route", _MEMORY,
)  # fmt: skip
_MEMORY_SECONDS: Final = 60
_WORKSPACE: Final = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    name: str = setting(required=True, one_of=_CHOICES, doc="What is measured.")
    stat_type: str = setting(
        required=True,
        one_of=tuple(kind for kind in KINDS if kind != "distribution"),
        doc="How the server takes it.",
    )
    sample_rate: float | None = setting(None, gt=0, doc="Share of exchanges that are told of.")
    consumer_identifier: ConsumerBy | None = setting(None, doc="What names the consumer here.")
    service_identifier: ServiceBy | None = setting(None, doc="What names the service here.")
    workspace_identifier: WorkspaceBy | None = setting(None, doc="What names the workspace here.")

    CHECKS = (Conditional("stat_type", {"one_of": ("counter", "gauge")}, "sample_rate", {"required": True}),)


def _metric(name: str, stat_type: str) -> Metric:
    rate = 1 if stat_type in ("counter", "gauge") else None
    return Metric(name=name, stat_type=stat_type, sample_rate=rate)


_METRICS: Final = (
    _metric("request_count", "counter"),
    _metric("latency", "timer"),
    _metric("request_size", "counter"),
    _metric("status_count", "counter"),
    _metric("response_size", "counter"),
    _metric("unique_users", "set"),
    _metric("request_per_user", "counter"),
    _metric("upstream_latency", "timer"),
    _metric("kong_latency", "timer"),
    _metric("status_count_per_user", "counter"),
    _metric("status_count_per_workspace", "counter"),
    _metric("status_count_per_user_per_route", "counter"),
    _metric(_MEMORY, "gauge"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    host: str = setting("localhost", validator=host, doc="The server's host.")
    port: int = setting(8125, between=(0, 65535), doc="Its port.")
    prefix: str = setting("kong", doc="What names of metrics begin with.")
    metrics: tuple[Metric, ...] = setting(_METRICS, doc="What is sent.")
    allow_status_codes: tuple[str, ...] | None = setting(
        None, items=item(match="^[0-9]+-[0-9]+$"), doc="Ranges of statuses that are counted; else all are."
    )
    udp_packet_size: float = setting(
        0, between=(0, 65507), unit="bytes", doc="Bytes that are put into one packet; 0: a packet a metric."
    )
    use_tcp: bool = setting(False, doc="Speak TCP in place of UDP.")
    hostname_in_prefix: bool = setting(False, doc="Put `node.HOSTNAME` behind the prefix.")
    consumer_identifier_default: ConsumerBy = setting("custom_id", required=True, doc="What names consumers.")
    service_identifier_default: ServiceBy = setting(
        "service_name_or_host", required=True, doc="What names services."
    )
    workspace_identifier_default: WorkspaceBy = setting(
        "workspace_id", required=True, doc="What names workspaces."
    )
    retry_count: int | None = setting(
        None, doc="Most retries of a batch, beside `queue.max_retry_time`. Kong's older field."
    )
    queue_size: int | None = setting(None, doc="Older name of `queue.max_batch_size`.")
    flush_timeout: float | None = setting(
        None, unit="s", doc="Older name of `queue.max_coalescing_delay`, in seconds."
    )
    tag_style: Literal["dogstatsd", "influxdb", "librato", "signalfx"] | None = setting(
        None, required=False, doc="Tag metrics with service, route, workspace, consumer, node and status, so."
    )
    queue: QueueSettings = setting(QueueSettings, required=True, doc="How metrics wait for being sent.")


class Statsd(Plugin[Config]):
    name = "statsd"
    priority = 11
    Config = Config
    protocols = PROTOCOLS

    def prepare(self) -> None:
        conf = self.conf
        self._host = self.services.node.hostname.replace(".", "_")
        is_in_prefix = conf.hostname_in_prefix and conf.tag_style is None
        self._prefix = f"{conf.prefix}.node.{self._host}" if is_in_prefix else conf.prefix
        ranges = [range_.split("-") for range_ in conf.allow_status_codes or ()]
        self._statuses = [range(int(first), int(last) + 1) for first, last in ranges]
        self._memory_told = float("-inf")
        links, packet = self.services.links, int(conf.udp_packet_size)
        if conf.use_tcp:
            link = links.stream(conf.host, conf.port, timeout_seconds=1.0, keepalive_seconds=60.0)
        else:
            link = links.datagrams(conf.host, conf.port, timeout_seconds=1.0)
        self._queue = self.services.queues.open(
            f"statsd {conf.host}:{conf.port}",
            with_older_names(conf.queue, queue_size=conf.queue_size, flush_timeout=conf.flush_timeout),
            Server(link, is_stream=conf.use_tcp, packet_bytes=packet).send,
            size_of=size_of,
            most_retries=conf.retry_count,
            ended=link.close,
        )

    def close(self) -> None:
        self._queue.close()

    def log(self, ex: Logged) -> None:
        status = status_of(ex)
        if self._statuses and not any(status in allowed for allowed in self._statuses):
            return
        values = values_of(ex)
        lines: list[bytes] = []
        for metric in self.conf.metrics:
            if metric.name == _MEMORY:
                lines += self._memory(metric)
            elif is_sampled(metric.sample_rate):
                lines += self._lines(ex, metric, values, status)
        if lines:
            self._queue.add(lines)

    log_session = log

    def _lines(self, ex: Logged, metric: Metric, values: dict[str, int], status: int) -> Iterator[bytes]:
        rate, style = metric.sample_rate, self.conf.tag_style
        if metric.name in STATS:
            value, kind, stat = values.get(metric.name), KINDS[metric.stat_type], STATS[metric.name]
            if value is None:
                return
            if style is None:
                yield line(f"{self._prefix}.{self._scope(ex, metric)}.{stat}", value, kind, rate)
            elif tags := self._tags(ex, metric, status):
                yield line(f"{self._prefix}.{stat}", value, kind, rate, tags, style)
        elif style is None:
            name = self._name(ex, metric, status)
            if metric.name == "unique_users":
                consumer = self._consumer(ex, metric)
                if consumer:
                    yield line(f"{self._prefix}.{name}", consumer, "s")
            elif name is not None:
                yield line(f"{self._prefix}.{name}", 1, "c", rate)

    def _name(self, ex: Logged, metric: Metric, status: int) -> str | None:
        """The name of a metric that tells more than the service; none if that is not known."""
        scope, consumer = self._scope(ex, metric), self._consumer(ex, metric)
        if metric.name == "status_count":
            return f"{scope}.status.{status}"
        if metric.name == "unique_users":
            return f"{scope}.user.uniques"
        if metric.name == "status_count_per_workspace":
            return f"{scope}.workspace.{self._workspace(metric)}.status.{status}"
        if not consumer:
            return None
        if metric.name == "request_per_user":
            return f"{scope}.user.{consumer}.request.count"
        if metric.name == "status_count_per_user":
            return f"{scope}.user.{consumer}.status.{status}"
        return f"route.{ex.route.id}.user.{consumer}.status.{status}" if ex.route is not None else None

    def _scope(self, ex: Logged, metric: Metric) -> str:
        if ex.service is None:
            return "global.unmatched"
        return f"service.{(self._service(ex, metric) or 'unnamed').replace('.', '_')}"

    def _service(self, ex: Logged, metric: Metric) -> str | None:
        service = ex.service
        if service is None:
            return None
        match metric.service_identifier or self.conf.service_identifier_default:
            case "service_id":
                return service.id
            case "service_name":
                return service.name
            case "service_host":
                return service.host
            case "service_name_or_host":
                return service.name or service.host

    def _consumer(self, ex: Logged, metric: Metric) -> str | None:
        consumer = ex.consumer
        if consumer is None:
            return None
        match metric.consumer_identifier or self.conf.consumer_identifier_default:
            case "consumer_id":
                return consumer.id
            case "custom_id":
                return consumer.custom_id
            case "username":
                return consumer.username

    def _workspace(self, metric: Metric) -> str:
        by = metric.workspace_identifier or self.conf.workspace_identifier_default
        return self.services.records.workspace_id if by == "workspace_id" else _WORKSPACE

    def _tags(self, ex: Logged, metric: Metric, status: int) -> list[tuple[str, str]]:
        """What tells exchanges apart; nothing without a service, as in Kong."""
        service, route = self._service(ex, metric), ex.route
        if not service:
            return []
        tags = {
            "service": service,
            "route": (route.name or route.id) if route is not None else None,
            "workspace": self._workspace(metric),
            "consumer": self._consumer(ex, metric),
            "node": self._host,
            "status": str(status),
        }
        return [(name, value) for name, value in tags.items() if value]

    def _memory(self, metric: Metric) -> Iterator[bytes]:
        """Once a minute by one worker: its memory in the place of nginx's shared dictionaries. The capacity
        is the most that it ever used."""
        now = self.services.clock()
        if self.services.node.worker != 0 or now - self._memory_told < _MEMORY_SECONDS:
            return
        self._memory_told = now
        capacity = max(peak_bytes(), used := resident_bytes())
        for name, value in (("free_space", capacity - used), ("capacity", capacity)):
            if self.conf.tag_style is not None:
                tags = [("node", self._host), ("shdict", "kong")]
                stat = f"{self.conf.prefix}.shdict.{name}"
                yield line(stat, value, "g", metric.sample_rate, tags, self.conf.tag_style)
            elif self.conf.hostname_in_prefix:
                yield line(f"{self._prefix}.shdict.kong.{name}", value, "g", metric.sample_rate)
            else:
                stat = f"{self._prefix}.node.{self._host}.shdict.kong.{name}"
                yield line(stat, value, "g", metric.sample_rate)
