"""The index: from a request to the first rule it passes, without looking at the others.

A tree of nodes. Hosts are keys of a dictionary; below them paths are found by bisection among the
sorted prefixes, each of which knows its longest proper prefix; a regex stands under the text that
its matches begin with. Where many rules are left (the same host and path), they are told apart by
method, header or SNI, whichever leaves fewest, and regexes among them by sets of some hundred. Each
node knows its first rule, so that a subtree which cannot improve on what was found is not entered.

Cost of a look-up: constant in the number of hosts, methods, header values and SNIs, logarithmic in
that of paths, a few µs for each hundred regexes that begin with the same text. Linear: in rules that
differ by nothing but header regexes, by patterns that RE2 refuses, or by parts of an expression that
are not a plain condition on host, path, method or header; and in the depth of nested prefixes.
"""

from bisect import bisect_right
from collections.abc import Callable, Generator, Sequence
from sys import maxsize
from typing import Final, NamedTuple, Protocol, TypeAlias

from tollhouse.routing.match import Match
from tollhouse.routing.patterns import PatternSet
from tollhouse.routing.rules import PATH, SNIS, Asked, Attempt, Rule

#: rank of a rule and its match; the smallest rank wins
Hit: TypeAlias = tuple[int, Match]
NEVER: Final = maxsize


class Item(NamedTuple):
    """A rule on its way down the tree; `prefix` is the key it stands under."""

    rank: int
    rule: Rule
    prefix: str


class Node(Protocol):
    first: int

    def find(self, asked: Asked, best: int) -> Hit | None:
        """The first rule that passes, if its rank is below `best`."""

    def dismantling(self) -> Generator[None]:
        """Lets go of everything below, in small steps: freeing it at once would take as long as many
        requests. Nothing is found here afterwards."""


class Entry(NamedTuple):
    """A rule at the end of the way: either `hit` is sure by now, or `attempt` has the last word."""

    rank: int
    hit: Hit | None
    attempt: Attempt | None


def entry(item: Item, *, methods_known: bool) -> Entry:
    left = item.rule.attempt(item.prefix, methods_known=methods_known)
    if isinstance(left, Match):
        return Entry(item.rank, (item.rank, left), None)
    return Entry(item.rank, None, left)


class Leaf:
    """A few rules, tried in order."""

    __slots__ = ("_entries", "first")

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.first = entries[0].rank if entries else NEVER
        self._entries = entries

    def find(self, asked: Asked, best: int) -> Hit | None:
        for rank, hit, attempt in self._entries:
            if rank >= best:
                return None
            if attempt is None:
                return hit
            match = attempt(asked)
            if match is not None:
                return rank, match
        return None

    def dismantling(self) -> Generator[None]:
        self._entries = ()
        yield


class ByKey:
    """Rules that name one of many keys, and those that name none."""

    __slots__ = ("_keys", "_nodes", "_rest", "first")

    def __init__(
        self,
        first: int,
        keys: Callable[[Asked], Sequence[object]],
        nodes: dict[object, Node],
        rest: Node | None,
    ) -> None:
        self.first = first
        self._keys = keys
        self._nodes = nodes
        self._rest = rest

    def find(self, asked: Asked, best: int) -> Hit | None:
        hit = None
        nodes = self._nodes
        for key in self._keys(asked):
            node = nodes.get(key)
            if node is not None and node.first < best:
                found = node.find(asked, best)
                if found is not None:
                    hit = found
                    best = found[0]
        rest = self._rest
        if rest is not None and rest.first < best:
            return rest.find(asked, best) or hit
        return hit

    def dismantling(self) -> Generator[None]:
        while self._nodes:
            _, node = self._nodes.popitem()
            yield from node.dismantling()
        if self._rest is not None:
            yield from self._rest.dismantling()


class ByPrefix:
    """Rules under the text that a path must begin with.

    The longest prefix of a path is the greatest one not above it, or one of that one's own prefixes.
    """

    __slots__ = ("_firsts", "_nodes", "_parents", "_prefixes", "first")

    def __init__(self, first: int) -> None:
        self.first = first
        self._prefixes: list[str] = []
        self._nodes: list[Node] = []
        # for each prefix, the place of its longest proper prefix (-1 without one), and the first rule
        # under any prefix on the way up from it
        self._parents: list[int] = []
        self._firsts: list[int] = []

    def _parent_of(self, prefix: str) -> int:
        """The place of the longest prefix so far that this one begins with. They come in order."""
        place = len(self._prefixes) - 1
        while place >= 0 and not prefix.startswith(self._prefixes[place]):
            place = self._parents[place]
        return place

    def append(self, prefix: str, node: Node) -> None:
        parent = self._parent_of(prefix)
        above = self._firsts[parent] if parent >= 0 else NEVER
        self._parents.append(parent)
        self._firsts.append(min(node.first, above))
        self._prefixes.append(prefix)
        self._nodes.append(node)

    def find(self, asked: Asked, best: int) -> Hit | None:
        path = asked[PATH]
        hit = None
        place = bisect_right(self._prefixes, path) - 1
        while place >= 0 and self._firsts[place] < best:
            if path.startswith(self._prefixes[place]):
                found = self._nodes[place].find(asked, best)
                if found is not None:
                    hit = found
                    best = found[0]
            place = self._parents[place]
        return hit

    def dismantling(self) -> Generator[None]:
        self._prefixes.clear()
        while self._nodes:
            yield from self._nodes.pop().dismantling()


class BySni:
    """SNIs are asked for on TLS connections only; any other request meets all the rules."""

    __slots__ = ("_cleartext", "_tls", "first")

    def __init__(self, tls: Node, cleartext: Node) -> None:
        self._tls = tls
        self._cleartext = cleartext
        self.first = cleartext.first

    def find(self, asked: Asked, best: int) -> Hit | None:
        return (self._cleartext if asked[SNIS] is None else self._tls).find(asked, best)

    def dismantling(self) -> Generator[None]:
        yield from self._cleartext.dismantling()
        yield from self._tls.dismantling()


class ByPattern:
    """Regex rules behind sets that tell at once which of them fit, and rules without a regex.

    `sets` holds the patterns of consecutive rules in their order, each with the rule it is of.
    """

    __slots__ = ("_rest", "_sets", "first")

    def __init__(self, first: int, sets: list[tuple[PatternSet, list[Leaf]]], rest: Leaf) -> None:
        self.first = first
        self._sets = sets
        self._rest = rest

    def find(self, asked: Asked, best: int) -> Hit | None:
        hit = self._rest.find(asked, best)
        if hit is not None:
            best = hit[0]
        subject = asked[PATH].encode("latin-1")
        for patterns, rules in self._sets:
            if rules[0].first >= best:
                break
            for place in sorted(patterns.matching(subject)):
                found = rules[place].find(asked, best)
                if found is not None:
                    return found
        return hit

    def dismantling(self) -> Generator[None]:
        yield from self._rest.dismantling()
        while self._sets:
            _, rules = self._sets.pop()
            while rules:
                yield from rules.pop().dismantling()
