"""What Lua in a configuration can see of an exchange."""

import logging
from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from tollhouse.pdk.exchange import Exchange
from tollhouse.pdk.lua.library import GLOBALS
from tollhouse.pdk.lua.tables import HeaderTable, Shared
from tollhouse.pdk.lua.text import to_bytes
from tollhouse.wire.uri import unquote

log = logging.getLogger("tollhouse.lua")

_LEVELS: Final[Mapping[str, int]] = {
    "alert": logging.CRITICAL,
    "crit": logging.CRITICAL,
    "debug": logging.DEBUG,
    "err": logging.ERROR,
    "info": logging.INFO,
    "notice": logging.INFO,
    "warn": logging.WARNING,
}


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
        found: dict[str | int, str | None] = {0: matched.prefix, **dict(enumerate(unnamed, 1))}
        return found | {name: unquote(value) for name, value in named.items()}

    @property
    def msec(self) -> str:
        """Seconds since the epoch with milliseconds behind the point, as nginx writes it."""
        return f"{self._wall_clock():.3f}"

    @property
    def request_id(self) -> str:
        return self._ex.request_id

    @property
    def shared(self) -> Any:
        return to_bytes({**self._ex.slot(Shared)})

    @cached_property
    def kong(self) -> dict[str, Any]:
        """The reading part of Kong's PDK."""
        ex = self._ex
        consumer, credential = ex.consumer, ex.credential
        answer = {
            "get_status": lambda: ex.response.status if ex.response is not None else None,
            "get_header": lambda name: _first(self._answered().get(name)),
            "get_headers": self._answered,
        }
        return {
            "request": self._request(),
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
            "response": {**answer, "get_source": self._source},
            "service": {"response": {**answer, "get_status": lambda: ex.upstream_status or None}},
            "log": {name: _logs(name) for name in _LEVELS},
            "router": {
                "get_route": lambda: named(ex.route),
                "get_service": lambda: named(ex.service),
            },
            "ctx": {"shared": self.shared},
        }

    def _request(self) -> dict[str, Any]:
        ex, request = self._ex, self._ex.request
        return {
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
            "get_raw_path": lambda: request.target.path,
            "get_http_version": lambda: float(request.versions[request.minor]),
            "get_uri_captures": self._captured,
        }

    def _answered(self) -> HeaderTable:
        response = self._ex.response
        return HeaderTable(response.headers.grouped() if response is not None else {})

    def _source(self) -> str:
        """Who the answer is from: `service`, or the gateway by a decision (`exit`) or for a failure."""
        response = self._ex.response
        if response is not None and response.from_upstream:
            return "service"
        return "error" if self._ex.unexpected else "exit"

    def _captured(self) -> dict[str, Any]:
        found = self.uri_captures
        named = {name: value for name, value in found.items() if isinstance(name, str)}
        return {
            "named": named,
            "unnamed": [value for name, value in found.items() if isinstance(name, int) and name],
        }

    @cached_property
    def ngx(self) -> dict[str, Any]:
        """What scripts ask nginx for: the time, the request, and variables with a counterpart here."""
        request = self._ex.request
        return {
            "now": self._wall_clock,
            "time": lambda: int(self._wall_clock()),
            "null": None,
            "var": self._variables(),
            "req": {
                "get_method": lambda: request.method,
                "get_headers": lambda: self.headers,
                "get_uri_args": request.arguments,
            },
        }

    def _variables(self) -> dict[str, Any]:
        ex, request = self._ex, self._ex.request
        found = {f"http_{name.replace('-', '_')}": _first(value) for name, value in self.headers.items()}
        found |= {f"arg_{name}": _first(value) for name, value in request.arguments().items()}
        return found | {
            "args": request.target.query,
            "host": request.headers.values.get("host", "").partition(":")[0].lower(),
            "query_string": request.target.query,
            "remote_addr": ex.client_ip,
            "request_id": ex.request_id,
            "request_method": request.method,
            "request_uri": request.target.raw,
            "scheme": ex.client.scheme,
            "server_port": ex.client.port,
            "status": ex.response.status if ex.response is not None else None,
            "upstream_status": ex.upstream_status or None,
            "uri": request.target.path,
        }


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


def named(entity: Any) -> dict[str, Any] | None:
    """A route or service as Lua sees it."""
    return {"id": entity.id, "name": entity.name} if entity is not None else None


def _logs(name: str) -> Callable[..., None]:
    return lambda *words: log.log(_LEVELS[name], "%s", "".join(map(str, words)))


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
