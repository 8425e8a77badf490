"""Rules of the flavour `expressions`: a route's expression becomes one closure.

A condition holds if all values of its field satisfy it, with `any()` if one does; a field that the
request lacks satisfies nothing, not even `!=`. Plain conditions that the whole expression depends on
(host, path, method, header) are also told to the index.

Routes without an expression are ranked and matched as by the compatible router. Beyond that, a route
of this flavour wants one of its protocols, unless it is for `https` only: then it takes cleartext
requests too, to answer them by a redirect.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from tollhouse.errors import ConfigError, ConfigErrors
from tollhouse.routing import compatible
from tollhouse.routing.conditions import Test, closure, validate
from tollhouse.routing.facts import Facts, complaint
from tollhouse.routing.grammar import And, ExpressionError, Not, Or, Predicate, Tree, parsed
from tollhouse.routing.hints import hints
from tollhouse.routing.match import Captures, Match, RouteLike
from tollhouse.routing.rules import FACTS, SCHEME, Asked, Attempt, Check, Problems, Rule

#: how Kong begins its complaint about an expression
REFUSED: Final = "Router Expression failed validation: "
# The old name of a field, which Kong replaces in the text, before operators made of signs only.
_NET_PORT: Final = re.compile(r"net\.port(?=\s*[=><!])")
# Kong ranks expressions above what its other routes can reach, unless these have four attributes.
EXPRESSION_BITS: Final = 0xFF << 56
_SCHEMES: Final = {"grpc": "http", "grpcs": "https"}


def rules(route: RouteLike, place: int, problems: Problems) -> Iterator[Rule]:
    checks = _protocol_checks(route)
    if route.expression is None:
        for rule in compatible.rules(route, place, problems):
            yield replace(rule, checks=(*checks, *rule.checks))
        return
    try:
        tree = understood(route.expression)
        holds, known = closure(tree), hints(tree)
    except ExpressionError as error:
        problems.add(route, "expression", f"{REFUSED}{error}")
        return
    yield Rule(
        route,
        order=(EXPRESSION_BITS | (route.priority or 0), route.id.lower()),
        hosts=known.hosts,
        prefixes=tuple(known.prefixes or ("",)),
        methods=known.methods,
        headers=known.headers,
        checks=checks,
        finish=_finish(route, holds),
    )


def understood(expression: str) -> Tree:
    """The syntax tree of an expression that makes sense; raises `ExpressionError`."""
    try:
        tree = parsed(_NET_PORT.sub("net.dst.port", expression))
    except ImportError:
        message = "router_flavor 'expressions' needs an extra: pip install 'tollhouse[expressions]'"
        raise ConfigErrors([ConfigError("router_flavor", message)]) from None
    validate(tree)
    for field in fields_of(tree):
        if wrong := complaint(field):
            raise ExpressionError(wrong)
    return tree


def understood_of_streams(expression: str) -> Tree:
    """The same for connections without HTTP, which have none of its fields."""
    tree = understood(expression)
    if any(field.startswith("http.") for field in fields_of(tree)):
        raise ExpressionError("Unknown LHS field")
    return tree


def fields_of(tree: Tree) -> Iterator[str]:
    """The fields that an expression reads."""
    match tree:
        case And(trees) | Or(trees):
            for each in trees:
                yield from fields_of(each)
        case Not(each):
            yield from fields_of(each)
        case Predicate(field):
            yield field


def _protocol_checks(route: RouteLike) -> tuple[Check, ...]:
    if not route.protocols or tuple(route.protocols) == ("https",):
        return ()
    schemes = frozenset(_SCHEMES.get(protocol, protocol) for protocol in route.protocols)
    return () if schemes == {"http", "https"} else (lambda asked: asked[SCHEME] in schemes,)


def _finish(route: RouteLike, holds: Test) -> Attempt:
    def attempt(asked: Asked) -> Match | None:
        facts: Facts = asked[FACTS]
        facts.begin()
        return Match(route, facts.prefix, _captures(facts)) if holds(facts) else None

    return attempt


def _captures(facts: Facts) -> Captures | None:
    """What all regexes of the expression captured, later ones over earlier ones, as in Kong."""
    if len(facts.captured) < 2:  # only the whole match
        return None
    named = {key: text for key, text in facts.captured.items() if isinstance(key, str)}
    last = max(key for key in facts.captured if isinstance(key, int))
    return named, tuple(facts.captured.get(place) for place in range(1, last + 1))
