"""What Lua's operators do to values."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tollhouse.pdk.lua.errors import LuaError
from tollhouse.pdk.lua.library import STRING, kind_of, number, text


def truth(value: object) -> bool:
    """Everything but nil and false is true, an empty string and 0 as well."""
    return value is not None and value is not False


def numeral(literal: str) -> int | float:
    """A number as it is written."""
    if literal[:2] in ("0x", "0X"):
        return int(literal, 16)
    value = float(literal)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def index(table: object, key: object) -> object:
    """`table[key]`; strings have Lua's string functions as their fields."""
    if isinstance(table, Mapping):
        found: object = table.get(key)
        return found
    if isinstance(table, str):
        return STRING.get(key) if isinstance(key, str) else None
    if isinstance(table, list | tuple):
        return table[key - 1] if isinstance(key, int) and 1 <= key <= len(table) else None
    raise LuaError(f"attempt to index a {kind_of(table)} value")


def call(function: object, arguments: Sequence[object]) -> object:
    """Raises `LuaError` for what is no function, and for wrong arguments."""
    if not callable(function):
        raise LuaError(f"attempt to call a {kind_of(function)} value")
    try:
        found: object = function(*arguments)
    except (TypeError, ValueError, OverflowError) as error:
        raise LuaError(f"bad argument: {error}") from None
    return found


def negative(value: object) -> object:
    return -number(value)


def length(value: object) -> int:
    if isinstance(value, str | list | tuple):
        return len(value)
    raise LuaError(f"attempt to get length of a {kind_of(value)} value")


def _concatenated(left: object, right: object) -> str:
    for value in (left, right):
        if kind_of(value) not in ("string", "number"):
            raise LuaError(f"attempt to concatenate a {kind_of(value)} value")
    return text(left) + text(right)


def equal(left: object, right: object) -> bool:
    # A boolean never equals a number, as it does in Python.
    return kind_of(left) == kind_of(right) and left == right


def _ordered(compare: Callable[[int], bool]) -> Callable[[object, object], bool]:
    def run(left: object, right: object) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            return compare((left > right) - (left < right))
        if kind_of(left) == kind_of(right) == "number":
            a, b = number(left), number(right)
            return a == a and b == b and compare((a > b) - (a < b))
        raise LuaError(f"attempt to compare {kind_of(left)} with {kind_of(right)}")

    return run


def _arithmetic(
    apply: Callable[[int | float, int | float], int | float],
) -> Callable[[object, object], object]:
    def run(left: object, right: object) -> object:
        try:
            found = apply(number(left), number(right))
        except OverflowError:
            return math.inf
        return int(found) if isinstance(found, float) and found.is_integer() and abs(found) < 2**53 else found

    return run


def _divided(left: int | float, right: int | float) -> float:
    if right == 0:
        return math.nan if left == 0 or left != left else math.copysign(math.inf, left)
    return left / right


def _power(left: int | float, right: int | float) -> float:
    try:
        return math.pow(left, right)
    except ValueError:
        return math.nan


BINARY: Final[Mapping[str, Callable[[object, object], object]]] = {
    "..": _concatenated,
    "==": equal,
    "~=": lambda left, right: not equal(left, right),
    "<": _ordered(lambda sign: sign < 0),
    ">": _ordered(lambda sign: sign > 0),
    "<=": _ordered(lambda sign: sign <= 0),
    ">=": _ordered(lambda sign: sign >= 0),
    "+": _arithmetic(lambda a, b: a + b),
    "-": _arithmetic(lambda a, b: a - b),
    "*": _arithmetic(lambda a, b: a * b),
    "/": _arithmetic(_divided),
    "%": _arithmetic(lambda a, b: a % b if b else math.nan),
    "^": _arithmetic(_power),
}
