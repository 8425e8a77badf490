"""Rules of the flavour `traditional`, Kong's own engine from before expressions.

Each path of a route is a rule of its own. Rules are ranked by the number of their attributes, then by
which attributes these are (their category), then by what is written in them.

Left out is an accident of Kong's search: within one category it tries the routes that share the
first header name, path or host it came upon before the others, which can put a later route first.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from tollhouse.routing import rules as asking
from tollhouse.routing.grow import Growing, growing
from tollhouse.routing.hosts import sni_key
from tollhouse.routing.index import NEVER, Leaf, Node
from tollhouse.routing.match import Captures, Match, RouteLike, lowered, wire
from tollhouse.routing.patterns import ABSENT, Pattern, captures, literals
from tollhouse.routing.rules import Asked, Attempt, Check, HeaderRule, Problems, Rule, header_names, search

_HOST: Final = 0x40
_HEADER: Final = 0x20
_URI: Final = 0x10
_METHOD: Final = 0x08
_SNI: Final = 0x04
_WILDCARD_HOST_PORT: Final = 4
_PLAIN_HOSTS_ONLY: Final = 2
_REGEX_URI: Final = 1
_POSTFIX: Final = "(?P<uri_postfix>.*)"

#: number of attributes and their bits; larger is tried first
Category: TypeAlias = tuple[int, int]


def category(bits: int) -> Category:
    return bits.bit_count(), bits


def rules(route: RouteLike, place: int, problems: Problems) -> Iterator[Rule]:
    """`place` is the route's in the configuration, which decides when all else is equal."""
    headers = _header_rules(route, problems)
    flags = {
        _HOST: route.hosts,
        _HEADER: headers,
        _URI: route.paths,
        _METHOD: route.methods,
        _SNI: route.snis,
    }
    kind = category(sum(bit for bit, given in flags.items() if given))
    if kind == (0, 0):
        return
    hosts = frozenset(map(wire, route.hosts)) if route.hosts else None
    snis = frozenset(map(sni_key, route.snis)) if route.snis else None
    checks = (*([_sni_check(snis, kind)] if snis else ()), *headers)
    for path in route.paths or ("",):
        patterns = _patterns(route, path, problems) if path.startswith("~") else []
        prefix = wire(path)
        yield Rule(
            route,
            order=(kind, _submatch(route, path), len(headers), *_path_order(route, path), -place),
            hosts=hosts,
            prefixes=literals(patterns) if path.startswith("~") else (prefix,),
            methods=frozenset(method.upper() for method in route.methods) if route.methods else None,
            headers=headers,
            snis=snis,
            checks=checks,
            patterns=tuple(patterns),
            finish=_search(route, patterns) if path.startswith("~") else None,
        )


def _submatch(route: RouteLike, path: str) -> int:
    hosts = route.hosts or ()
    bits = _REGEX_URI if path.startswith("~") else 0
    if hosts and not any("*" in host for host in hosts):
        bits |= _PLAIN_HOSTS_ONLY
    if any("*" in host and ":" in host for host in hosts):
        bits |= _WILDCARD_HOST_PORT
    return bits


def _path_order(route: RouteLike, path: str) -> tuple[int, int, int]:
    """Regexes by their priority, prefixes by their length, and then the older route first."""
    age = -(route.created_at or 0)
    return (route.regex_priority or 0, 0, age) if path.startswith("~") else (0, len(wire(path)), age)


def _patterns(route: RouteLike, path: str, problems: Problems) -> list[Pattern]:
    # Kong reads off what the regex consumed by a group appended to it, so of a regex with several
    # alternatives only the last tells; the others strip nothing.
    after = _POSTFIX if "|" in path else ""
    return problems.compiled(route, "paths", path[1:], after=after, anchored=True, utf8=False)


def _search(route: RouteLike, patterns: Sequence[Pattern]) -> Attempt:
    """One path of a route is one regex; without alternatives its match is the prefix."""
    if not patterns or not patterns[0].source.endswith(_POSTFIX):
        return search(route, patterns)
    pattern = patterns[0]

    def attempt(asked: Asked) -> Match | None:
        path = asked[asking.PATH]
        spans = pattern.spans(path.encode("latin-1"))
        if spans is None:
            return None
        postfix = spans[-1]
        prefix = path[: postfix[0]] if postfix != ABSENT else ""
        return Match(route, prefix, _without_postfix(captures(pattern, path, spans)))

    return attempt


def _without_postfix(taken: Captures | None) -> Captures | None:
    if taken is None or all(text is None for text in taken[1][:-1]):
        return None
    named = {name: text for name, text in taken[0].items() if name != "uri_postfix"}
    return named, taken[1][:-1]


def _header_rules(route: RouteLike, problems: Problems) -> tuple[HeaderRule, ...]:
    """A regex counts only as the single value of its header."""
    found = []
    for name, values in (route.headers or {}).items():
        if name.lower() == "host":
            continue
        patterns: list[Pattern] = []
        if len(values) == 1 and values[0].startswith("~*"):
            patterns = problems.compiled(route, "headers", values[0][2:], anchored=False, utf8=False)
        exact = frozenset(lowered(wire(value)) for value in values)
        found.append(HeaderRule(header_names(name, underscored=False), exact, tuple(patterns)))
    return tuple(found)


def _sni_check(snis: frozenset[str], kind: Category) -> Check:
    """Without TLS any SNI will do, but only from the category on at which the search begins."""

    def check(asked: Asked) -> bool:
        keys, floor = asked[asking.SNIS], asked[asking.FLOOR]
        if keys is not None:
            return not snis.isdisjoint(keys)
        return floor is None or kind <= floor

    return check


class Floor:
    """At which category Kong begins to search: the one made of the attributes of which anything at
    all matches. If no route is of that category it begins at the first.

    Routes with SNIs are the only ones that can notice, on connections without TLS.
    """

    def __init__(self) -> None:
        self._kinds: set[Category] = set()
        self._hosts: set[str] = set()
        self._methods: set[str] = set()
        self._headers: set[str] = set()
        self.paths: Node = Leaf(())

    def learn(self, rule: Rule) -> None:
        self._kinds.add(rule.order[0])
        self._hosts.update(rule.hosts or ())
        self._methods.update(rule.methods or ())
        for header in rule.headers:
            self._headers.update(header.names)

    def __call__(self, asked: Asked) -> Category | None:
        bits = _HOST if not self._hosts.isdisjoint(asked[asking.HOSTS]) else 0
        bits |= _HEADER if not self._headers.isdisjoint(asked[asking.HEADERS].values) else 0
        bits |= _METHOD if asked[asking.METHOD] in self._methods else 0
        bits |= _URI if self.paths.find(asked, NEVER) is not None else 0
        kind = category(bits)
        return kind if not bits or kind in self._kinds else None


def measuring(rules: Sequence[Rule]) -> Growing[Floor | None]:
    """The floor for these rules; none is needed where no SNI is configured."""
    floor = Floor()
    paths = []
    any_sni = False
    for rule in rules:
        any_sni = any_sni or rule.snis is not None
        floor.learn(rule)
        if rule.prefixes != ("",) or rule.patterns:
            only_path = Rule(
                rule.route, rule.order, prefixes=rule.prefixes, patterns=rule.patterns, finish=rule.finish
            )
            paths.append(only_path)
        yield
    if not any_sni:
        return None
    floor.paths = yield from growing(paths)
    return floor
