"""What an expression needs in any case, for the index to skip it.

A hint may be weaker than the expression, never stronger.
"""

from dataclasses import dataclass

from tollhouse.routing.conditions import regex
from tollhouse.routing.grammar import And, Or, Predicate, Tree
from tollhouse.routing.match import lowered, wire
from tollhouse.routing.patterns import literals
from tollhouse.routing.rules import HeaderRule, header_names

_HEADERS = "http.headers."


@dataclass(frozen=True, slots=True)
class Hints:
    """As in a rule: one of these hosts, one of these prefixes, and so on; `None` for no hint."""

    hosts: frozenset[str] | None = None
    prefixes: frozenset[str] | None = None
    methods: frozenset[str] | None = None
    headers: tuple[HeaderRule, ...] = ()


def hints(tree: Tree) -> Hints:
    match tree:
        case And(trees):
            found = [hints(each) for each in trees]
            return Hints(
                _fewest([each.hosts for each in found]),
                _fewest([each.prefixes for each in found]),
                _fewest([each.methods for each in found]),
                tuple(header for each in found for header in each.headers),
            )
        case Or(trees):
            found = [hints(each) for each in trees]
            return Hints(
                _either([each.hosts for each in found]),
                _either([each.prefixes for each in found]),
                _either([each.methods for each in found]),
                _either_header([each.headers for each in found]),
            )
        case Predicate(lower=False, value=str()):
            return _of_condition(tree)
        case _:
            return Hints()


def _fewest(sets: list[frozenset[str] | None]) -> frozenset[str] | None:
    return min((each for each in sets if each is not None), key=len, default=None)


def _either(sets: list[frozenset[str] | None]) -> frozenset[str] | None:
    known = [each for each in sets if each is not None]
    return frozenset[str]().union(*known) if len(known) == len(sets) else None


def _either_header(alternatives: list[tuple[HeaderRule, ...]]) -> tuple[HeaderRule, ...]:
    """Values of one and the same header may be alternatives; anything else tells nothing."""
    names = {header.names for headers in alternatives for header in headers}
    if len(names) != 1 or any(len(headers) != 1 for headers in alternatives):
        return ()
    exact = frozenset[str]().union(*(headers[0].exact for headers in alternatives))
    return (HeaderRule(names.pop(), exact),)


def _of_condition(tree: Predicate) -> Hints:
    literal = wire(str(tree.value))
    match tree.field, tree.operator:
        case "http.method", "==":
            return Hints(methods=frozenset({literal}))
        case "http.host", "==":
            return Hints(hosts=frozenset({literal}))
        case "http.host", "=^" if literal.startswith("."):
            return Hints(hosts=frozenset({f"*{literal}"}))
        case "http.host", "^=" if literal.endswith("."):
            return Hints(hosts=frozenset({f"{literal}*"}))
        case "http.path", "==" | "^=":
            return Hints(prefixes=frozenset({literal}))
        case "http.path", "~":
            return Hints(prefixes=frozenset(literals([regex(tree)])))
        case field, "==" if field.startswith(_HEADERS):
            names = header_names(field.removeprefix(_HEADERS), underscored=False)
            return Hints(headers=(HeaderRule(names, frozenset({lowered(literal)})),))
        case _:
            return Hints()
