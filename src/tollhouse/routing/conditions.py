"""Conditions of an expression, compiled to closures over a request's facts."""

import operator
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final, TypeAlias

from tollhouse.routing.facts import Facts, field_type, reader
from tollhouse.routing.grammar import And, ExpressionError, Not, Or, Predicate, Tree
from tollhouse.routing.match import wire
from tollhouse.routing.patterns import ABSENT, Pattern, compiled

Test: TypeAlias = Callable[[Facts], bool]
#: judges one value of a field
Judge: TypeAlias = Callable[[Facts, Any], bool]
_PATH: Final = "http.path"

_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "^=": str.startswith,
    "=^": str.endswith,
    "contains": operator.contains,
    "in": lambda address, network: address in network,
    "not in": lambda address, network: address not in network,
}
_ORDERINGS: Final = frozenset({">", ">=", "<", "<="})
# These tell which part of the path it was that matched.
_CONSUMING: Final = frozenset({"==", "^=", "=^"})


def validate(tree: Tree) -> None:
    """Raises `ExpressionError` if fields, operators and literals do not go together."""
    match tree:
        case And(trees) | Or(trees):
            for each in trees:
                validate(each)
        case Not(each):
            validate(each)
        case Predicate():
            _validate_predicate(tree)


def _validate_predicate(tree: Predicate) -> None:
    left = field_type(tree.field)
    right = _literal_type(tree.value)
    if left is None:
        raise ExpressionError("Unknown LHS field")
    if tree.operator not in ("~", "in", "not in") and left != right:
        raise ExpressionError("Type mismatch between the LHS and RHS values of predicate")
    if tree.lower and left != "String":
        raise ExpressionError("lower-case transformation function only supported with String type fields")
    if tree.operator == "~" and left != "String":
        raise ExpressionError("Regex operators only supports string operands")
    if tree.operator in ("^=", "=^") and right != "String":
        raise ExpressionError("Prefix/Postfix operators only supports string operands")
    if tree.operator in _ORDERINGS and right != "Int":
        raise ExpressionError(
            "Greater/GreaterOrEqual/Less/LessOrEqual operators only supports integer operands"
        )
    if tree.operator in ("in", "not in") and (left, right) != ("IpAddr", "IpCidr"):
        raise ExpressionError("In/NotIn operators only supports IP in CIDR")
    if tree.operator == "contains" and right != "String":
        raise ExpressionError("Contains operator only supports string operands")


def _literal_type(value: object) -> str:
    match value:
        case str():
            return "String"
        case int():
            return "Int"
        case IPv4Network() | IPv6Network():
            return "IpCidr"
        case _:
            return "IpAddr"


def closure(tree: Tree) -> Test:
    """The closure of a valid expression."""
    match tree:
        case And(trees):
            needed = tuple(map(closure, trees))
            return lambda facts: all(each(facts) for each in needed)
        case Or(trees):
            sufficient = tuple(map(closure, trees))
            return lambda facts: any(each(facts) for each in sufficient)
        case Not(each):
            refuted = closure(each)
            return lambda facts: not refuted(facts)
        case Predicate():
            return _condition(tree)


def _condition(tree: Predicate) -> Test:
    read = reader(tree.field)
    judge = _judge(tree)
    quantifier = any if tree.any else all

    def holds(facts: Facts) -> bool:
        values = read(facts)
        if len(values) == 1:
            return judge(facts, values[0])
        return bool(values) and quantifier(judge(facts, value) for value in values)

    return holds


def _judge(tree: Predicate) -> Judge:
    judge = _search(tree) if tree.operator == "~" else _compare(tree)
    return (lambda facts, value: judge(facts, _lower(value))) if tree.lower else judge


def _compare(tree: Predicate) -> Judge:
    compare = _COMPARISONS[tree.operator]
    literal = wire(tree.value) if isinstance(tree.value, str) else tree.value
    if tree.field != _PATH or tree.operator not in _CONSUMING:
        return lambda _, value: compare(value, literal)

    def consume(facts: Facts, value: str) -> bool:
        if not compare(value, literal):
            return False
        facts.prefix = str(literal)
        return True

    return consume


def _search(tree: Predicate) -> Judge:
    pattern = regex(tree)

    def search(facts: Facts, value: str) -> bool:
        spans = pattern.spans(value.encode("latin-1"))
        if spans is None:
            return False
        taken = [None if span == ABSENT else value[slice(*span)] for span in spans]
        if tree.field == _PATH:
            facts.prefix = taken[0] or ""
        facts.captured.update((place, text) for place, text in enumerate(taken) if text is not None)
        for name, place in pattern.names.items():
            text = taken[place]
            if text is not None:
                facts.captured[name] = text
        return True

    return search


def regex(tree: Predicate) -> Pattern:
    """The pattern of a condition with `~`; raises `ExpressionError`."""
    try:
        return compiled(wire(str(tree.value)), anchored=False, utf8=True)
    except ValueError as error:
        raise ExpressionError(f"regex parse error: {error}") from None


def _lower(text: str) -> str:
    """Wire text in lower case, as Unicode has it; left as it is if it is not UTF-8."""
    if text.isascii():
        return text.lower()
    try:
        return wire(text.encode("latin-1").decode().lower())
    except UnicodeDecodeError:
        return text
