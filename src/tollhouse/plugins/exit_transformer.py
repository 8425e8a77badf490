"""exit-transformer: changes answers that the gateway gives itself, by functions in Lua.

Each function gets status, body and headers and returns what takes their place. Answers of upstreams, kept
ones among them, are left alone. A function that fails leaves the answer as it is, with a log line.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from tollhouse.pdk import Exchange, Plugin, item, setting
from tollhouse.pdk.lua import ExchangeNames, LuaError, LuaRefused
from tollhouse.pdk.lua.sandbox import Sandbox
from tollhouse.pdk.lua.text import from_bytes, to_bytes
from tollhouse.pdk.messages import JSON_UTF8, Response

log = logging.getLogger("tollhouse.plugins")


def _function(code: str) -> str | None:
    try:
        Sandbox().function(code)
    except LuaRefused as refused:
        return str(refused)
    return None


def _not_before_plugins(wanted: bool) -> str | None:
    if not wanted:
        return None
    return "not supported: malformed requests are answered before any plugin runs; only false is accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    functions: tuple[str, ...] = setting(
        required=True,
        items=item(validator=_function),
        doc="Lua that returns a function of status, body and headers, which returns those to be sent.",
    )
    handle_unknown: bool = setting(
        False, required=True, doc="Also where no route was found; for a global configuration."
    )
    handle_unexpected: bool = setting(
        False,
        required=True,
        validator=_not_before_plugins,
        doc="Only `false`: requests that are malformed are answered before any plugin runs.",
    )


class ExitTransformer(Plugin[Config]):
    name = "exit-transformer"
    priority = 9999
    Config = Config

    def prepare(self) -> None:
        sandbox = Sandbox(self.services.node.runs_lua)
        self._functions = [sandbox.function(code) for code in self.conf.functions]

    def own_answer(self, ex: Exchange) -> None:
        response = ex.response
        if response is None or ex.counts_as_proxied or not self._is_meant(ex, response.status):
            return
        names = ExchangeNames(ex, self.services.wall_clock)
        status: Any = response.status
        body: Any = _body(response)
        headers: Any = {name: value for name, value in response.headers.items() if name != "content-length"}
        try:
            for function in self._functions:
                status, body, headers = (*function(names, status, body, headers), None, None, None)[:3]
        except LuaError as error:
            log.error("exit-transformer: %s", error)
            return
        _put(response, status, body, headers)

    def _is_meant(self, ex: Exchange, status: int) -> bool:
        if ex.matched is None and status == 404:
            return self.conf.handle_unknown
        # A 400 without a route is a malformed request's own.
        return ex.matched is not None or status != 400


def _body(response: Response) -> Any:
    """The body as Lua gets it: JSON as a table, else as text."""
    content = response.content or b""
    if response.headers.values.get("content-type", "").startswith("application/json"):
        try:
            return to_bytes(msgspec.json.decode(content))
        except msgspec.DecodeError:
            return content.decode("latin-1")
    return content.decode("latin-1")


def _put(response: Response, status: Any, body: Any, headers: Any) -> None:
    if isinstance(status, int | float) and 100 <= status <= 599:
        response.status = int(status)
    for name in {name for name, _ in response.headers.items()}:
        response.headers.remove(name)
    for name, value in headers.items() if isinstance(headers, Mapping) else ():
        for one in value if isinstance(value, list) else (value,):
            response.headers.set(str(name), str(one))
    if isinstance(body, dict | list):
        response.content = msgspec.json.encode(from_bytes(body))
        response.headers.set("Content-Type", JSON_UTF8)
    else:
        response.content = str(body).encode("latin-1", "replace") if body is not None else b""
