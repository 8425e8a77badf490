"""Makes a Tollhouse plugin of a module that was written for Kong's Python PDK."""

import ast
import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any, ClassVar, Final

from tollhouse.custom.judge import Flaw
from tollhouse.custom.kong import request, response, rest, service
from tollhouse.custom.kong.call import Call, Ended, Function, Path
from tollhouse.custom.kong.schema import SchemaFlaw, read_schema
from tollhouse.custom.kong.shim import pdk_exception
from tollhouse.model.schema import Record
from tollhouse.pdk.exchange import Exchange
from tollhouse.pdk.plugin import Plugin

log = logging.getLogger("tollhouse.plugins")

#: phases of one configuration that run at the same time at most; others wait for their turn
THREADS: Final = 32
#: largest request body for a plugin that reads it, in bytes
BODY_LIMIT: Final = 64 * 1024 * 1024
_BODY_CALLS: Final = ("get_raw_body", "get_body", "set_raw_body", "set_body")
_PHASES: Final = ("rewrite", "access", "response", "log")
FUNCTIONS: Final[Mapping[str, Function]] = {
    **request.FUNCTIONS,
    **response.FUNCTIONS,
    **service.FUNCTIONS,
    **rest.FUNCTIONS,
}


class Settings:
    """Stands where other plugins have a dataclass: the schema is read from `Schema`."""


class KongPlugin(Plugin[dict[str, Any]]):
    """Base of what `kong_plugin` makes. The object of Kong's kind lives as long as this one."""

    Config = Settings
    record: ClassVar[Record]
    written_class: ClassVar[Callable[[dict[str, Any]], Any]]
    #: what a failed call raises; `None`: it returns a pair
    fail: ClassVar[type[Exception] | None]

    @classmethod
    def schema(cls) -> Record:
        return cls.record

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = _without_nulls(config)
        return found

    def prepare(self) -> None:
        self._written = type(self).written_class(self.conf)
        # Never shut down: requests under way outlive a reload. With the last of them the threads end.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=self.name)

    async def run(self, phase: str, ex: Exchange) -> None:
        """Runs a phase in a thread. Raises `Reject` if it ends the exchange."""
        call = self._call(phase, ex)
        await asyncio.get_running_loop().run_in_executor(self._threads, self._run_phase, call)
        call.finish()

    def run_behind(self, ex: Exchange) -> None:
        """Runs the log phase without anybody waiting for it."""
        self._threads.submit(self._log, self._call("log", ex))

    def _log(self, call: Call) -> None:
        try:
            self._run_phase(call)
        except Exception:  # nobody waits for the thread: this is the last place to see it
            log.exception("plugin %s failed in its log phase", self.name)

    def _call(self, phase: str, ex: Exchange) -> Call:
        return Call(ex, phase, self.id, self.name, self.services)

    def _run_phase(self, call: Call) -> None:
        kong = Path("kong", call, FUNCTIONS, type(self).fail)
        try:
            waiting = getattr(self._written, call.phase)(kong)
            if inspect.iscoroutine(waiting):
                asyncio.run(waiting)
        except Ended:
            log.debug("plugin %s called kong after kong.response.exit", self.name)


def _without_nulls(value: Any) -> Any:
    """Settings as Kong hands them to a plugin: what is not set is not there."""
    if isinstance(value, Mapping):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list | tuple) else value


def is_kongs(module: ModuleType) -> bool:
    """Whether a module has the form of Kong's Python PDK."""
    cls = getattr(module, "Plugin", None)
    return isinstance(cls, type) and not issubclass(cls, Plugin)


def kong_plugin(name: str, module: ModuleType, source: str, style: str) -> type[Plugin[Any]]:
    """The plugin of such a module. `style` is `lua`, `python` or `auto`. Raises `Flaw`."""
    written = module.Plugin
    line = _line_of(written)
    phases = [phase for phase in _PHASES if callable(getattr(written, phase, None))]
    if hasattr(written, "certificate"):
        raise Flaw("phase `certificate` cannot run here: TLS handshakes are not told to plugins", line)
    if not phases:
        raise Flaw(f"class Plugin has none of the phases: {', '.join(_PHASES)}", line)
    priority = getattr(module, "priority", 0)
    if not isinstance(priority, int) or isinstance(priority, bool):
        raise Flaw(f"`priority` has to be a whole number, not {priority!r}")
    try:
        record = read_schema(getattr(module, "Schema", ()))
    except SchemaFlaw as flaw:
        raise Flaw(str(flaw), _line_of_schema(source)) from flaw
    returns_pairs = style == "lua" or (style == "auto" and unpacks_pairs(source))
    members: dict[str, Any] = {
        "name": name,
        "priority": priority,
        "record": record,
        "written_class": staticmethod(written),
        "fail": None if returns_pairs else pdk_exception(),
        "__module__": module.__name__,
        "request_body_limit": BODY_LIMIT if any(call in source for call in _BODY_CALLS) else None,
    }
    for phase in phases:
        members[phase] = KongPlugin.run_behind if phase == "log" else _phase(phase)
    return type(f"Kong_{name}", (KongPlugin,), members)


def _phase(name: str) -> Callable[[KongPlugin, Exchange], Any]:
    async def run(self: KongPlugin, ex: Exchange) -> None:
        await self.run(name, ex)

    return run


def unpacks_pairs(source: str) -> bool:
    """Whether the file takes what `kong.*` returns apart into value and error, as its default style has
    it (the other is `--no-lua-style`)."""
    return any(map(_unpacks, ast.walk(ast.parse(source))))


def _unpacks(node: ast.AST) -> bool:
    """`value, err = kong.x()`, or `kong.x()[0]`."""
    if isinstance(node, ast.Assign):
        return _is_call(node.value) and any(
            isinstance(target, ast.Tuple | ast.List) for target in node.targets
        )
    return (
        isinstance(node, ast.Subscript)
        and _is_call(node.value)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, int)
    )


def _is_call(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _is_kong(node.func)


def _is_kong(node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id == "kong"


def _line_of(what: Any) -> int | None:
    try:
        return inspect.getsourcelines(what)[1]
    except (OSError, TypeError):
        return None


def _line_of_schema(source: str) -> int | None:
    lines = enumerate(source.splitlines(), start=1)
    return next((number for number, line in lines if line.startswith("Schema")), None)
