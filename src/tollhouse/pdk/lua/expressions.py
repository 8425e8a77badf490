"""Lua expressions as Kong's configurations hold them, compiled to plain functions.

Covered are fields, indexes, calls and methods, literals, arithmetic, comparison, `..`, `#`, `not`, `and`
and `or`. Anything else is `Unsupported`, and for a whole Lua to run.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from tollhouse.model.lua import KEYWORDS
from tollhouse.pdk.lua import operators
from tollhouse.pdk.lua.errors import Unsupported
from tollhouse.pdk.lua.operators import truth

#: gives the value of a global name, `None` if there is none
Names = Callable[[str], object]
Expression = Callable[[Names], object]

_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<name>[A-Za-z_]\w*)
    | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<operator>\.\.|==|~=|<=|>=|[-+*/%^\#<>()\[\].:,])
    )""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPE: Final = re.compile(r"\\(\d{1,3}|.)", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
#: how tightly an operator binds to its left and to its right
_BINDING: Final[Mapping[str, tuple[int, int]]] = {
    "or": (1, 2),
    "and": (3, 4),
    **dict.fromkeys(("<", ">", "<=", ">=", "~=", "=="), (5, 6)),
    "..": (8, 7),
    **dict.fromkeys("+-", (9, 10)),
    **dict.fromkeys("*/%", (11, 12)),
    "^": (16, 15),
}
_UNARY: Final = 13
_CONSTANTS: Final[Mapping[str, object]] = {"nil": None, "true": True, "false": False}
#: deeper nesting than any configuration has
_DEPTH: Final = 100

Token = tuple[str, str]


def compile_expression(source: str) -> Expression:
    """Raises `Unsupported` for what is not covered, wrong Lua included."""
    parser = _Parser(_tokens(source))
    found = parser.expression(0)
    parser.expect_end()
    return found


def _tokens(source: str) -> list[Token]:
    tokens, place, source = [], 0, source.rstrip()
    while place < len(source):
        found = _TOKEN.match(source, place)
        if found is None or found.lastgroup is None:
            raise Unsupported(source)
        kind, value = found.lastgroup, found[found.lastgroup]
        tokens.append((value if kind == "name" and value in KEYWORDS else kind, value))
        place = found.end()
    return tokens


def _unescaped(literal: str) -> str:
    def plain(found: re.Match[str]) -> str:
        escape = found[1]
        if escape.isdigit():
            return chr(int(escape) & 0xFF)
        return _ESCAPED.get(escape, escape)

    # One character for each byte, as everything else that headers and paths are made of.
    return _ESCAPE.sub(plain, literal[1:-1]).encode().decode("latin-1")


class _Parser:
    """Reads by how tightly operators bind (Pratt's way)."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = 0

    def _peek(self) -> str:
        if self._place == len(self._tokens):
            return ""
        kind, value = self._tokens[self._place]
        return value if kind == "operator" else kind

    def _take(self) -> str:
        self._place += 1
        return self._tokens[self._place - 1][1]

    def _expect(self, kind: str) -> str:
        if self._peek() != kind:
            raise Unsupported(f"expected {kind}")
        return self._take()

    def expect_end(self) -> None:
        if self._place != len(self._tokens):
            raise Unsupported("more than an expression")

    def expression(self, binding: int) -> Expression:
        self._depth += 1
        if self._depth > _DEPTH:
            raise Unsupported("nested too deeply")
        left = self._operand()
        while (found := _BINDING.get(self._peek())) is not None and found[0] > binding:
            left = _binary(self._take(), left, self.expression(found[1]))
        self._depth -= 1
        return left

    def _operand(self) -> Expression:
        kind = self._peek()
        if kind in ("not", "-", "#"):
            return _unary(self._take(), self.expression(_UNARY))
        if kind in _CONSTANTS:
            return _constant(_CONSTANTS[self._take()])
        if kind == "number":
            text = self._take()
            return _constant(operators.numeral(text))
        if kind == "string":
            return self._suffixed(_constant(_unescaped(self._take())), literal=True)
        if kind == "name":
            name = self._take()
            return self._suffixed(lambda names: names(name))
        self._expect("(")
        inner = self.expression(0)
        self._expect(")")
        return self._suffixed(inner)

    def _suffixed(self, value: Expression, *, literal: bool = False) -> Expression:
        while (kind := self._peek()) in (".", "[", ":", "(", "string"):
            if literal:
                raise Unsupported("a literal is not indexed without parentheses")
            if kind == ".":
                self._take()
                value = _indexed(value, _constant(self._expect("name")))
            elif kind == "[":
                self._take()
                value = _indexed(value, self.expression(0))
                self._expect("]")
            elif kind == ":":
                self._take()
                value = _method(value, self._expect("name"), self._arguments())
            else:
                value = _call(value, self._arguments())
        return value

    def _arguments(self) -> tuple[Expression, ...]:
        if self._peek() == "string":
            return (_constant(_unescaped(self._take())),)
        self._expect("(")
        if self._peek() == ")":
            self._take()
            return ()
        found = [self.expression(0)]
        while self._peek() == ",":
            self._take()
            found.append(self.expression(0))
        self._expect(")")
        return tuple(found)


def _constant(value: object) -> Expression:
    return lambda _: value


def _indexed(table: Expression, key: Expression) -> Expression:
    return lambda names: operators.index(table(names), key(names))


def _call(function: Expression, arguments: tuple[Expression, ...]) -> Expression:
    return lambda names: operators.call(function(names), [value(names) for value in arguments])


def _method(subject: Expression, name: str, arguments: tuple[Expression, ...]) -> Expression:
    def run(names: Names) -> object:
        value = subject(names)
        return operators.call(operators.index(value, name), [value, *(a(names) for a in arguments)])

    return run


def _unary(operator: str, value: Expression) -> Expression:
    if operator == "not":
        return lambda names: not truth(value(names))
    apply = operators.negative if operator == "-" else operators.length
    return lambda names: apply(value(names))


def _binary(operator: str, left: Expression, right: Expression) -> Expression:
    if operator == "or":
        return lambda names: first if truth(first := left(names)) else right(names)
    if operator == "and":
        return lambda names: right(names) if truth(first := left(names)) else first
    apply = operators.BINARY[operator]
    return lambda names: apply(left(names), right(names))
