"""Answers that proxy-cache keeps, to be looked at and forgotten."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from tollhouse.admin.failures import page, told
from tollhouse.admin.http import Answer, Call, Endpoints
from tollhouse.pdk.cached import CachedAnswer, decoded
from tollhouse.pdk.redis import RedisError


class Answers(Protocol):
    """Answers wherever they are kept. With a plugin's id, only where that one keeps them."""

    async def find(self, key: str, plugin: str | None = None) -> bytes | None: ...

    async def forget(self, key: str, plugin: str | None = None) -> None: ...

    async def forget_all(self) -> None: ...


class Kept(Protocol):
    """What these endpoints ask of the control process."""

    @property
    def answers(self) -> Answers: ...


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
        return Answer(body=(await self._found(call)).shown(call.parameters["cache_key"]))

    async def forget(self, call: Call) -> Answer:
        await self._found(call)
        with _reached():
            await self._control.answers.forget(call.parameters["cache_key"], call.parameters.get("plugin_id"))
        return Answer(204)

    async def forget_all(self, call: Call) -> Answer:
        with _reached():
            await self._control.answers.forget_all()
        return Answer(204)

    async def _found(self, call: Call) -> CachedAnswer:
        plugin = call.parameters.get("plugin_id")
        with _reached():
            data = await self._control.answers.find(call.parameters["cache_key"], plugin)
        answer = decoded(data) if data is not None else None
        if answer is None:
            raise page(404)
        return answer


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise told(503, f"a Redis server that answers are kept on cannot be asked: {error}") from error
