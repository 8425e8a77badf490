"""The functions that expressions may call: Lua's own, as far as they change nothing outside.

Values are Python's: `None` for nil, `str` with one character for each byte, `int` and `float` for
numbers, mappings and lists for tables.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from tollhouse.model.lua import text_of
from tollhouse.pdk.lua.errors import LuaError
from tollhouse.pdk.lua.patterns import compiled

#: more than this no expression may make, in characters
_TEXT_LIMIT: Final = 8 * 1024 * 1024
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


def kind_of(value: object) -> str:
    """Lua's `type`."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "function" if callable(value) else "table"


def to_text(value: object) -> str:
    """Lua's `tostring`, but that nil is empty and a list is shown as a header would be."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(to_text(item) for item in value)
    return text_of(value)


def text(value: object) -> str:
    """A string or number where Lua wants a string."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return text_of(value)
    raise LuaError(f"string expected, got {kind_of(value)}")


def number(value: object) -> int | float:
    """A number, or a string that is one, where Lua wants a number."""
    found = to_number(value)
    if found is None:
        raise LuaError(f"number expected, got {kind_of(value)}")
    return found


def to_number(value: object = None, base: object = 10) -> int | float | None:
    """Lua's `tonumber`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return None
    stripped = value.strip().lower()
    radix = int(number(base))
    try:
        if radix != 10:
            return int(stripped, radix)
        if stripped.lstrip("+-").startswith("0x"):
            return int(stripped, 16)
        if not stripped or stripped.lstrip("+-")[:1] not in _DIGITS[:10] + ".":
            return None  # Python would read words such as `nan`
        found = float(stripped)
    except ValueError:
        return None
    return int(found) if found == int(found) and abs(found) < 2**53 else found


def _sub(subject: object, start: object = 1, end: object = -1) -> str:
    string, first, last = text(subject), int(number(start)), int(number(end))
    length = len(string)
    first = max(length + first + 1, 1) if first < 0 else max(first, 1)
    last = length + last + 1 if last < 0 else min(last, length)
    return string[first - 1 : max(last, 0)] if first <= last else ""


def _rep(subject: object, times: object) -> str:
    string, count = text(subject), max(0, int(number(times)))
    if len(string) * count > _TEXT_LIMIT:
        raise LuaError("resulting string too large")
    return string * count


def _byte(subject: object, place: object = 1) -> int | None:
    found = _sub(subject, place, place)
    return ord(found) if found else None


def _char(*codes: object) -> str:
    return "".join(chr(int(number(code)) & 0xFF) for code in codes)


def _match(subject: object, pattern: object, start: object = 1) -> object:
    string = _sub(subject, start)
    found = compiled(text(pattern)).search(string)
    if found is None:
        return None
    return found[1] if found.re.groups else found[0]


def _find(subject: object, pattern: object, start: object = 1, plain: object = None) -> int | None:
    string, first = text(subject), max(int(number(start)), 1)
    if plain is not None and plain is not False:
        place = string.find(text(pattern), first - 1)
        return place + 1 if place >= 0 else None
    found = compiled(text(pattern)).search(string[first - 1 :])
    return found.start() + first if found else None


def _gsub(subject: object, pattern: object, replacement: object, times: object = None) -> str:
    limit = 0 if times is None else int(number(times))
    if times is not None and limit <= 0:
        return text(subject)

    def replaced(found: Any) -> str:
        key = found[1] if found.re.groups else found[0]
        if isinstance(replacement, Mapping):
            value = replacement.get(key)
        elif callable(replacement):
            value = replacement(*(found.groups() or (found[0],)))
        else:
            return _filled(text(replacement), found)
        return found[0] if value is None or value is False else text(value)

    result: str = compiled(text(pattern)).sub(replaced, text(subject), count=limit)
    return result


def _filled(replacement: str, found: Any) -> str:
    """The replacement with `%0` to `%9` and `%%` in it replaced."""
    head, *rest = replacement.split("%")
    pieces, escaped = [head], False
    for piece in rest:
        if escaped or not piece:
            pieces.append(piece if escaped else "%")
            escaped = not escaped and not piece
            continue
        if not piece[0].isdigit():
            raise LuaError("invalid use of '%' in replacement string")
        group = int(piece[0])
        if group > max(found.re.groups, 1):
            raise LuaError(f"invalid capture index %{group}")
        pieces.append((found[group] if group <= found.re.groups else found[0]) + piece[1:])
    return "".join(pieces)


def _format(template: object, *values: object) -> str:
    """Lua's `string.format`; `%s` takes whatever `tostring` can show."""
    pieces, rest, left = [], text(template), list(values)
    while "%" in rest:
        before, _, rest = rest.partition("%")
        pieces.append(before)
        if rest.startswith("%"):
            pieces.append("%")
            rest = rest[1:]
            continue
        end = next((at for at, letter in enumerate(rest) if letter.isalpha()), -1)
        if end < 0 or any(c not in "-+ #.0123456789" for c in rest[:end]) or end > 8:
            raise LuaError("invalid option to 'format'")
        if not left:
            raise LuaError("bad argument to 'format' (no value)")
        pieces.append(_formatted(rest[:end], rest[end], left.pop(0)))
        rest = rest[end + 1 :]
    return "".join([*pieces, rest])


def _formatted(flags: str, letter: str, value: object) -> str:
    if letter == "s":
        return f"%{flags}s" % ("nil" if value is None else to_text(value))
    if letter == "q":
        return '"' + text(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\\n") + '"'
    if letter in "diuoxXc":
        return f"%{flags}{letter}" % int(number(value))
    if letter in "eEfgG":
        return f"%{flags}{letter}" % number(value)
    raise LuaError(f"invalid option '%{letter}' to 'format'")


def _error(message: object = None, *_: object) -> None:
    raise LuaError(to_text(message))


def _assert(value: object = None, message: object = "assertion failed!", *_: object) -> object:
    if value is None or value is False:
        raise LuaError(to_text(message))
    return value


def _concat(table: object, separator: object = "") -> str:
    if not isinstance(table, list | tuple):
        raise LuaError(f"table expected, got {kind_of(table)}")
    return text(separator).join(text(item) for item in table)


STRING: Final[Mapping[str, Callable[..., object]]] = MappingProxyType(
    {
        "upper": lambda s: text(s).upper() if text(s).isascii() else _ascii_case(s, str.upper),
        "lower": lambda s: text(s).lower() if text(s).isascii() else _ascii_case(s, str.lower),
        "len": lambda s: len(text(s)),
        "reverse": lambda s: text(s)[::-1],
        "sub": _sub,
        "rep": _rep,
        "byte": _byte,
        "char": _char,
        "match": _match,
        "find": _find,
        "gsub": _gsub,
        "format": _format,
    }
)


def _ascii_case(value: object, change: Callable[[str], str]) -> str:
    """Changes ASCII letters alone, as Lua does: what is beyond them are bytes of other characters."""
    return "".join(change(letter) if letter.isascii() else letter for letter in text(value))


MATH: Final[Mapping[str, object]] = MappingProxyType(
    {
        "floor": lambda n: math.floor(number(n)),
        "ceil": lambda n: math.ceil(number(n)),
        "abs": lambda n: abs(number(n)),
        "max": lambda *n: max(map(number, n)),
        "min": lambda *n: min(map(number, n)),
        "huge": math.inf,
        "pi": math.pi,
    }
)

GLOBALS: Final[Mapping[str, object]] = MappingProxyType(
    {
        "string": STRING,
        "math": MATH,
        "table": MappingProxyType({"concat": _concat}),
        "tostring": lambda value=None: "nil" if value is None else to_text(value),
        "tonumber": to_number,
        "type": kind_of,
        "error": _error,
        "assert": _assert,
    }
)
