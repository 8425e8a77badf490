"""What pre-function and post-function share: Lua in the configuration, run in phases of an exchange.

Lua runs in the sandbox: no `require`, no files, of `ngx` what needs no nginx. Of
`kong` there is what files for Kong's Python PDK have; a name that is missing is named by Lua's own error.
Code that returns a function is run once, and keeps its variables for the function. One that fails ends the
request with 500, as in Kong.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, cast

from tollhouse.custom.kong.call import Call, CallError, Ended, Function
from tollhouse.custom.kong.plugin import BODY_LIMIT, FUNCTIONS
from tollhouse.custom.nginx import DRESS, Output, ngx_table
from tollhouse.model.checks import AtLeastOneOf
from tollhouse.model.schema import Record, item, setting
from tollhouse.pdk.exchange import Exchange
from tollhouse.pdk.lua import LuaRefused
from tollhouse.pdk.lua.sandbox import Sandbox
from tollhouse.pdk.plugin import Plugin
from tollhouse.pdk.services import Services

log = logging.getLogger("tollhouse.plugins")

#: phases in which code may answer the client
_ANSWERING: Final = ("rewrite", "access")
PHASES: Final = ("rewrite", "access", "header_filter", "body_filter", "log")
#: makes the tables what they are in Kong: `kong.log` can be called, and `kong.ctx.shared` holds values
_DRESS: Final = """
local log, shared = kong.log.notice, kong.ctx.shared
setmetatable(kong.log, {__call = function(_, ...) return log(...) end})
kong.ctx.shared = setmetatable({}, {
  __index = function(_, key) return (shared.get(key)) end,
  __newindex = function(_, key, value) shared.set(key, value) end,
})
"""


def _problem(plugin: str, code: str) -> str | None:
    try:
        Sandbox().function(code)
    except LuaRefused as refused:
        return f"error parsing {plugin}: {refused}"
    return None


def _functions(phase: str) -> Any:
    return setting((), required=True, doc=f"Lua that runs in the {phase} phase.")


def _nowhere(phase: str) -> Any:
    text = f"phase {phase} does not run in Tollhouse"
    return setting((), required=True, items=item(validator=lambda _: text), doc=f"Must be empty: {text}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    certificate: tuple[str, ...] = _nowhere("certificate")
    rewrite: tuple[str, ...] = _functions("rewrite")
    access: tuple[str, ...] = _functions("access")
    header_filter: tuple[str, ...] = _functions("header_filter")
    body_filter: tuple[str, ...] = _functions("body_filter")
    log: tuple[str, ...] = _functions("log")

    CHECKS: ClassVar = (AtLeastOneOf(*(f"config.{phase}" for phase in PHASES)),)


class Serverless(Plugin[Config]):
    """Base of both plugins."""

    Config = Config
    request_body_limit = BODY_LIMIT

    @classmethod
    def schema(cls) -> Record:
        code = {"items": item(validator=partial(_problem, cls.name))}
        return super().schema().varied(dict.fromkeys(PHASES, code))

    def prepare(self) -> None:
        sandbox = Sandbox(self.services.node.runs_lua)
        self._functions = {
            phase: [sandbox.resident(code, _DRESS + DRESS) for code in getattr(self.conf, phase)]
            for phase in PHASES
        }
        self.idle = frozenset(phase for phase in PHASES if not self._functions[phase])
        self._reads_body = any("body" in code for code in self.conf.access)

    def needs_body(self, ex: Exchange) -> bool:
        return self._reads_body

    def rewrite(self, ex: Exchange) -> None:
        self._run("rewrite", ex)

    def access(self, ex: Exchange) -> None:
        self._run("access", ex)

    def header_filter(self, ex: Exchange) -> None:
        self._run("header_filter", ex)

    def body_filter(self, ex: Exchange, chunk: bytes, last: bool) -> bytes:
        return self._run("body_filter", ex, chunk).chunk

    def log(self, ex: Exchange) -> None:
        self._run("log", ex)

    def _run(self, phase: str, ex: Exchange, chunk: bytes = b"") -> "_LuaCall":
        call = _LuaCall(ex, phase, self.id, self.name, self.services)
        call.chunk = chunk
        functions = self._functions[phase]
        if not functions:
            return call
        tables = {"kong": _tables(call), "ngx": ngx_table(call, call.output)}
        try:
            for function in functions:
                function(tables.get)
        except Ended:
            log.debug("%s has ended its %s phase", self.name, phase)
        if call.output.said and call.exit is None and phase in _ANSWERING:
            call.exit = call.output.answer(200)
        call.finish()
        return call


class _LuaCall(Call):
    def __init__(self, ex: Exchange, phase: str, plugin_id: str, name: str, services: Services) -> None:
        super().__init__(ex, phase, plugin_id, name, services)
        #: the piece of the body that is passing
        self.chunk = b""
        self.output = Output()


def _tables(call: _LuaCall) -> dict[str, Any]:
    """`kong` as nested tables of functions."""
    root: dict[str, Any] = {}
    for path, function in {**FUNCTIONS, **_BODY}.items():
        *parents, last = path.split(".")[1:]
        place = root
        for name in parents:
            place = place.setdefault(name, {})
        if last and path != "kong.log":
            place[last] = partial(_called, call, function)
    return root


def _called(call: Call, function: Function, *arguments: Any) -> Any:
    if call.is_answered():
        raise Ended
    try:
        found = _as_lua(function(call, *map(_as_text, arguments)))
    except CallError as error:
        return None, str(error)
    if call.is_answered() and call.phase in _ANSWERING:
        raise Ended  # as in Kong, where nothing behind it runs
    return found


def _as_text(value: Any) -> Any:
    """Lua's strings are bytes, here one character for each."""
    if isinstance(value, str):
        return value.encode("latin-1").decode("utf-8", "surrogateescape")
    if isinstance(value, Mapping):
        return {name: _as_text(one) for name, one in value.items()}
    return [_as_text(one) for one in value] if isinstance(value, list) else value


def _as_lua(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    if isinstance(value, Mapping):
        return {name: _as_lua(one) for name, one in value.items()}
    return [_as_lua(one) for one in value] if isinstance(value, list | tuple) else value


def _chunk(call: Call) -> bytes:
    call.only_in("body_filter")
    return cast(_LuaCall, call).chunk


def _set_chunk(call: Call, body: str) -> None:
    call.only_in("body_filter")
    cast(_LuaCall, call).chunk = body.encode("utf-8", "surrogateescape")


_BODY: Final[dict[str, Callable[..., Any]]] = {
    "kong.response.get_raw_body": _chunk,
    "kong.response.set_raw_body": _set_chunk,
}
