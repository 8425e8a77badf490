"""Answers that proxy-cache keeps, to be looked at and forgotten."""

from typing import Protocol

from tollhouse.admin.failures import absent
from tollhouse.admin.http import Answer, Call, Endpoints
from tollhouse.model.snapshot import Snapshot
from tollhouse.pdk.cached import CachedAnswer, decoded
from tollhouse.stores.responses import SharedResponses


class Kept(Protocol):
    """What these endpoints ask of the control process."""

    snapshot: Snapshot
    responses: SharedResponses


def proxy_cache_endpoints(control: Kept) -> Endpoints:
    """Keys are those that clients are told in X-Cache-Key."""
    api = _Api(control)
    one = {"GET": api.show, "DELETE": api.forget}
    return {
        "/proxy-cache": {"DELETE": api.forget_all},
        "/proxy-cache/{cache_key}": one,
        "/proxy-cache/{plugin_id}/caches/{cache_key}": one,
    }


class _Api:
    def __init__(self, control: Kept) -> None:
        self._control = control

    async def show(self, call: Call) -> Answer:
        return Answer(body=self._found(call).shown())

    async def forget(self, call: Call) -> Answer:
        self._found(call)
        self._control.responses.delete(call.parameters["cache_key"])
        return Answer(204)

    async def forget_all(self, call: Call) -> Answer:
        self._control.responses.clear()
        return Answer(204)

    def _found(self, call: Call) -> CachedAnswer:
        plugin = call.parameters.get("plugin_id")
        known = {entry.id for entry in self._control.snapshot.plugins if entry.name == "proxy-cache"}
        data = self._control.responses.find(call.parameters["cache_key"])
        answer = decoded(data) if data is not None else None
        if answer is None or (plugin is not None and plugin not in known):
            raise absent()
        return answer
