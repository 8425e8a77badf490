"""Whether what a file defines is a plugin: its name, priority, settings, and the shape of each phase."""

import dataclasses
import inspect
from types import ModuleType
from typing import Any, Final, NoReturn

from tollhouse.model.schema import schema_of
from tollhouse.pdk.plugin import Plugin

#: the phases, with what each is given
PHASES: Final = {
    "rewrite": ("ex",),
    "access": ("ex",),
    "response": ("ex",),
    "header_filter": ("ex",),
    "body_filter": ("ex", "chunk", "last"),
    "own_answer": ("ex",),
    "log": ("ex",),
}
_MAY_WAIT: Final = frozenset({"rewrite", "access", "response"})
#: phases that Kong's plugins have and that nothing would call
_ELSEWHERE: Final = ("certificate", "preread", "init_worker", "configure", "ws_handshake")


class Flaw(Exception):
    """What is wrong with a plugin's code, and in which line."""

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text)
        self.line = line


def judged(name: str, module: ModuleType, found: Any = None) -> type[Plugin[Any]]:
    """The plugin class of a module, or `found` if that is one. Raises `Flaw`."""
    cls = found if found is not None else _only_plugin(module)
    if not (isinstance(cls, type) and issubclass(cls, Plugin)):
        raise Flaw("the entry point names neither a Plugin class nor a module with one")
    _judge_identity(cls, name)
    _judge_settings(cls)
    _judge_phases(cls)
    return cls


def _only_plugin(module: ModuleType) -> type[Plugin[Any]]:
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Plugin) and value.__module__ == module.__name__
    ]
    if not own:
        raise Flaw("there is no class here that derives from tollhouse.pdk.Plugin")
    if len(own) > 1:
        names = ", ".join(cls.__name__ for cls in own)
        raise Flaw(f"a file holds one plugin, this one has {len(own)}: {names}", _line_of(own[1]))
    return own[0]


def _judge_identity(cls: type[Plugin[Any]], name: str) -> None:
    own = getattr(cls, "name", None)
    if own != name:
        raise Flaw(f"its `name` is {own!r}; it has to be {name!r}, as it was asked for", _line_of(cls))
    priority = getattr(cls, "priority", None)
    if not isinstance(priority, int) or isinstance(priority, bool):
        raise Flaw(f"its `priority` has to be a whole number, not {priority!r}", _line_of(cls))


def _judge_settings(cls: type[Plugin[Any]]) -> None:
    config = getattr(cls, "Config", None)
    if not (isinstance(config, type) and dataclasses.is_dataclass(config)):
        raise Flaw("its `Config` has to be a dataclass of setting()s", _line_of(cls))
    try:
        schema_of(config)
    except (TypeError, NameError, ValueError, KeyError) as error:
        raise Flaw(f"its `Config` cannot be read: {error}", _line_of(config)) from error


def _judge_phases(cls: type[Plugin[Any]]) -> None:
    for name in _ELSEWHERE:
        if hasattr(cls, name):
            raise Flaw(f"phase `{name}` is none that Tollhouse runs", _line_of(getattr(cls, name)))
    present = [name for name in PHASES if hasattr(cls, name)]
    if not present:
        raise Flaw(f"it has none of the phases: {', '.join(PHASES)}", _line_of(cls))
    for name in present:
        _judge_phase(name, getattr(cls, name))


def _judge_phase(name: str, phase: Any) -> None:
    if not callable(phase):
        _wrong(phase, f"phase `{name}` has to be a method")
    expected = ("self", *PHASES[name])
    try:
        inspect.signature(phase).bind(*expected)
    except TypeError:
        _wrong(phase, f"phase `{name}` has to take ({', '.join(expected)})")
    if inspect.iscoroutinefunction(phase) and name not in _MAY_WAIT:
        _wrong(phase, f"phase `{name}` cannot wait: write `def`, not `async def`")


def _wrong(phase: Any, text: str) -> NoReturn:
    raise Flaw(text, _line_of(phase))


def _line_of(what: Any) -> int | None:
    try:
        return inspect.getsourcelines(what)[1]
    except (OSError, TypeError):
        return None
