"""The page that Prometheus scrapes, as a whole."""

from typing import Any

from tests.support.prometheus import Scrape

from tollhouse.config.declarative import load
from tollhouse.plugins import Registry
from tollhouse.telemetry.exposition import NodeState, WorkerState, render
from tollhouse.telemetry.metrics import Gathered, Metrics

UPSTREAMS = 'upstreams: [{name: u.test, targets: [{target: "10.0.0.1:80"}, {target: "b.test:81"}]}]\n'


def page(config: str, *workers: WorkerState, accepted: int = 0, requests: int = 0) -> Scrape:
    text = f'_format_version: "3.0"\n{config}'
    snapshot = load(text, file=None, plugins=Registry(), flavor="traditional_compatible", now=1)
    metrics, gathered = Metrics(), Gathered()
    metrics.counter("kong_http_requests_total", "Requests", ("route",)).series(("r",)).value += 3
    gathered.add(metrics.hand_over())
    state = NodeState("n1", workers, snapshot, accepted, requests, health, {"kong": (7, 9)}, True)
    return Scrape.of(render(gathered, state))


def health(upstream: str, target: str) -> list[tuple[str, str]]:
    return [("", "dns_error")] if target == "b.test:81" else [(target, "unhealthy")]


def worker(**numbers: int) -> WorkerState:
    fields: dict[str, Any] = {
        "pid": 1, "accepted": 0, "active": 0, "writing": 0, "requests": 0, "resident_bytes": 0, **numbers,
    }  # fmt: skip
    return WorkerState(**fields)


def test_connections_are_those_of_all_workers() -> None:
    shown = page(
        "", worker(pid=1, active=5, writing=2), worker(pid=2, active=3, writing=1), accepted=9, requests=70
    )

    states = {
        state: shown.value("kong_nginx_connections_total", state=state, node_id="n1")
        for state in ("accepted", "handled", "total", "active", "reading", "writing", "waiting")
    }
    assert states == {
        "accepted": 9, "handled": 9, "total": 70, "active": 8, "reading": 0, "writing": 3, "waiting": 5,
    }  # fmt: skip
    assert shown.value("kong_nginx_requests_total") == 70


def test_memory_is_told_by_worker() -> None:
    shown = page("", worker(pid=11, resident_bytes=100), worker(pid=12, resident_bytes=50))

    for pid, subsystem, told in (("11", "http", 100), ("12", "http", 50), ("12", "stream", 0)):
        labels = {"pid": pid, "kong_subsystem": subsystem}
        assert shown.value("kong_memory_workers_lua_vms_bytes", **labels) == told


def test_memory_that_processes_share_is_told_by_what_is_in_it() -> None:
    shown = page("plugins: [{name: prometheus}]\n")

    assert shown.value("kong_memory_lua_shared_dict_bytes", shared_dict="kong") == 7
    assert shown.value("kong_memory_lua_shared_dict_total_bytes", shared_dict="kong") == 9
    assert shown.value("kong_memory_lua_shared_dict_total_bytes", shared_dict="prometheus_metrics") > 0


def test_what_plugins_count_is_shown_only_where_there_is_a_prometheus_plugin() -> None:
    assert page("plugins: [{name: prometheus}]\n").value("kong_http_requests_total", route="r") == 3
    for without in ("", "plugins: [{name: prometheus, enabled: false}]\n", "plugins: [{name: cors}]\n"):
        assert page(without).value("kong_http_requests_total") == 0


def test_health_of_targets_is_shown_if_asked_for() -> None:
    asked = "plugins: [{name: prometheus, config: {upstream_health_metrics: true}}]\n"

    shown = page(UPSTREAMS + asked)

    health = shown.labels("kong_upstream_target_health")
    assert {labels["target"] for labels in health} == {"10.0.0.1:80", "b.test:81"}
    assert {labels["state"] for labels in health} == {
        "healthchecks_off", "healthy", "unhealthy", "dns_error",
    }  # fmt: skip
    name = "kong_upstream_target_health"
    for subsystem in ("http", "stream"):
        of = {"target": "10.0.0.1:80", "subsystem": subsystem}
        assert shown.value(name, **of, address="10.0.0.1:80", state="unhealthy") == 1
        assert shown.value(name, **of, state="healthy") == 0
        assert shown.value(name, **(of | {"target": "b.test:81"}), address="", state="dns_error") == 1
    assert page(UPSTREAMS + "plugins: [{name: prometheus}]\n").labels("kong_upstream_target_health") == []
