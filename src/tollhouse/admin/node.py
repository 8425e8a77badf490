"""The node itself: who it is, how it is, what it counts, how much it says."""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tollhouse import __version__
from tollhouse.admin.bodies import given
from tollhouse.admin.control import ControlPlane
from tollhouse.admin.failures import told
from tollhouse.admin.http import Answer, Call, Endpoints
from tollhouse.config.settings import Settings
from tollhouse.model.entities import ENTITIES
from tollhouse.model.snapshot import EMPTY_HASH
from tollhouse.stores.store import Store, Unavailable
from tollhouse.telemetry.exposition import CONTENT_TYPE, NodeState

#: the version of Kong whose Admin API this is: tools look at it to know what they may ask
KONG_VERSION: Final = "3.9.1"
#: units of sizes, by Kong's letters for them
_UNITS: Final = {"k": (1024, " KiB"), "m": (1024**2, " MiB"), "g": (1024**3, " GiB")}
_SECRET: Final = ("password", "token", "secret", "admin_key")
_LEVELS: Final = ("debug", "info", "notice", "warn", "error", "crit", "alert", "emerg")
_NO_CLUSTER: Final = (
    "this endpoint is only available when Kong is configured to run as Control Plane for the cluster"
)


def status_endpoints(control: ControlPlane, *, drains: bool = False) -> Endpoints:
    """The status API: for probes and scrapes only, and to have balancers leave the node if it `drains`."""
    node = _Node(control)
    drain = {"POST": node.drain} if drains else {}
    return {
        "/status": {"GET": node.status, **drain},
        "/status/ready": {"GET": node.ready, **drain},
        "/status/dns": {"GET": node.dns},
        "/metrics": {"GET": node.metrics},
    }


def node_endpoints(control: ControlPlane) -> Endpoints:
    """What the Admin API tells of a node beside its status."""
    node = _Node(control)
    return {
        "/": {"GET": node.root},
        "/plugins/enabled": {"GET": node.enabled_plugins},
        "/timers": {"GET": node.timers},
        "/cache": {"DELETE": node.forget},
        "/cache/{key}": {"GET": node.cached, "DELETE": node.forget},
        "/debug/node/log-level": {"GET": node.log_level},
        "/debug/node/log-level/{log_level}": {"PUT": node.set_log_level},
        "/debug/cluster/log-level/{log_level}": {"PUT": node.set_log_level},
        "/clustering/data-planes": {"GET": node.no_cluster},
        "/clustering/status": {"GET": node.no_cluster},
    }


class _Node:
    def __init__(self, control: ControlPlane) -> None:
        self._control = control

    async def root(self, call: Call) -> Answer:
        control = self._control
        running = sum(not task.done() for task in asyncio.all_tasks())
        about = {
            "tagline": "Welcome to kong",
            "version": KONG_VERSION,
            "edition": "community",
            "tollhouse": {"version": __version__, "owner": owner(control.store), "source": control.owner},
            "lua_version": "none",
            "timers": {"running": running, "pending": 0},
            **control.about(),
            "plugins": self._plugins(),
            "configuration": configuration(control.settings, control.store),
        }
        return Answer(body=about)

    def _plugins(self) -> dict[str, Any]:
        available = {}
        for name in self._control.registry.names:
            cls = self._control.registry.plugin_class(name)
            if cls is not None:
                available[name] = {"version": KONG_VERSION, "priority": cls.priority}
        in_use = sorted(self._control.snapshot.plugins, key=lambda plugin: plugin.id)
        names = list(dict.fromkeys(plugin.name for plugin in in_use))
        return {"available_on_server": available, "enabled_in_cluster": names}

    async def enabled_plugins(self, call: Call) -> Answer:
        return Answer(body={"enabled_plugins": list(self._control.registry.names)})

    async def status(self, call: Call) -> Answer:
        unit, scale = call.argument("unit"), call.argument("scale")
        unit, scale = "m" if unit is None else unit, "2" if scale is None else scale
        if unit.lower() not in ("b", *_UNITS):
            raise told(400, f"invalid unit '{unit}' (expected 'k/K', 'm/M', or 'g/G')")
        if scale not in ("0", "1", "2", "3"):
            raise told(400, f"invalid scale '{scale}' (expected an integer from 0 to 3)")
        state = await self._control.asked()
        body: dict[str, Any] = {
            "memory": self._memory(state, unit.lower(), scale),
            "server": _server(state),
        }
        if self._control.store.read_only:
            body["configuration_hash"] = self._control.snapshot.hash
        else:
            body["database"] = {"reachable": await _is_reachable(self._control.store)}
        return Answer(body=body)

    def _memory(self, state: NodeState, unit: str, scale: str) -> dict[str, Any]:
        workers = [
            {"pid": worker.pid, "http_allocated_gc": _size(worker.resident_bytes, unit, scale)}
            for worker in sorted(state.workers, key=lambda worker: worker.pid)
        ]
        shared = {
            name: {"allocated_slabs": _size(used, unit, scale), "capacity": _size(there, unit, scale)}
            for name, (used, there) in self._control.shared_memory().items()
        }
        return {"workers_lua_vms": workers, "lua_shared_dicts": shared}

    async def ready(self, call: Call) -> Answer:
        if self._control.is_draining:
            return Answer(503, {"message": "draining"})
        if self._control.store.read_only and self._control.snapshot.hash == EMPTY_HASH:
            reason = "no configuration available (empty configuration present)"
            return Answer(503, {"message": reason})
        if self._control.is_ready:
            return Answer(body={"message": "ready"})
        return Answer(503, {"message": "not every worker serves the current configuration"})

    async def drain(self, call: Call) -> Answer:
        if given(call).values.get("status") != "draining":
            raise told(400, "status: expected one of: draining")
        self._control.is_draining = True
        return Answer(204)

    async def dns(self, call: Call) -> Answer:
        raise told(501, "not implemented with the legacy DNS client")

    async def metrics(self, call: Call) -> Answer:
        return Answer(body=await self._control.metrics(), content_type=CONTENT_TYPE)

    async def timers(self, call: Call) -> Answer:
        names = Counter(task.get_name().partition(" ")[0] for task in asyncio.all_tasks())
        count = self._control.settings.worker_processes
        total = sum(names.values())
        stats = {
            "sys": {"running": total, "pending": 0, "waiting": 0, "total": total, "runs": total},
            "timers": {name: {"running": number} for name, number in sorted(names.items())},
            # Lines of stacks with how often each was seen, as flame graphs are drawn from.
            "flamegraph": {
                "running": "".join(f"@{name} {number}\n" for name, number in sorted(names.items())),
                "pending": "",
                "elapsed_time": "",
            },
        }
        return Answer(body={"worker": {"id": 0, "count": count}, "stats": stats})

    async def cached(self, call: Call) -> Answer:
        # Entities are never cached apart from the configuration that is being served.
        raise told(404, "Not found")

    async def forget(self, call: Call) -> Answer:
        return Answer(204)

    async def log_level(self, call: Call) -> Answer:
        return Answer(body={"message": f"log level: {self._control.log_level()}"})

    async def set_log_level(self, call: Call) -> Answer:
        if self._control.store.read_only:
            raise told(405, "cannot change log level when not using a database")
        if call.actor.role != "admin":
            raise told(403, f"'{call.actor.name}' may not change the log level")
        level, timeout = call.parameters["log_level"], call.argument("timeout") or "60"
        if level not in _LEVELS:
            raise told(400, f"unknown log level: {level}")
        if not timeout.isdecimal():
            raise told(400, "timeout must be greater than or equal to 0")
        if level == self._control.log_level():
            return Answer(body={"message": f"log level is already {level}"})
        self._control.set_log_level(level, float(timeout))
        return Answer(body={"message": "log level changed"})

    async def no_cluster(self, call: Call) -> Answer:
        raise told(400, _NO_CLUSTER)


def _server(state: NodeState) -> dict[str, Any]:
    active = sum(worker.active for worker in state.workers)
    writing = sum(worker.writing for worker in state.workers)
    return {
        "connections_accepted": state.accepted,
        "connections_handled": state.accepted,
        "connections_active": active,
        "connections_reading": 0,
        "connections_writing": writing,
        "connections_waiting": active - writing,
        "total_requests": state.requests,
    }


async def _is_reachable(store: Store) -> bool:
    try:
        async with store.reading() as reader:
            await reader.page(ENTITIES["services"], size=1)
    except Unavailable:
        return False
    return True


def owner(store: Store) -> str:
    """Who decides what entities there are: a declarative configuration, or this API."""
    return "file" if store.read_only else "api"


def configuration(settings: Settings, store: Store) -> dict[str, Any]:
    """A node's settings by Kong's names; secrets are masked."""
    shown = {
        each.name: _setting(each.name, getattr(settings, each.name)) for each in dataclasses.fields(settings)
    }
    shown["role"] = "traditional"
    shown["nginx_worker_processes"] = str(settings.worker_processes)
    return shown


def _setting(name: str, value: Any) -> Any:
    if value and any(word in name for word in _SECRET):
        return "******"
    if isinstance(value, tuple):
        # An empty Lua table is written as an object.
        return [_lower(name, str(each)) for each in value] or {}
    if isinstance(value, Mapping):
        return {key: str(each) for key, each in value.items()}
    return str(value) if isinstance(value, Path) else value


def _lower(name: str, text: str) -> str:
    return text.lower() if name in ("headers", "headers_upstream") else text


def _size(size: int, unit: str, scale: str) -> str | int:
    """A size as Kong shows it: text with its unit, or a number of bytes."""
    if unit == "b":
        return size
    divisor, name = _UNITS[unit]
    return f"{size / divisor:.{scale}f}{name}"
