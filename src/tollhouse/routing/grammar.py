"""The grammar of expressions: text to syntax tree, with errors shaped as Kong's.

Unlike in most languages `||` binds tighter than `&&`; both group from the left. `!` stands before
parentheses only.
"""

import re
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

if TYPE_CHECKING:
    from lark import Lark, Token, UnexpectedInput
    from lark import Tree as Parsed

Value: TypeAlias = str | int | IPv4Address | IPv6Address | IPv4Network | IPv6Network

# Literals are tried in the order of their priority, as Kong's parser does.
_GRAMMAR: Final = r"""
?start: conjunction
?conjunction: disjunction (AND disjunction)*
?disjunction: _term (OR _term)*
_term: "(" conjunction ")" | negation | predicate
negation: "!" "(" conjunction ")"
predicate: _field OPERATOR _value
_field: NAME | transformed
transformed: NAME "(" _field ")"
_value: STRING | RAW_STRING | CIDR | ADDRESS | INTEGER

AND: "&&"
OR: "||"
NAME: /[A-Za-z][A-Za-z0-9_.]*/
OPERATOR: /==|!=|~|\^=|=\^|>=|>|<=|<|in|not[ \t\r\n]*in|contains/
STRING.5: /"(?:[^"\\]|\\["\\nrt])*"/
RAW_STRING.4: /r#"(?s:.*?)"#/
CIDR.3: /[0-9]{1,3}(?:\.[0-9]{1,3}){3}\/[0-9]{1,2}|(?::|[0-9A-Fa-f]{1,4}):(?:[0-9A-Fa-f]{1,4}|:)*\/[0-9]{1,3}/
ADDRESS.2: /[0-9]{1,3}(?:\.[0-9]{1,3}){3}|(?::|[0-9A-Fa-f]{1,4}):(?:[0-9A-Fa-f]{1,4}|:)*/
INTEGER.1: /-?(?:0[0-7]+|0x[0-9A-Fa-f]+|[0-9]+)/
%ignore /[ \t\r\n]+/
"""
_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPED: Final = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t"}
_OCTAL: Final = re.compile("0[0-7]+")
_MAX_INTEGER: Final = (1 << 63) - 1
# Trees are walked by recursion.
_MAX_DEPTH: Final = 100
#: what Kong's parser says it waited for, by a token that ours waits for
_EXPECTED: Final = (
    ("STRING", "rhs"),
    ("OPERATOR", "binary_operator"),
    ("BANG", "term"),
    ("NAME", "lhs"),
    ("$END", "EOI, and_op, or or_op"),
    ("AND", "and_op or or_op"),
)


class ExpressionError(ValueError):
    """An expression cannot be used; the text says why, as Kong would."""


@dataclass(frozen=True, slots=True)
class Predicate:
    field: str
    lower: bool
    any: bool
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class And:
    trees: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Or:
    trees: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Not:
    tree: "Tree"


Tree: TypeAlias = Predicate | And | Or | Not


def parsed(text: str) -> Tree:
    """The syntax tree; raises `ExpressionError`."""
    from lark import UnexpectedInput

    try:
        return _Builder(text).tree(_parser().parse(text))
    except UnexpectedInput as error:
        raise _syntax_error(text, error) from None


@cache
def _parser() -> "Lark":
    from lark import Lark

    return Lark(_GRAMMAR, parser="lalr")


class _Builder:
    """Turns lark's tree into ours; the text is there to point into."""

    def __init__(self, text: str) -> None:
        self._text = text

    def tree(self, node: "Parsed[Token]", depth: int = 0) -> Tree:
        if depth > _MAX_DEPTH:
            raise ExpressionError("the expression is nested too deeply")
        trees = (self.tree(child, depth + 1) for child in node.children if not isinstance(child, str))
        match node.data:
            case "predicate":
                return self._predicate(node)
            case "negation":
                return Not(next(trees))
            case "conjunction":
                return And(tuple(trees))
            case _:
                return Or(tuple(trees))

    def _predicate(self, node: "Parsed[Token]") -> Predicate:
        field, operator, literal = cast(list[Any], node.children)
        transformations = set()
        while not isinstance(field, str):
            function, field = field.children
            if function not in ("lower", "any"):
                raise self._refused(function, f"unknown transformation function: {function}")
            transformations.add(str(function))
        value = self._value(literal)
        if operator == "~" and not isinstance(value, str):
            raise self._refused(literal, "regex operator can only be used with String operands")
        spelled = "not in" if operator.startswith("not") else str(operator)
        return Predicate(str(field), "lower" in transformations, "any" in transformations, spelled, value)

    def _value(self, token: "Token") -> Value:
        try:
            match token.type:
                case "STRING":
                    return _ESCAPE.sub(lambda found: _ESCAPED[found[1]], token[1:-1])
                case "RAW_STRING":
                    return token[3:-2]
                case "CIDR":
                    return ip_network(str(token))
                case "ADDRESS":
                    return ip_address(str(token))
                case _:
                    return _integer(token)
        except ValueError as error:
            raise self._refused(token, str(error)) from None

    def _refused(self, token: "Token", reason: str) -> ExpressionError:
        underline = "^" + "-" * (len(token) - 2) + "^" * (len(token) > 1)
        return _error(self._text, token.line or 1, token.column or 1, underline, reason)


def _integer(literal: str) -> int:
    digits = literal.removeprefix("-")
    base = 16 if digits.startswith("0x") else 8 if _OCTAL.fullmatch(digits) else 10
    number = int(digits, base)
    if number > _MAX_INTEGER:
        raise ValueError("number too large to fit in target type")
    return -number if literal.startswith("-") else number


def _syntax_error(text: str, error: "UnexpectedInput") -> ExpressionError:
    parser: Any = getattr(error, "interactive_parser", None)
    awaited = parser.accepts() if parser is not None else ()
    expected = next((name for token, name in _EXPECTED if token in awaited), "expression")
    at = error.pos_in_stream
    if getattr(getattr(error, "token", None), "type", "") == "$END" or at is None:
        at = len(text)
    line, column = text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1
    return _error(text, line, column, "^---", f"expected {expected}")


def _error(text: str, line: int, column: int, underline: str, reason: str) -> ExpressionError:
    """Kong's parser shows the place under the line it is in."""
    shown = text.split("\n")[line - 1]
    margin = " " * len(str(line))
    return ExpressionError(
        f"{margin}--> {line}:{column}\n{margin} |\n{line} | {shown}\n"
        f"{margin} | {' ' * (column - 1)}{underline}\n{margin} |\n{margin} = {reason}"
    )
