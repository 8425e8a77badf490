"""Which of several targets is asked: one function for each algorithm. Pure."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final, Literal, TypeAlias

from tollhouse.llm.targets.target import Target

Algorithm: TypeAlias = Literal[
    "consistent-hashing",
    "least-connections",
    "lowest-latency",
    "lowest-usage",
    "priority",
    "round-robin",
    "semantic",
]
#: picks one of these targets, of which there is at least one; the text is what consistent hashing hashes
Choose: TypeAlias = Callable[[Sequence[Target], str], Target]

_POINT_BYTES: Final = 8


def chooser(algorithm: Algorithm, targets: Sequence[Target], slots: int) -> Choose:
    """The algorithm, made ready for these targets."""
    match algorithm:
        case "consistent-hashing":
            return Ring(targets, slots).choose
        case "priority":
            return Priority().choose
        case "least-connections":
            return lambda among, _: min(among, key=lambda target: (target.seen.running + 1) / target.weight)
        case "lowest-latency":
            return lambda among, _: min(among, key=lambda target: target.seen.latency or 0.0)
        case "lowest-usage":
            return lambda among, _: min(among, key=lambda target: target.seen.used / target.weight)
        case "round-robin":
            return RoundRobin().choose
        case "semantic":
            raise ValueError("semantic choice needs a vector store")


class RoundRobin:
    """Targets in turn, by their weights and evenly spread: of weights 2 and 1 it is a, b, a, a, b, a."""

    def __init__(self) -> None:
        self._credit: dict[int, int] = {}

    def choose(self, among: Sequence[Target], _: str) -> Target:
        credit = self._credit
        for target in among:
            credit[target.number] = credit.get(target.number, 0) + target.weight
        chosen = max(among, key=lambda target: credit[target.number])
        credit[chosen.number] -= sum(target.weight for target in among)
        return chosen


class Priority:
    """Those of the greatest weight in turn; the next only when none of them is left."""

    def __init__(self) -> None:
        self._turns = 0

    def choose(self, among: Sequence[Target], _: str) -> Target:
        greatest = max(target.weight for target in among)
        group = [target for target in among if target.weight == greatest]
        self._turns += 1
        return group[self._turns % len(group)]


class Ring:
    """Equal texts lead to equal targets, also after another target has come or gone."""

    def __init__(self, targets: Sequence[Target], slots: int) -> None:
        """`slots` are the places on the ring, shared out by weight."""
        total = sum(target.weight for target in targets)
        places = sorted(
            (_point(f"{target.label}:{place}"), target.number)
            for target in targets
            for place in range(max(1, slots * target.weight // total))
        )
        self._points = [point for point, _ in places]
        self._numbers = [number for _, number in places]

    def choose(self, among: Sequence[Target], key: str) -> Target:
        """The first of them on the ring from where the text is."""
        wanted = {target.number: target for target in among}
        start = bisect_right(self._points, _point(key))
        for place in range(len(self._numbers)):
            found = wanted.get(self._numbers[(start + place) % len(self._numbers)])
            if found is not None:
                return found
        return among[0]


def _point(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=_POINT_BYTES).digest())
