"""One thing that can match: a route, or the part of a route with the same precedence.

Each flavour turns its routes into rules; the index finds the first rule, by `order`, that a request
passes. What a rule says about hosts, prefixes, methods, headers and SNIs lets the index skip it;
`checks` and `finish` have the last word.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from tollhouse.errors import ConfigError
from tollhouse.model import regex
from tollhouse.routing.match import Match, RouteLike, lowered, wire
from tollhouse.routing.patterns import Pattern, captures, compiled
from tollhouse.wire.headers import Headers

#: A request as the index sees it. A plain tuple, because building one costs a tenth of an object:
#: method, path, host keys, headers, scheme, SNI keys (None without TLS), floor, facts.
#: `floor` is the traditional router's first category, `facts` what expressions read.
Asked: TypeAlias = tuple[
    str, str, Sequence[str], Headers, str, Sequence[str] | None, tuple[int, int] | None, Any
]
METHOD: Final = 0
PATH: Final = 1
HOSTS: Final = 2
HEADERS: Final = 3
SCHEME: Final = 4
SNIS: Final = 5
FLOOR: Final = 6
FACTS: Final = 7

Check: TypeAlias = Callable[[Asked], bool]
Attempt: TypeAlias = Callable[[Asked], Match | None]


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """One header that must be there with one of some values, letter case aside."""

    names: tuple[str, ...]  # look-up keys; the first that the request has is taken
    exact: frozenset[str]
    patterns: tuple[Pattern, ...] = ()

    def __call__(self, asked: Asked) -> bool:
        headers = asked[HEADERS]
        for name in self.names:
            first = headers.values.get(name)
            if first is not None:
                return self._takes(first) or any(map(self._takes, headers.get_all(name)[1:]))
        return False

    def _takes(self, value: str) -> bool:
        value = lowered(value)
        if value in self.exact:
            return True
        subject = value.encode("latin-1")
        return any(pattern.spans(subject) is not None for pattern in self.patterns)


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """`None` means: says nothing about it. Hosts, prefixes and methods are also exact conditions
    unless there is a `finish`; headers and SNIs are hints, their checks are among `checks`."""

    route: RouteLike
    order: tuple[Any, ...]  # larger is tried first
    hosts: frozenset[str] | None = None
    prefixes: tuple[str, ...] = ("",)
    methods: frozenset[str] | None = None
    headers: tuple[HeaderRule, ...] = ()
    snis: frozenset[str] | None = None
    checks: tuple[Check, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    finish: Attempt | None = None

    def attempt(self, prefix: str, *, methods_known: bool) -> Match | Attempt:
        """What is left to do once hosts and prefix are known to fit: nothing, or a last look."""
        checks = self.checks
        if self.methods is not None and not methods_known:
            checks = (_method_check(self.methods), *checks)
        if self.finish is not None:
            return _guarded(checks, self.finish) if checks else self.finish
        match = Match(self.route, prefix, None)
        return _guarded(checks, lambda _: match) if checks else match


def _method_check(methods: frozenset[str]) -> Check:
    return lambda asked: asked[METHOD] in methods


def _guarded(checks: tuple[Check, ...], finish: Attempt) -> Attempt:
    def attempt(asked: Asked) -> Match | None:
        for check in checks:
            if not check(asked):
                return None
        return finish(asked)

    return attempt


def search(route: RouteLike, patterns: Sequence[Pattern]) -> Attempt:
    """Tries patterns on the path in turn; the prefix is what the first fitting one consumed."""

    def attempt(asked: Asked) -> Match | None:
        path = asked[PATH]
        subject = path.encode("latin-1")
        for pattern in patterns:
            spans = pattern.spans(subject)
            if spans is not None:
                start, end = spans[0]
                return Match(route, path[start:end], captures(pattern, path, spans))
        return None

    return attempt


def header_names(name: str, *, underscored: bool) -> tuple[str, ...]:
    """Kong takes `_` in a name for `-` unless the request has the name as it is written; the
    compatible router and expressions write all names with `_`."""
    name = lowered(wire(name))
    written = name.replace("-", "_") if underscored else name
    dashed = name.replace("_", "-")
    return (written,) if written == dashed else (written, dashed)


class Problems:
    """Gathers what is wrong with routes while they are turned into rules."""

    def __init__(self) -> None:
        self.found: list[ConfigError] = []

    def add(self, route: RouteLike, field: str, message: str) -> None:
        self.found.append(ConfigError(f"routes.{route.name or route.id}.{field}", message))

    def compiled(
        self,
        route: RouteLike,
        field: str,
        source: str,
        *,
        before: str = "",
        after: str = "",
        anchored: bool,
        utf8: bool,
    ) -> list[Pattern]:
        """The pattern; none, and a problem more, if it cannot be compiled."""
        try:
            return [compiled(wire(before + source + after), anchored=anchored, utf8=utf8)]
        except ValueError as error:
            reason = regex.problem(source) or error
            self.add(route, field, f"invalid regex: '{source}' (PCRE returned: {reason})")
            return []
