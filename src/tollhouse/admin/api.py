"""The endpoints that exist so far: node information, status, metrics and the declarative configuration."""

import asyncio
from typing import Any, Final, Protocol

import msgspec

from tollhouse import __version__
from tollhouse.admin.http import Answer, Call, Endpoints
from tollhouse.config import refusal
from tollhouse.config.declarative import hash_of, to_config_answer
from tollhouse.config.export import to_config_text
from tollhouse.config.refusal import Refused
from tollhouse.config.settings import Settings
from tollhouse.errors import ConfigErrors
from tollhouse.model.snapshot import Snapshot
from tollhouse.telemetry.exposition import CONTENT_TYPE, NodeState

#: units of sizes, by Kong's letters for them
_UNITS: Final = {"b": (1, ""), "k": (1024, " KiB"), "m": (1024**2, " MiB"), "g": (1024**3, " GiB")}


class ControlPlane(Protocol):
    """What the endpoints ask of the control process."""

    snapshot: Snapshot
    settings: Settings

    @property
    def is_loading(self) -> bool: ...

    @property
    def is_ready(self) -> bool: ...

    async def replace(self, text: str, file: str | None = None) -> Snapshot: ...

    async def metrics(self) -> str: ...

    def state(self) -> NodeState: ...

    def about(self) -> dict[str, Any]: ...


def status_endpoints(control: ControlPlane) -> Endpoints:
    """The status API: for probes and scrapes only."""
    api = _Api(control)
    return {
        "/status": {"GET": api.status},
        "/status/ready": {"GET": api.ready},
        "/metrics": {"GET": api.metrics},
    }


def admin_endpoints(control: ControlPlane) -> Endpoints:
    """The Admin API."""
    api = _Api(control)
    return {
        **status_endpoints(control),
        "/": {"GET": api.root},
        "/config": {"GET": api.get_config, "POST": api.post_config},
    }


class _Api:
    def __init__(self, control: ControlPlane) -> None:
        self._control = control

    async def root(self, call: Call) -> Answer:
        return Answer(
            body={"tagline": "Welcome to tollhouse", "version": __version__, **self._control.about()}
        )

    async def status(self, call: Call) -> Answer:
        unit, scale = call.arguments.get("unit", "m"), call.arguments.get("scale", "2")
        if not isinstance(unit, str) or unit.lower() not in _UNITS:
            return Answer(400, {"message": f"invalid unit '{unit}' (expected 'k/K', 'm/M', or 'g/G')"})
        if scale not in ("0", "1", "2", "3"):
            return Answer(400, {"message": f"invalid scale '{scale}' (expected an integer from 0 to 3)"})
        state = self._control.state()
        workers = state.workers
        active = sum(worker.active for worker in workers)
        writing = sum(worker.writing for worker in workers)
        memory = [
            {"pid": worker.pid, "http_allocated_gc": _size(worker.resident_bytes, unit.lower(), scale)}
            for worker in workers
        ]
        return Answer(
            body={
                "memory": {"workers_lua_vms": memory, "lua_shared_dicts": {}},
                "server": {
                    "connections_accepted": state.accepted,
                    "connections_handled": state.accepted,
                    "connections_active": active,
                    "connections_reading": 0,
                    "connections_writing": writing,
                    "connections_waiting": active - writing,
                    "total_requests": state.requests,
                },
                "configuration_hash": self._control.snapshot.hash,
            }
        )

    async def ready(self, call: Call) -> Answer:
        if self._control.is_ready:
            return Answer(body={"message": "ready"})
        return Answer(503, {"message": "not every worker serves the current configuration"})

    async def metrics(self, call: Call) -> Answer:
        return Answer(body=await self._control.metrics(), content_type=CONTENT_TYPE)

    async def get_config(self, call: Call) -> Answer:
        flavor = self._control.settings.router_flavor
        text = await asyncio.to_thread(to_config_text, self._control.snapshot, flavor)
        return Answer(body={"config": text})

    async def post_config(self, call: Call) -> Answer:
        if self._control.is_loading:
            message = {"message": "Currently loading previous configuration"}
            return Answer(429, message, headers={"Retry-After": "1"})
        if not call.content:
            return Answer(400, {"message": "expected a declarative configuration"})
        try:
            text, from_config_key = _config_text(call)
        except msgspec.DecodeError:
            return Answer(400, {"message": "Cannot parse JSON body"})
        unchanged = from_config_key and hash_of(text) == self._control.snapshot.hash
        if unchanged and call.arguments.get("check_hash") in ("1", "true", True):
            return Answer(304)
        try:
            snapshot = await self._control.replace(text)
        except Refused as refused:
            flatten = call.arguments.get("flatten_errors") in ("1", "true", True)
            return Answer(400, refusal.answer(refused, flatten=flatten))
        except ConfigErrors as errors:
            return Answer(
                400, {"code": 14, "name": "invalid declarative configuration", "message": str(errors)}
            )
        flavor = self._control.settings.router_flavor
        return Answer(201, await asyncio.to_thread(to_config_answer, snapshot, flavor))


def _size(size: int, unit: str, scale: str) -> str:
    """A size as Kong shows it; bytes are whole."""
    divisor, name = _UNITS[unit]
    return f"{size / divisor:.{scale if divisor > 1 else 0}f}{name}"


def _config_text(call: Call) -> tuple[str, bool]:
    """The declarative text of a request, and whether it came under the key `config`. Raises
    `msgspec.DecodeError` for a body that says it is JSON and is not."""
    media_type = call.request.media_type
    if media_type in ("multipart/form-data", "application/x-www-form-urlencoded"):
        value = call.form().get("config")
        return (
            (value.encode("latin-1").decode("utf-8", "replace"), True)
            if isinstance(value, str)
            else ("", True)
        )
    text = call.content.decode("utf-8", "replace")
    if media_type == "application/json":
        document = msgspec.json.decode(call.content)
        if isinstance(document, dict) and isinstance(document.get("config"), str):
            return document["config"], True
    return text, False
