"""A whole Lua for what the built-in forms do not cover: no files, processes, modules or debugger.

Lua runs through lupa (extra `lua`), started when it is first needed, one for each plugin object. A run
that executes too many instructions or holds too much memory fails with `LuaError`.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

from tollhouse.pdk.lua.errors import EXTRA, LuaError, LuaRefused
from tollhouse.pdk.lua.tables import HeaderTable

INSTRUCTIONS: Final = 1_000_000
MEMORY_BYTES: Final = 64 * 1024 * 1024
_DEPTH: Final = 32
_PRELUDE: Final = """
local allowed = {}
for _, name in ipairs{"assert", "error", "ipairs", "next", "pairs", "pcall", "select", "tonumber",
    "tostring", "type", "unpack", "xpcall", "setmetatable"} do
  allowed[name] = _G[name]
end
string.dump = nil
for _, name in ipairs{"string", "table", "math"} do
  allowed[name] = {}
  for key, value in pairs(_G[name]) do allowed[name][key] = value end
end
local sethook, load, setfenv, setmetatable = debug.sethook, loadstring, setfenv, setmetatable
local error, rawget, type, gsub, lower = error, rawget, type, string.gsub, string.lower
local state = {ended = true}
local function over() -- from here on every instruction fails, so that no pcall can go on
  if state.ended then return end
  sethook(over, "", 1)
  error("too many instructions", 0)
end
local function headers(found)
  return setmetatable(found, {__metatable = false, __index = function(_, key)
    if type(key) ~= "string" then return nil end
    key = lower(key)
    local value = rawget(found, key)
    if value == nil then value = rawget(found, (gsub(key, "_", "-"))) end
    return value
  end})
end
local function run(limit, chunk, get, ...)
  setfenv(chunk, setmetatable({}, {__metatable = false, __index = function(_, key)
    local value = allowed[key]
    if value ~= nil then return value end
    return get(key)
  end}))
  sethook(over, "", limit)
  local found = chunk()
  if select("#", ...) == 0 and type(found) ~= "function" then return found end
  if type(found) ~= "function" then error("the code returns no function", 0) end
  return found(...)
end
return function(source) return load(source, "=config") end, run, headers, sethook, state
"""

#: gives the value of a global name
Names = Callable[[str], object]


class Sandbox:
    """Runs Lua. Making one costs nothing; the interpreter is started when a chunk is compiled."""

    def __init__(self) -> None:
        self._lupa: Any = None

    def chunk(self, source: str) -> Callable[[Names], object]:
        """A piece of Lua as a function that gives its first result.

        Raises `LuaRefused` if it does not compile, or if no Lua is installed.
        """
        loaded = self._loaded(source)

        def run(names: Names) -> object:
            found = self._guarded(loaded, names)
            return found[0] if found else None

        return run

    def function(self, source: str) -> Callable[..., list[object]]:
        """The function that a piece of Lua returns; called with the names it sees and its arguments, it
        gives all results. Raises `LuaRefused`."""
        loaded = self._loaded(source)
        return lambda names, *arguments: self._guarded(loaded, names, *arguments)

    def _loaded(self, source: str) -> Any:
        if self._lupa is None:
            self._start(source)
        found = self._compile(source)
        if isinstance(found, tuple):
            raise LuaRefused(str(found[1]))
        return found

    def _start(self, source: str) -> None:
        try:
            self._lupa = import_module("lupa.lua51")
        except ImportError:
            raise LuaRefused(f"'{source}' is beyond the built-in forms of Lua; {EXTRA}") from None
        self._lua = self._lupa.LuaRuntime(
            encoding="latin-1",
            register_eval=False,
            register_builtins=False,
            attribute_filter=_deny,
            max_memory=MEMORY_BYTES,
        )
        self._compile, self._run, self._headers, self._unhook, self._state = self._lua.execute(_PRELUDE)

    def _guarded(self, loaded: Any, names: Names, *arguments: object) -> list[object]:
        def get(key: object) -> object:
            return self._to_lua(names(key)) if isinstance(key, str) else None

        failures = (self._lupa.LuaError, self._lupa.LuaMemoryError, UnicodeError, TypeError, AttributeError)
        self._state["ended"] = False
        try:
            found = self._run(INSTRUCTIONS, loaded, get, *map(self._to_lua, arguments))
        except failures as error:
            raise LuaError(str(error)) from None
        finally:
            self._state["ended"] = True
            self._unhook()
        values = found if isinstance(found, tuple) else (found,)
        return [self._to_python(value) for value in values]

    def _to_lua(self, value: object) -> object:
        if isinstance(value, Mapping):
            table = self._lua.table_from({key: self._to_lua(inner) for key, inner in value.items()})
            return self._headers(table) if isinstance(value, HeaderTable) else table
        if isinstance(value, list | tuple):
            return self._lua.table_from([self._to_lua(inner) for inner in value])
        return self._function(value) if callable(value) else value

    def _function(self, function: Callable[..., object]) -> Callable[..., object]:
        return lambda *arguments: self._to_lua(function(*map(self._to_python, arguments)))

    def _to_python(self, value: Any, depth: int = 0) -> Any:
        """Tables with the keys 1 to n become lists, others mappings; what is no data becomes `None`."""
        if value is None or isinstance(value, str | int | float | bool):
            return value
        if self._lupa.lua_type(value) != "table":
            return None
        if depth > _DEPTH:
            raise LuaError("tables are nested too deeply")
        items = {key: self._to_python(inner, depth + 1) for key, inner in value.items()}
        if items and all(key in items for key in range(1, len(items) + 1)):
            return [items[key] for key in range(1, len(items) + 1)]
        return {str(key): inner for key, inner in items.items()}


def _deny(_object: object, name: str, _setting: bool) -> str:
    raise AttributeError(f"{name} is not for scripts")
