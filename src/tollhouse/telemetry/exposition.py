"""The node's metrics as Prometheus text: what workers counted, and how the node itself is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from tollhouse import __version__
from tollhouse.model.snapshot import Snapshot
from tollhouse.telemetry.metrics import Gathered, gauge_lines

CONTENT_TYPE = "text/plain; charset=UTF-8"
_HEALTH_STATES = ("healthchecks_off", "healthy", "unhealthy", "dns_error")


@dataclass(frozen=True, slots=True)
class WorkerState:
    """How one worker is: connections, requests, bytes of memory."""

    pid: int
    accepted: int
    active: int
    writing: int
    requests: int
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class NodeState:
    """How the node is. Connections and requests are counted over all workers that ever ran."""

    node_id: str
    workers: Sequence[WorkerState]
    snapshot: Snapshot
    accepted: int
    requests: int
    #: the addresses of a target (`host:port`) of an upstream, called by its id, and how each is doing
    health: Callable[[str, str], Sequence[tuple[str, str]]]
    #: bytes in use and bytes there are, by name of what processes share
    shared_memory: Mapping[str, tuple[int, int]]
    has_streams: bool

    @property
    def subsystems(self) -> tuple[str, ...]:
        """What the node relays."""
        return ("http", "stream") if self.has_streams else ("http",)


def render(gathered: Gathered, state: NodeState) -> str:
    """The whole page. As in Kong, what plugins count is shown only if a prometheus plugin exists."""
    instances = [
        plugin for plugin in state.snapshot.plugins if plugin.name == "prometheus" and plugin.enabled
    ]
    counted = gathered.render() if instances else []
    lines = [*_node_lines(state), *_memory_lines(state, sum(map(len, counted))), *counted]
    if any(instance.config.get("upstream_health_metrics") for instance in instances):
        lines += _health_lines(state)
    return "\n".join((*lines, ""))


def _node_lines(state: NodeState) -> list[str]:
    node = {"node_id": state.node_id}
    http = {**node, "subsystem": "http"}
    timers = [({"state": name}, 0.0) for name in ("running", "pending")]
    return [
        *gauge_lines(
            "kong_datastore_reachable", "Datastore reachable from Kong, 0 is unreachable", [({}, 1)]
        ),
        *gauge_lines(
            "kong_node_info", "Kong Node metadata information", [({**node, "version": __version__}, 1)]
        ),
        *gauge_lines(
            "kong_nginx_connections_total",
            "Number of connections by subsystem",
            [({**http, "state": name}, value) for name, value in _connections(state).items()],
        ),
        *gauge_lines("kong_nginx_requests_total", "Total number of requests", [(http, state.requests)]),
        *gauge_lines("kong_nginx_timers", "Number of timers", timers),
        "# HELP kong_nginx_metric_errors_total Number of errors while serving metrics",
        "# TYPE kong_nginx_metric_errors_total counter",
        "kong_nginx_metric_errors_total 0",
    ]


def _connections(state: NodeState) -> dict[str, int]:
    active = sum(worker.active for worker in state.workers)
    writing = sum(worker.writing for worker in state.workers)
    return {
        "accepted": state.accepted,
        "handled": state.accepted,
        "total": state.requests,
        "active": active,
        "reading": 0,
        "writing": writing,
        "waiting": active - writing,
    }


def _memory_lines(state: NodeState, metrics_bytes: int) -> list[str]:
    node = {"node_id": state.node_id}
    # One process serves both subsystems, so that its memory is told once.
    each = [
        (
            {**node, "pid": worker.pid, "kong_subsystem": subsystem},
            worker.resident_bytes if subsystem == "http" else 0,
        )
        for worker, subsystem in product(state.workers, state.subsystems)
    ]
    sizes = {**state.shared_memory, "prometheus_metrics": (metrics_bytes, metrics_bytes)}
    used, there = (
        [
            ({**node, "shared_dict": name, "kong_subsystem": "http"}, both[place])
            for name, both in sorted(sizes.items())
        ]
        for place in (0, 1)
    )
    of = "memory that processes share, by what is in it"
    return [
        *gauge_lines("kong_memory_workers_lua_vms_bytes", "Memory in use by each worker", each),
        *gauge_lines("kong_memory_lua_shared_dict_bytes", f"Bytes in use of {of}", used),
        *gauge_lines("kong_memory_lua_shared_dict_total_bytes", f"Bytes of {of}", there),
    ]


def _health_lines(state: NodeState) -> list[str]:
    """Health of targets, an address and a state of it a sample."""
    names = {upstream.id: upstream.name for upstream in state.snapshot.upstreams}
    samples = []
    for target in state.snapshot.targets:
        for address, current in state.health(target.upstream.id, target.target):
            for health, subsystem in product(_HEALTH_STATES, state.subsystems):
                labels = {
                    "upstream": names[target.upstream.id],
                    "target": target.target,
                    "address": address,
                    "state": health,
                    "subsystem": subsystem,
                }
                samples.append((labels, float(health == current)))
    text = "Health status of targets of upstream. States = healthchecks_off|healthy|unhealthy|dns_error"
    return gauge_lines("kong_upstream_target_health", text, samples)
