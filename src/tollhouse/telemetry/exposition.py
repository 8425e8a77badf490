"""The node's metrics as Prometheus text: what workers counted, and how the node itself is."""

from collections.abc import Sequence
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


def render(gathered: Gathered, state: NodeState) -> str:
    """The whole page. As in Kong, what plugins count is shown only if a prometheus plugin exists."""
    lines = _node_lines(state)
    instances = [
        plugin for plugin in state.snapshot.plugins if plugin.name == "prometheus" and plugin.enabled
    ]
    if instances:
        lines += gathered.render()
    if any(instance.config.get("upstream_health_metrics") for instance in instances):
        lines += _health_lines(state.snapshot)
    return "\n".join((*lines, ""))


def _node_lines(state: NodeState) -> list[str]:
    node = {"node_id": state.node_id}
    http = {**node, "subsystem": "http"}
    workers = state.workers
    active = sum(worker.active for worker in workers)
    writing = sum(worker.writing for worker in workers)
    counts = {
        "accepted": state.accepted,
        "handled": state.accepted,
        "total": state.requests,
        "active": active,
        "reading": 0,
        "writing": writing,
        "waiting": active - writing,
    }
    memory = sum(worker.resident_bytes for worker in workers)
    shared = {**node, "shared_dict": "kong", "kong_subsystem": "http"}
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
            [({**http, "state": name}, value) for name, value in counts.items()],
        ),
        *gauge_lines("kong_nginx_requests_total", "Total number of requests", [(http, state.requests)]),
        *gauge_lines(
            "kong_nginx_timers",
            "Number of timers",
            [({"state": "running"}, 0), ({"state": "pending"}, 0)],
        ),
        "# HELP kong_nginx_metric_errors_total Number of errors while serving metrics",
        "# TYPE kong_nginx_metric_errors_total counter",
        "kong_nginx_metric_errors_total 0",
        *gauge_lines(
            "kong_memory_workers_lua_vms_bytes",
            "Memory in use by each worker",
            [
                ({**node, "pid": worker.pid, "kong_subsystem": "http"}, worker.resident_bytes)
                for worker in workers
            ],
        ),
        *gauge_lines("kong_memory_lua_shared_dict_bytes", "Memory in use by all workers", [(shared, memory)]),
        *gauge_lines(
            "kong_memory_lua_shared_dict_total_bytes", "Memory in use by all workers", [(shared, memory)]
        ),
    ]


def _health_lines(snapshot: Snapshot) -> list[str]:
    """Health of targets. Without health checks every target counts as `healthchecks_off`."""
    names = {upstream.id: upstream.name for upstream in snapshot.upstreams}
    samples = []
    for target in snapshot.targets:
        for health in _HEALTH_STATES:
            labels = {
                "upstream": names[target.upstream.id],
                "target": target.target,
                "address": target.target,
                "state": health,
                "subsystem": "http",
            }
            samples.append((labels, 1 if health == "healthchecks_off" else 0))
    text = "Health status of targets of upstream. States = healthchecks_off|healthy|unhealthy|dns_error"
    return gauge_lines("kong_upstream_target_health", text, samples)
