"""What Lua in a configuration can see of an exchange."""

from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from tollhouse.pdk.exchange import Exchange
from tollhouse.pdk.lua.library import GLOBALS
from tollhouse.pdk.lua.tables import HeaderTable, Shared
from tollhouse.wire.uri import unquote


class ExchangeNames:
    """The global names of an expression. What they stand for is read when it is first asked for."""

    def __init__(self, ex: Exchange, wall_clock: Callable[[], float]) -> None:
        self._ex = ex
        self._wall_clock = wall_clock

    def __call__(self, name: str) -> object:
        read = _READ.get(name)
        return read(self) if read is not None else GLOBALS.get(name)

    @cached_property
    def headers(self) -> HeaderTable:
        return HeaderTable(self._ex.request.headers.grouped())

    @cached_property
    def query_params(self) -> dict[str, Any]:
        return self._ex.upstream_arguments()

    @cached_property
    def uri_captures(self) -> dict[str | int, str | None]:
        matched = self._ex.matched
        if matched is None or matched.captures is None:
            return {}
        named, unnamed = matched.captures
        found: dict[str | int, str | None] = dict(enumerate(unnamed, 1))
        return found | {name: unquote(value) for name, value in named.items()}

    @property
    def msec(self) -> str:
        """Seconds since the epoch with milliseconds behind the point, as nginx writes it."""
        return f"{self._wall_clock():.3f}"

    @property
    def request_id(self) -> str:
        return self._ex.request_id

    @property
    def shared(self) -> Shared:
        return self._ex.slot(Shared)

    @cached_property
    def kong(self) -> dict[str, Any]:
        """The reading part of Kong's PDK."""
        ex, request = self._ex, self._ex.request
        consumer, credential = ex.consumer, ex.credential
        return {
            "request": {
                "get_method": lambda: request.method,
                "get_path": lambda: request.target.path,
                "get_raw_query": lambda: request.target.query or "",
                "get_path_with_query": lambda: request.target.raw,
                "get_query": request.arguments,
                "get_query_arg": lambda name: _first(request.arguments().get(name)),
                "get_header": lambda name: _first(self.headers.get(name)),
                "get_headers": lambda: self.headers,
                "get_host": lambda: request.headers.values.get("host", "").partition(":")[0],
                "get_port": lambda: ex.client.port,
                "get_scheme": lambda: ex.client.scheme,
                "get_raw_body": lambda: (request.content or b"").decode("latin-1"),
            },
            "client": {
                "get_ip": lambda: ex.client.peer_ip,
                "get_forwarded_ip": lambda: ex.client_ip,
                "get_consumer": lambda: (
                    {"id": consumer.id, "username": consumer.username, "custom_id": consumer.custom_id}
                    if consumer is not None
                    else None
                ),
                "get_credential": lambda: {"id": credential.id} if credential is not None else None,
            },
            "response": {
                "get_status": lambda: ex.response.status if ex.response is not None else None,
                "get_header": lambda name: (
                    _first(HeaderTable(ex.response.headers.grouped()).get(name))
                    if ex.response is not None
                    else None
                ),
                "get_headers": lambda: (
                    HeaderTable(ex.response.headers.grouped()) if ex.response is not None else {}
                ),
            },
            "router": {
                "get_route": lambda: named(ex.route),
                "get_service": lambda: named(ex.service),
            },
            "ctx": {"shared": self.shared},
        }

    @cached_property
    def ngx(self) -> dict[str, Any]:
        """What scripts ask nginx for: the time."""
        return {"now": self._wall_clock, "time": lambda: int(self._wall_clock()), "null": None}


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


def named(entity: Any) -> dict[str, Any] | None:
    """A route or service as Lua sees it."""
    return {"id": entity.id, "name": entity.name} if entity is not None else None


_READ: Final[Mapping[str, Callable[[ExchangeNames], object]]] = MappingProxyType(
    {
        "headers": lambda names: names.headers,
        "query_params": lambda names: names.query_params,
        "uri_captures": lambda names: names.uri_captures,
        "msec": lambda names: names.msec,
        "request_id": lambda names: names.request_id,
        "shared": lambda names: names.shared,
        "kong": lambda names: names.kong,
        "ngx": lambda names: names.ngx,
    }
)
