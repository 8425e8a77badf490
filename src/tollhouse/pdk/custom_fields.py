"""Fields that logging plugins add to their record, or take out of it (`custom_fields_by_lua`).

Understood are expressions that return a literal: `return nil` takes the field out, a string, number or
boolean sets it. A name with dots reaches into nested objects; `\\.` is a dot in a name.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_LITERAL: Final = re.compile(
    r"""\s*return\s+(?:(?P<nil>nil)|(?P<true>true)|(?P<false>false)|(?P<number>-?\d+(?:\.\d+)?)
        |'(?P<single>[^'\\]*)'|"(?P<double>[^"\\]*)")\s*;?\s*""",
    re.VERBOSE,
)
_DOT: Final = re.compile(r"(?<!\\)\.")

CustomField = tuple[tuple[str, ...], Any]
REMOVED: Final = object()


def custom_fields_problem(fields: Mapping[str, str] | None) -> str | None:
    """What is wrong with these expressions, `None` if all are understood."""
    for name, code in (fields or {}).items():
        if _LITERAL.fullmatch(code) is None:
            kinds = "nil, a string, a number or a boolean"
            return f"custom_fields_by_lua.{name}: only `return` of {kinds} is supported"
    return None


def compile_custom_fields(fields: Mapping[str, str]) -> tuple[CustomField, ...]:
    """The fields as path and value."""
    return tuple((_path(name), _value(code)) for name, code in fields.items())


def _path(name: str) -> tuple[str, ...]:
    return tuple(part.replace("\\.", ".") for part in _DOT.split(name))


def _value(code: str) -> Any:
    found = _LITERAL.fullmatch(code)
    if found is None or found["nil"]:
        return REMOVED
    if found["true"] or found["false"]:
        return bool(found["true"])
    if found["number"]:
        return float(found["number"]) if "." in found["number"] else int(found["number"])
    return found["single"] if found["single"] is not None else found["double"]


def apply_custom_fields(record: dict[str, Any], fields: Sequence[CustomField]) -> None:
    """Sets and removes the fields in a log record."""
    for path, value in fields:
        if value is REMOVED:
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
