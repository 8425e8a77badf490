"""datadog: counts and times of exchanges for a Datadog agent, tagged by service, status and consumer."""

from dataclasses import dataclass
from typing import Final, Literal

from tollhouse.model.checks import Conditional
from tollhouse.model.common import PROTOCOLS
from tollhouse.model.validators import host
from tollhouse.pdk import Plugin, item, setting
from tollhouse.pdk.delivery import QueueSettings, with_older_names
from tollhouse.pdk.records import Logged, status_of
from tollhouse.pdk.session import StreamSession
from tollhouse.pdk.statsd import KINDS, STATS, Server, is_sampled, line, size_of, values_of

#: how Kong tells of the latency of an upstream where none was asked
_NO_UPSTREAM: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    name: str = setting(required=True, one_of=tuple(STATS), doc="What is measured.")
    stat_type: str = setting(required=True, one_of=tuple(KINDS), doc="How the agent takes it.")
    tags: tuple[str, ...] | None = setting(None, items=item(match="^.*[^:]$"), doc="More tags, `name:value`.")
    sample_rate: float | None = setting(None, between=(0, 1), doc="Share of exchanges that are told of.")
    consumer_identifier: Literal["consumer_id", "custom_id", "username"] | None = setting(
        None, doc="What of the consumer is its tag's value."
    )

    CHECKS = (Conditional("stat_type", {"one_of": ("counter", "gauge")}, "sample_rate", {"required": True}),)


def _metric(name: str, stat_type: str, sample_rate: float | None = None) -> Metric:
    return Metric(
        name=name,
        stat_type=stat_type,
        sample_rate=sample_rate,
        tags=("app:kong",),
        consumer_identifier="custom_id",
    )


_METRICS: Final = (
    _metric("request_count", "counter", 1),
    *(
        _metric(name, "timer")
        for name in ("latency", "request_size", "response_size", "upstream_latency", "kong_latency")
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    host: str | None = setting(
        "localhost",
        referenceable=True,
        validator=host,
        doc="The agent's host; null: what the environment variable `KONG_DATADOG_AGENT_HOST` says.",
    )
    port: int | None = setting(
        8125, between=(0, 65535), doc="Its port; null: what `KONG_DATADOG_AGENT_PORT` says."
    )
    prefix: str = setting("kong", doc="What names of metrics begin with.")
    service_name_tag: str = setting("name", doc="Tag for the service.")
    status_tag: str = setting("status", doc="Tag for the status of the answer.")
    consumer_tag: str = setting("consumer", doc="Tag for the consumer.")
    retry_count: int | None = setting(
        None, doc="Most retries of a batch, beside `queue.max_retry_time`. Kong's older field."
    )
    queue_size: int | None = setting(None, doc="Older name of `queue.max_batch_size`.")
    flush_timeout: float | None = setting(
        None, unit="s", doc="Older name of `queue.max_coalescing_delay`, in seconds."
    )
    queue: QueueSettings = setting(QueueSettings, required=True, doc="How metrics wait for being sent.")
    metrics: tuple[Metric, ...] = setting(_METRICS, required=True, doc="What is sent.")


class Datadog(Plugin[Config]):
    name = "datadog"
    priority = 10
    Config = Config
    protocols = PROTOCOLS

    def prepare(self) -> None:
        conf = self.conf
        self._metrics = [
            (
                metric,
                f"{conf.prefix}.{STATS[metric.name]}",
                KINDS[metric.stat_type],
                [_tag(text) for text in metric.tags or ()],
            )
            for metric in conf.metrics
        ]
        host, port = self._agent()
        link = self.services.links.datagrams(host, port, timeout_seconds=1.0)
        queue = with_older_names(conf.queue, queue_size=conf.queue_size, flush_timeout=conf.flush_timeout)
        self._queue = self.services.queues.open(
            f"datadog {host}:{port}",
            queue,
            Server(link).send,
            size_of=size_of,
            most_retries=conf.retry_count,
            ended=link.close,
        )

    def _agent(self) -> tuple[str, int]:
        """Where the agent is. As in Kong the environment says it where the configuration says null."""

        def told(name: str, otherwise: str) -> str:
            try:
                return self.services.secret(f"{{vault://env/kong-datadog-agent-{name}}}")
            except LookupError:
                return otherwise

        host, port = self.conf.host, self.conf.port
        return host or told("host", "localhost"), port if port is not None else int(told("port", "8125"))

    def close(self) -> None:
        self._queue.close()

    def log(self, ex: Logged) -> None:
        service = ex.service
        values = values_of(ex)
        if not isinstance(ex, StreamSession):
            values.setdefault("upstream_latency", _NO_UPSTREAM)
        # Kong's values: dots become underscores, what no service took has an empty name.
        name = (service.name or service.host).replace(".", "_") if service is not None else ""
        common = [
            (self.conf.service_name_tag, name) if name else (f"{self.conf.service_name_tag}:", ""),
            (self.conf.status_tag, str(status_of(ex))),
        ]
        lines = []
        for metric, stat, kind, tags in self._metrics:
            value = values.get(metric.name)
            if value is None or not is_sampled(metric.sample_rate):
                continue
            consumer = _consumer(ex, metric.consumer_identifier)
            who = [(self.conf.consumer_tag, consumer)] if consumer else []
            lines.append(line(stat, value, kind, metric.sample_rate, [*common, *who, *tags], "dogstatsd"))
        if lines:
            self._queue.add(lines)

    log_session = log


def _tag(text: str) -> tuple[str, str]:
    name, _, value = text.partition(":")
    return name, value


def _consumer(ex: Logged, identifier: str | None) -> str | None:
    consumer = ex.consumer
    if consumer is None or identifier is None:
        return None
    if identifier == "consumer_id":
        return consumer.id.replace("-", "_")
    return consumer.custom_id if identifier == "custom_id" else consumer.username
