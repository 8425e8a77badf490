"""The node's metrics as Prometheus text: what workers counted, and how the node itself is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


def render(gathered: Gathered, state: NodeState) -> str:
    """The whole page. As in Kong, what plugins count is shown only if a prometheus plugin exists."""
    lines = _node_lines(state)
    instances = [
        plugin for plugin in state.snapshot.plugins if plugin.name == "prometheus" and plugin.enabled
    ]
    if instances:
        lines += gathered.render()
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
        *_memory_lines(state),
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


def _memory_lines(state: NodeState) -> list[str]:
    node = {"node_id": state.node_id}
    shared = {**node, "shared_dict": "kong", "kong_subsystem": "http"}
    each = [
        ({**node, "pid": worker.pid, "kong_subsystem": "http"}, worker.resident_bytes)
        for worker in state.workers
    ]
    whole = [(shared, sum(worker.resident_bytes for worker in state.workers))]
    return [
        *gauge_lines("kong_memory_workers_lua_vms_bytes", "Memory in use by each worker", each),
        *gauge_lines("kong_memory_lua_shared_dict_bytes", "Memory in use by all workers", whole),
        *gauge_lines("kong_memory_lua_shared_dict_total_bytes", "Memory in use by all workers", whole),
    ]


def _health_lines(state: NodeState) -> list[str]:
    """Health of targets, an address and a state of it a sample."""
    names = {upstream.id: upstream.name for upstream in state.snapshot.upstreams}
    samples = []
    for target in state.snapshot.targets:
        for address, current in state.health(target.upstream.id, target.target):
            for health in _HEALTH_STATES:
                labels = {
                    "upstream": names[target.upstream.id],
                    "target": target.target,
                    "address": address,
                    "state": health,
                    "subsystem": "http",
                }
                samples.append((labels, float(health == current)))
    text = "Health status of targets of upstream. States = healthchecks_off|healthy|unhealthy|dns_error"
    return gauge_lines("kong_upstream_target_health", text, samples)
