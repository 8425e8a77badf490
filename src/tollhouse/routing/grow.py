"""Growing the index out of rules, in slices.

Everything here is a generator that yields after each small step and returns what it built, so that
ten thousand routes never hold an event loop for long.
"""

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from heapq import merge
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from tollhouse.routing.index import ByKey, ByPattern, ByPrefix, BySni, Item, Leaf, Node, entry
from tollhouse.routing.match import lowered
from tollhouse.routing.patterns import LinearPattern, PatternSet, batches, fits_a_set
from tollhouse.routing.rules import HEADERS, HOSTS, METHOD, SNIS, Asked, Rule

T = TypeVar("T")
Growing: TypeAlias = Generator[None, None, T]
#: what a rule says about one thing, `None` if it says nothing
Said: TypeAlias = Callable[[Rule], Collection[Any] | None]

_SLICE: Final = 500  # elements that may be sorted in one go
_FEW: Final = 8  # rules that are sooner tried than told apart
_FEW_PATTERNS: Final = 3


class Facet(NamedTuple):
    """One way to tell rules apart: what a rule says, and what a request answers."""

    name: str
    said: Said
    asked: Callable[[Asked], Sequence[Any]]


def growing(rules: Sequence[Rule]) -> Growing[Node]:
    """The index over rules given in their order of precedence."""
    items = []
    for rank, rule in enumerate(rules):
        items.append(Item(rank, rule, ""))
        yield
    return (yield from _by_key(items, _HOSTS, _by_prefix))


def in_order(values: Iterable[T], key: Callable[[T], Any], *, reverse: bool = False) -> Growing[list[T]]:
    """`sorted`, in slices."""
    values = list(values)
    runs = []
    for start in range(0, len(values), _SLICE):
        runs.append(sorted(values[start : start + _SLICE], key=key, reverse=reverse))
        yield
    if len(runs) < 2:
        return runs[0] if runs else []
    ordered = []
    for value in merge(*runs, key=key, reverse=reverse):
        ordered.append(value)
        yield
    return ordered


def _by_key(
    items: Sequence[Item], facet: Facet, grow: Callable[[Sequence[Item]], Growing[Node]]
) -> Growing[Node]:
    keyed: dict[Any, list[Item]] = {}
    rest = []
    for item in items:
        keys = facet.said(item.rule)
        if keys is None:
            rest.append(item)
        else:
            for key in keys:
                keyed.setdefault(key, []).append(item)
        yield
    if not keyed:
        return (yield from grow(rest))
    # The many hosts of one route share one subtree.
    grown: dict[tuple[int, ...], Node] = {}
    nodes = {}
    while keyed:
        key, group = keyed.popitem()
        ranks = tuple(item.rank for item in group)
        if ranks not in grown:
            grown[ranks] = yield from grow(group)
        nodes[key] = grown[ranks]
    return ByKey(items[0].rank, facet.asked, nodes, (yield from grow(rest)) if rest else None)


def _by_prefix(items: Sequence[Item]) -> Growing[Node]:
    groups: dict[str, list[Item]] = {}
    for rank, rule, _ in items:
        for prefix in rule.prefixes:
            groups.setdefault(prefix, []).append(Item(rank, rule, prefix))
        yield
    if not groups:
        return Leaf(())
    node = ByPrefix(items[0].rank)
    for prefix in (yield from in_order(groups, key=str)):
        node.append(prefix, (yield from _told_apart(groups.pop(prefix), _FACETS)))
    return node


def _told_apart(items: Sequence[Item], facets: Sequence[str]) -> Growing[Node]:
    """Rules of the same host and prefix, by whichever facet leaves fewest together."""
    yield
    best: Facet | None = None
    fewest = len(items)
    if len(items) > _FEW:
        for name in facets:
            facet = yield from _MAKERS[name](items)
            left = yield from _left_together(items, facet.said)
            if left < fewest:
                best, fewest = facet, left
    if best is None:
        return (yield from _last(items, methods_known="methods" not in facets))
    others = [name for name in facets if name != best.name]

    def grow(group: Sequence[Item]) -> Growing[Node]:
        return _told_apart(group, others)

    node = yield from _by_key(items, best, grow)
    return BySni(node, (yield from grow(items))) if best.name == "snis" else node


def _left_together(items: Sequence[Item], said: Said) -> Growing[int]:
    """How many rules the worst request meets after telling them apart."""
    sizes: Counter[Any] = Counter()
    rest = 0
    for item in items:
        keys = said(item.rule)
        if keys is None:
            rest += 1
        else:
            sizes.update(keys)
        yield
    return rest + max(sizes.values(), default=0)


def _last(items: Sequence[Item], *, methods_known: bool) -> Growing[Node]:
    """What cannot be told apart further, but for the regexes among it."""
    searched: list[tuple[Item, LinearPattern]] = []
    rest = []
    for item in items:
        linear = [pattern for pattern in item.rule.patterns if fits_a_set(pattern)]
        if linear and len(linear) == len(item.rule.patterns):
            searched.extend((item, pattern) for pattern in linear)
        else:
            rest.append(item)
        yield
    if len(searched) <= _FEW_PATTERNS:
        return (yield from _leaf(items, methods_known=methods_known))
    sets = []
    for batch in batches([pattern for _, pattern in searched]):
        patterns = PatternSet([pattern for _, pattern in searched[batch]])
        yield
        leaves = [Leaf((entry(item, methods_known=methods_known),)) for item, _ in searched[batch]]
        sets.append((patterns, leaves))
        yield
    return ByPattern(items[0].rank, sets, (yield from _leaf(rest, methods_known=methods_known)))


def _leaf(items: Sequence[Item], *, methods_known: bool) -> Growing[Leaf]:
    entries = []
    for item in items:
        entries.append(entry(item, methods_known=methods_known))
        yield
    return Leaf(entries)


def _methods(_: Sequence[Item]) -> Growing[Facet]:
    yield
    return Facet("methods", lambda rule: rule.methods, lambda asked: (asked[METHOD],))


def _snis(_: Sequence[Item]) -> Growing[Facet]:
    yield
    return Facet("snis", lambda rule: rule.snis, lambda asked: asked[SNIS] or ())


def _headers(items: Sequence[Item]) -> Growing[Facet]:
    """Of each rule, the header whose name has most values among these rules."""
    seen: set[tuple[tuple[str, ...], str]] = set()
    variety: Counter[tuple[str, ...]] = Counter()
    looked_up: set[str] = set()
    for item in items:
        for header in item.rule.headers:
            values = {(header.names, value) for value in header.exact} - seen
            seen |= values
            variety[header.names] += len(values)
            looked_up.update(header.names)
        yield

    def said(rule: Rule) -> Collection[tuple[str, str]] | None:
        exact = [header for header in rule.headers if not header.patterns]
        if not exact:
            return None
        header = max(exact, key=lambda header: variety[header.names])
        return [(name, value) for name in header.names for value in header.exact]

    def sent(asked: Asked) -> Sequence[tuple[str, str]]:
        headers = asked[HEADERS]
        names = looked_up if len(looked_up) <= _FEW else looked_up & headers.values.keys()
        return [
            (name, lowered(value))
            for name in names
            if name in headers.values
            for value in headers.get_all(name)
        ]

    return Facet("headers", said, sent)


_HOSTS: Final = Facet("hosts", lambda rule: rule.hosts, itemgetter(HOSTS))
_MAKERS: Final = {"methods": _methods, "headers": _headers, "snis": _snis}
_FACETS: Final = tuple(_MAKERS)
