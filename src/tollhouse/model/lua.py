"""Lua as far as Kong's texts and schemas show it: patterns, numbers and tables as text.

Kong describes strings by Lua patterns and prints error maps as Lua tables. Schemas keep the
patterns as Kong publishes them; `pattern` turns one into a regular expression.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

_CLASSES: Final = {
    "a": "A-Za-z",
    "c": r"\x00-\x1f\x7f",
    "d": "0-9",
    "l": "a-z",
    "p": r"!-/:-@\[-`{-~",
    "s": r"\t-\r ",
    "u": "A-Z",
    "w": "A-Za-z0-9",
    "x": "A-Fa-f0-9",
}
_TOKEN: Final = re.compile(r"%(.)|\[(\^?)(\]?(?:%.|[^\]%])*)\]|([*+?-])|(.)", re.DOTALL)
_IDENTIFIER: Final = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)
# fmt: off
KEYWORDS: Final = frozenset({
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local",
    "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
})
# fmt: on
_LONG_BRACKET: Final = re.compile(r"\[(=*)\[|\](=*)\]")


@cache
def pattern(text: str) -> re.Pattern[str]:
    """A Lua pattern as a compiled regular expression; find a match with `search`, as in Lua.

    Raises `ValueError` for balanced matches, frontiers and captures, which no schema of Kong uses.
    """
    anchored = text.startswith("^")
    body = text[1:] if anchored else text
    ends = body.endswith("$") and not body.endswith("%$")
    pieces = "".join(_translated(body[:-1] if ends else body))
    return re.compile(("\\A" if anchored else "") + pieces + ("\\Z" if ends else ""), re.DOTALL)


def _translated(body: str) -> Iterator[str]:
    is_repeated = True  # a quantifier behind another one, or at the beginning, stands for itself
    for escaped, negated, inside, quantifier, plain in _TOKEN.findall(body):
        if quantifier and is_repeated:
            yield re.escape(quantifier)
            is_repeated = False
            continue
        is_repeated = bool(quantifier)
        if escaped:
            yield _escape(escaped)
        elif inside:
            yield f"[{negated}{_set(inside)}]"
        elif quantifier:
            yield "*?" if quantifier == "-" else quantifier
        elif plain == ".":
            yield "."
        elif plain in "()":
            raise ValueError(f"unsupported Lua pattern: {body}")
        else:
            yield re.escape(plain)


def _escape(letter: str) -> str:
    if letter in "bfBF" or letter.isdigit():
        raise ValueError(f"unsupported Lua pattern: %{letter}")
    if letter.lower() in _CLASSES:
        return f"[{'^' if letter.isupper() else ''}{_CLASSES[letter.lower()]}]"
    return re.escape(letter)


def _set(inside: str) -> str:
    pieces: list[str] = []
    for found in re.finditer(r"%(.)|([^%])-([^%])|(.)", inside, re.DOTALL):
        escaped, low, high, plain = found.groups()
        if escaped:
            pieces.append(_CLASSES.get(escaped) or re.escape(escaped))
        elif low:
            pieces.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            pieces.append(re.escape(plain))
    return "".join(pieces)


def text_of(value: Any) -> str:
    """A scalar as Lua's `tostring` writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.14g}"
    return str(value)


def kind_name(value: Any) -> str:
    """What Lua's `type` calls a JSON value."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "table"


def quoted_list(words: Sequence[str | Sequence[str]]) -> str:
    """Names in quotes, groups of names in parentheses: `'a', 'b'` or `('a', 'b'), ('c')`."""
    return ", ".join(f"'{word}'" if isinstance(word, str) else f"({quoted_list(word)})" for word in words)


def table(value: Any, *, compact: bool) -> str:
    """A JSON value as Kong prints a Lua table, on one line if `compact`.

    A list with `None` in it is a table with holes: what follows the first hole has its number.
    """
    return _table(value, "" if compact else "\n", "=" if compact else " = ")


def _table(value: Any, line: str, equals: str) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if not isinstance(value, Mapping | list | tuple):
        return text_of(value)
    inner = line and line + "  "
    entries = [inner + entry for entry in _entries(value, inner, equals)]
    return "{" + ",".join(entries) + (line if entries else "") + "}"


def _entries(value: Any, line: str, equals: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield f"{_key(key)}{equals}{_table(value[key], line, equals)}"
        return
    after_hole = False
    for number, item in enumerate(value, 1):
        if item is None:
            after_hole = True
        else:
            yield (f"[{number}]{equals}" if after_hole else "") + _table(item, line, equals)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key if _IDENTIFIER.match(key) and key not in KEYWORDS else f"[{_quoted(key)}]"
    return f"[{text_of(key)}]"


def _quoted(text: str) -> str:
    brackets = [found[1] or found[2] or "" for found in _LONG_BRACKET.finditer(text + "]")]
    if ("\n" in text or brackets) and "\r" not in text:
        equals = "=" * (max(map(len, brackets), default=-1) + 1)
        start = "\n" if text.startswith("\n") else ""
        return f"[{equals}[{start}{text}]{equals}]"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\\n").replace("\r", "\\r")
    return '"' + escaped.replace("\0", "\\0") + '"'
