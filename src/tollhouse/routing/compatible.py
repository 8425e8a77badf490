"""Rules of the flavour `traditional_compatible`: Kong turns each route into one expression and ranks
it by one number.

The number is laid out for 64 bits (attributes 61-63, plain hosts 60, header names 52-59, regex 51,
regex priority 19-50, length of the prefix 0-18), but Kong computes three of its parts with LuaJIT's
`bit.lshift` on plain numbers, which shifts 32-bit integers by the distance modulo 32. So the number
of attributes lands in bits 29-31, header names from bit 20 and the regex priority, cut to 32 bits,
from 19; a part that reaches bit 31 is negative and fills every bit above. Every Kong since 3.0 routes
by that number (its function, run under LuaJIT, gave those in the tests): a plain host beats any other
three attributes. So does this.
"""

from collections.abc import Iterator, Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import Final
from uuid import UUID, uuid5

from tollhouse.routing.hosts import compatible_key, sni_key
from tollhouse.routing.match import RouteLike, lowered, wire
from tollhouse.routing.patterns import literals
from tollhouse.routing.rules import SNIS, Asked, Check, HeaderRule, Problems, Rule, header_names, search

# Kong names the parts of a split route in this namespace.
_PARTS: Final = UUID("7f145bf9-0dce-4f91-98eb-debbce4b9f6b")
_PLAIN_HOSTS_BIT: Final = 1 << 60
_REGEX_BIT: Final = 1 << 51
_MAX_HEADERS: Final = 255
_MAX_LENGTH: Final = 0x7FFFF
_64_BITS: Final = (1 << 64) - 1
_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


def rules(route: RouteLike, _place: int, problems: Problems) -> Iterator[Rule]:
    attributes = sum(map(bool, (route.methods, route.hosts, route.headers, route.snis, route.paths)))
    if not attributes:
        return
    headers = _header_rules(route, problems)
    snis = frozenset(map(sni_key, route.snis)) if route.snis else None
    for identity, paths in _parts(route):
        regexes = [path[1:] for path in paths if path.startswith("~")]
        # Only the first alternative of `~/a|/b` is anchored, as in Kong.
        patterns = [
            pattern
            for regex in regexes
            for pattern in problems.compiled(route, "paths", regex, before="^", anchored=False, utf8=True)
        ]
        prefixes = tuple(map(wire, paths))
        yield Rule(
            route,
            order=(_priority(route, attributes, prefixes), identity),
            hosts=frozenset(compatible_key(wire(host)) for host in route.hosts) if route.hosts else None,
            prefixes=literals(patterns) if regexes else prefixes or ("",),
            methods=frozenset(route.methods) if route.methods else None,
            headers=headers,
            snis=snis,
            checks=(*([_sni_check(snis)] if snis else ()), *headers),
            patterns=tuple(patterns),
            finish=search(route, patterns) if regexes else None,
        )


def _parts(route: RouteLike) -> Iterator[tuple[str, Sequence[str]]]:
    """Regex paths are one part, prefixes one for each length in bytes."""
    groups: dict[int, list[str]] = {}
    for path in route.paths or ():
        groups.setdefault(0 if path.startswith("~") else len(wire(path)), []).append(path)
    if len(groups) < 2:
        yield route.id.lower(), route.paths or ()
        return
    for number, paths in enumerate(groups.values(), 1):
        yield str(uuid5(_PARTS, f"{route.id}#{number}")), paths


def _priority(route: RouteLike, attributes: int, paths: Sequence[str]) -> int:
    """The number by which Kong ranks a part of a route; see above."""
    is_regex = bool(paths) and paths[0].startswith("~")
    names = min(len(route.headers or ()), _MAX_HEADERS)
    priority = _lua_shift(attributes, 61) | _lua_shift(names, 52)
    if route.hosts and not any("*" in host for host in route.hosts):
        priority |= _PLAIN_HOSTS_BIT
    if is_regex:
        priority |= _REGEX_BIT | _lua_shift(route.regex_priority or 0, 19)
    elif paths:
        priority |= len(paths[0]) & _MAX_LENGTH
    return priority & _64_BITS


def _lua_shift(number: int, distance: int) -> int:
    """`bit.lshift` of LuaJIT on a number: signed 32 bits, the distance taken modulo 32."""
    shifted = (number << (distance & 31)) & 0xFFFFFFFF
    return shifted - (1 << 32) if shifted >> 31 else shifted


def _header_rules(route: RouteLike, problems: Problems) -> tuple[HeaderRule, ...]:
    """Any of several values may be a `~*regex`. Kong lowers its letters too, so `\\D` means `\\d`."""
    found = []
    for name, values in (route.headers or {}).items():
        patterns = [
            pattern
            for value in values
            if value.startswith("~*")
            for pattern in problems.compiled(
                route, "headers", value[2:].translate(_LOWER), anchored=False, utf8=True
            )
        ]
        exact = frozenset(lowered(wire(value)) for value in values if not value.startswith("~*"))
        found.append(HeaderRule(header_names(name, underscored=True), exact, tuple(patterns)))
    return tuple(found)


def _sni_check(snis: frozenset[str]) -> Check:
    def check(asked: Asked) -> bool:
        keys = asked[SNIS]
        return keys is None or not snis.isdisjoint(keys)

    return check
