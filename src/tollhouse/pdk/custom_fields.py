"""Fields that logging plugins add to their record, or take out of it (`custom_fields_by_lua`).

A value is Lua that returns it: `return nil` takes the field out. A name with dots reaches into nested
objects; `\\.` is a dot in a name.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tollhouse.pdk.lua.errors import LuaError, LuaRefused, Unsupported
from tollhouse.pdk.lua.expressions import Expression, Names, compile_expression
from tollhouse.pdk.lua.sandbox import Sandbox

log = logging.getLogger("tollhouse.plugins")

_RETURN: Final = re.compile(r"\s*return\b(?P<value>[^;]*);?\s*")
_DOT: Final = re.compile(r"(?<!\\)\.")

#: where the value belongs, and what gives it
CustomField = tuple[tuple[str, ...], Expression]


def custom_field_problem(code: str) -> str | None:
    """What is wrong with the Lua of one field, `None` if it compiles."""
    try:
        _compiled(code, Sandbox())
    except LuaRefused as refused:
        return f"Error parsing function: {refused}"
    return None


def compile_custom_fields(fields: Mapping[str, str], *, runs_lua: bool = True) -> tuple[CustomField, ...]:
    """The fields as path and value. Raises `LuaRefused`."""
    sandbox = Sandbox(runs_lua)
    return tuple((_path(name), _compiled(code, sandbox)) for name, code in fields.items())


def _compiled(code: str, sandbox: Sandbox) -> Expression:
    """A built-in form if it is one, else run by a whole Lua."""
    found = _RETURN.fullmatch(code)
    if found is not None and sandbox.is_allowed:
        try:
            return compile_expression(found["value"])
        except Unsupported:
            return sandbox.chunk(code)
    return sandbox.chunk(code)


def _path(name: str) -> tuple[str, ...]:
    return tuple(part.replace("\\.", ".") for part in _DOT.split(name))


def apply_custom_fields(record: dict[str, Any], fields: Sequence[CustomField], names: Names) -> None:
    """Sets and removes the fields in a log record. One whose Lua fails is left as it is, with a warning."""
    for path, expression in fields:
        try:
            value = expression(names)
        except LuaError as error:
            log.warning("custom_fields_by_lua.%s: %s", ".".join(path), error)
            continue
        if value is None:
            _remove(record, path)
        else:
            _set(record, path, value)


def _set(record: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for name in path[:-1]:
        inner = record.get(name)
        if not isinstance(inner, dict):
            inner = record[name] = {}
        record = inner
    record[path[-1]] = value


def _remove(record: Any, path: Sequence[str]) -> None:
    for name in path[:-1]:
        record = record.get(name) if isinstance(record, dict) else None
    if isinstance(record, dict):
        record.pop(path[-1], None)
