"""A whole Lua for what the built-in forms do not cover: no files, processes, modules or debugger.

Lua runs through lupa (extra `lua`), started when it is first needed, one for each plugin object. A run
that executes too many instructions or holds too much memory fails with `LuaError`.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

from tollhouse.pdk.lua.errors import EXTRA, LuaError, LuaMissing, LuaRefused
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
-- Stands for a table of functions that is another one in each run, so that code may keep it.
local function proxy(resolve)
  local inner = {}
  return setmetatable({}, {__metatable = false,
    __index = function(_, key)
      local found = resolve()[key]
      if type(found) ~= "table" or key == "shared" then return found end
      inner[key] = inner[key] or proxy(function() return resolve()[key] end)
      return inner[key]
    end,
    __newindex = function(_, key, value) resolve()[key] = value end,
    __call = function(_, ...) return resolve()(...) end})
end
-- Code that is run once; the function that it may return, else the code itself, is run from then on.
local function keep(chunk, dress)
  local get, seen, code = nil, nil, nil
  local function find(key)
    if seen[key] == nil then seen[key] = get(key) end
    return seen[key]
  end
  local proxies = {}
  local function world(wrap)
    return setmetatable({}, {__metatable = false, __index = function(_, key)
      if allowed[key] ~= nil then return allowed[key] end
      local found = find(key)
      if type(found) ~= "table" or not wrap then return found end
      proxies[key] = proxies[key] or proxy(function() return find(key) end)
      return proxies[key]
    end})
  end
  setfenv(dress, world(false))
  setfenv(chunk, world(true))
  return function(limit, now)
    get, seen = now, {}
    sethook(over, "", limit)
    dress()
    if code then return code() end
    local found = chunk()
    if type(found) == "function" then
      code = found
      return found()
    end
    code = chunk
    return found
  end
end
return function(source, name) return load(source, name or source) end, run, headers, sethook, state, keep
"""

#: gives the value of a global name
Names = Callable[[str], object]


class Sandbox:
    """Runs Lua. Making one costs nothing; the interpreter is started when a chunk is compiled."""

    def __init__(self, is_allowed: bool = True) -> None:
        #: without that everything compiles and fails when it is run
        self.is_allowed = is_allowed
        self._lupa: Any = None

    def chunk(self, source: str, name: str | None = None) -> Callable[[Names], object]:
        """A piece of Lua as a function that gives its first result; errors speak of it by `name`, else by
        its first line.

        Raises `LuaRefused` if it does not compile, or if no Lua is installed.
        """
        if not self.is_allowed:
            return _forbidden
        loaded = self._loaded(source, name)

        def run(names: Names) -> object:
            found = self._guarded(loaded, names)
            return found[0] if found else None

        return run

    def function(self, source: str) -> Callable[..., list[object]]:
        """The function that a piece of Lua returns; called with the names it sees and its arguments, it
        gives all results. Raises `LuaRefused`."""
        if not self.is_allowed:
            return _forbidden
        loaded = self._loaded(source)
        return lambda names, *arguments: self._guarded(loaded, names, *arguments)

    def resident(self, source: str, dress: str) -> Callable[[Names], object]:
        """Code that keeps its local variables: it is run once, and what function it returns each time.
        `dress` is run before to change the tables that it sees. Raises `LuaRefused`."""
        if not self.is_allowed:
            return _forbidden
        loaded = self._loaded(source)
        runs = self._keep(loaded, self._loaded(dress))
        return lambda names: self._ran(names, lambda get: runs(INSTRUCTIONS, get))

    def _loaded(self, source: str, name: str | None = None) -> Any:
        if self._lupa is None:
            self._start(source)
        found = self._compile(source, name)
        if isinstance(found, tuple):
            raise LuaRefused(str(found[1]))
        return found

    def _start(self, source: str) -> None:
        try:
            self._lupa = import_module("lupa.lua51")
        except ImportError:
            raise LuaMissing(f"'{source}' is beyond the built-in forms of Lua; {EXTRA}") from None
        self._lua = self._lupa.LuaRuntime(
            encoding="latin-1",
            register_eval=False,
            register_builtins=False,
            attribute_filter=_deny,
            max_memory=MEMORY_BYTES,
        )
        found = self._lua.execute(_PRELUDE)
        self._compile, self._run, self._headers, self._unhook, self._state, self._keep = found

    def _guarded(self, loaded: Any, names: Names, *arguments: object) -> list[object]:
        given = [self._to_lua(argument) for argument in arguments]
        return self._ran(names, lambda get: self._run(INSTRUCTIONS, loaded, get, *given))

    def _ran(self, names: Names, run: Callable[[Callable[[object], object]], Any]) -> list[object]:
        def get(key: object) -> object:
            return self._to_lua(names(key)) if isinstance(key, str) else None

        failures = (self._lupa.LuaError, self._lupa.LuaMemoryError, UnicodeError, TypeError, AttributeError)
        self._state["ended"] = False
        try:
            found = run(get)
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


def _forbidden(*_: object) -> Any:
    raise LuaError(
        "loading of untrusted Lua code disabled because 'untrusted_lua' config option is set to 'off'"
    )


def _deny(_object: object, name: str, _setting: bool) -> str:
    raise AttributeError(f"{name} is not for scripts")
