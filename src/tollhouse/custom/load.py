"""Runs the code of a custom plugin and judges what it defines, before any request meets it."""

import hashlib
import inspect
import linecache
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tollhouse.custom.find import Place
from tollhouse.custom.judge import Flaw, judged
from tollhouse.custom.kong.plugin import is_kongs, kong_plugin
from tollhouse.custom.kong.shim import importable
from tollhouse.errors import ConfigError, ConfigErrors
from tollhouse.pdk.plugin import Plugin


@dataclass(frozen=True, slots=True)
class Loaded:
    """A plugin's class, and what its code was."""

    cls: type[Plugin[Any]]
    digest: str
    version: str | None


def digest_of(place: Place) -> str:
    """Changes with the file's content; that of an entry point stays while the process runs. Raises
    `ConfigErrors`."""
    return hashlib.sha256(_source(place, place.file)).hexdigest() if place.file is not None else ""


def load(place: Place, style: str) -> Loaded:
    """The plugin at a place; `style` is how `kong.*` calls return in files of Kong's form. Raises
    `ConfigErrors` with file and line."""
    with importable():
        module, found = _from_file(place, place.file) if place.file is not None else _from_entry(place)
    try:
        if found is None and is_kongs(module):
            cls = kong_plugin(place.name, module, inspect.getsource(module), style)
        else:
            cls = judged(place.name, module, found)
    except Flaw as flaw:
        raise _refused(place, str(flaw), flaw.line, getattr(module, "__file__", None)) from flaw
    version = getattr(module, "version", None) or getattr(module, "__version__", None)
    if place.entry is not None and place.entry.dist is not None:
        version = place.entry.dist.version
    return Loaded(cls, digest_of(place), str(version) if version is not None else None)


def _from_file(place: Place, file: Path) -> tuple[ModuleType, Any]:
    source = _source(place, file)
    name = f"tollhouse_plugin_{file.stem}_{hashlib.sha256(source).hexdigest()[:12]}"
    module = ModuleType(name)
    module.__file__ = str(file)
    linecache.checkcache(str(file))
    sys.modules[name] = module  # dataclasses and type hints look their module up there
    try:
        exec(compile(source, str(file), "exec"), module.__dict__)  # noqa: S102 - the operator's own code
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _refused(place, _said(error), _line_of(error, str(file)), str(file)) from error
    return module, None


def _from_entry(place: Place) -> tuple[ModuleType, Any]:
    entry = place.entry
    if entry is None:
        raise LookupError(place.name)
    try:
        found = entry.load()
        module = found if isinstance(found, ModuleType) else sys.modules[found.__module__]
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise _refused(place, _said(error), frame.lineno, frame.filename) from error
    return module, None if isinstance(found, ModuleType) else found


def _source(place: Place, file: Path | None) -> bytes:
    if file is None:
        return b""
    try:
        return file.read_bytes()
    except OSError as error:
        raise _refused(place, f"cannot read it: {error.strerror}", None, str(file)) from error


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"


def _line_of(error: BaseException, file: str) -> int | None:
    """The last line of that file that was being run, or that is no Python."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if frame.filename == file), None)


def _refused(place: Place, text: str, line: int | None, file: str | None) -> ConfigErrors:
    return ConfigErrors([ConfigError(f"plugin '{place.name}'", text, line, file)])
