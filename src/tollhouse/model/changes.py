"""What tells one snapshot from the next: the places of its collections where entities have changed.

Whoever has the first makes the second out of it by cutting these places out and putting others in, so that
all other entities, and their order, stay as they are.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from tollhouse.model.snapshot import DECODERS, Snapshot

T = TypeVar("T")

#: entities compared between two pauses
_SLICE: Final = 2000
_encoder: Final = msgspec.json.Encoder()


class Splice(NamedTuple):
    """In the place of what stands from `start` up to `stop` come these entities."""

    start: int
    stop: int
    entities: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Changes:
    """From the snapshot `before` to one with the hash `hash`: splices by collection, in their order."""

    before: Snapshot
    hash: str
    splices: Mapping[str, Sequence[Splice]] = field(default_factory=dict)

    def removed(self, collection: str) -> Iterator[Any]:
        """The entities that are no longer there, or were there in another form."""
        held = getattr(self.before, collection)
        for start, stop, _ in self.splices.get(collection, ()):
            yield from held[start:stop]

    def added(self, collection: str) -> Iterator[Any]:
        """The entities that are new, or have a new form."""
        for splice in self.splices.get(collection, ()):
            yield from splice.entities

    def touched(self, collection: str) -> Iterator[Any]:
        """All of these."""
        yield from self.removed(collection)
        yield from self.added(collection)

    @property
    def entities(self) -> int:
        """How many entities are exchanged, cut out or put in."""
        return sum(
            max(splice.stop - splice.start, len(splice.entities))
            for splices in self.splices.values()
            for splice in splices
        )

    def after(self) -> Snapshot:
        """The snapshot that they lead to."""
        collections = {name: getattr(self.before, name) for name in DECODERS}
        for name, splices in self.splices.items():
            collections[name] = _spliced(collections[name], splices)
        return Snapshot(hash=self.hash, **collections)


def _spliced(held: tuple[Any, ...], splices: Sequence[Splice]) -> tuple[Any, ...]:
    pieces: list[Any] = []
    place = 0
    for start, stop, entities in splices:
        pieces += held[place:start]
        pieces += entities
        place = stop
    pieces += held[place:]
    return tuple(pieces)


def changes_between(before: Snapshot, after: Snapshot) -> Changes:
    """The changes, found at once."""
    return at_once(comparing(before, after))


def comparing(before: Snapshot, after: Snapshot) -> Generator[None, None, Changes]:
    """Yields between slices; returns the changes. An entity is the same if it is the same object, which
    holds for all that two neighbouring snapshots of a process have in common."""
    splices: dict[str, Sequence[Splice]] = {}
    for name in DECODERS:
        old, new = getattr(before, name), getattr(after, name)
        if old is not new:
            found = yield from _comparing(old, new)
            if found:
                splices[name] = found
    return Changes(before, after.hash, splices)


def _comparing(old: tuple[Any, ...], new: tuple[Any, ...]) -> Generator[None, None, list[Splice]]:
    places: dict[int, int] = {}
    for place, entity in enumerate(old):
        places[id(entity)] = place
        if place % _SLICE == 0:
            yield
    splices: list[Splice] = []
    fresh: list[Any] = []
    next_place = 0
    for number, entity in enumerate(new):
        found = places.get(id(entity), -1)
        if found < next_place:  # new, or before its former neighbours
            fresh.append(entity)
        else:
            if found > next_place or fresh:
                splices.append(Splice(next_place, found, tuple(fresh)))
                fresh = []
            next_place = found + 1
        if number % _SLICE == 0:
            yield
    if next_place < len(old) or fresh:
        splices.append(Splice(next_place, len(old), tuple(fresh)))
    return splices


class _Written(msgspec.Struct):
    """Changes on their way, without what they begin from."""

    hash: str
    splices: dict[str, list[tuple[int, int, msgspec.Raw]]]


def encode_changes(changes: Changes) -> bytes:
    """The changes as JSON, without the snapshot that they begin from."""
    splices = {
        name: [(start, stop, msgspec.Raw(_encoder.encode(entities))) for start, stop, entities in found]
        for name, found in changes.splices.items()
    }
    return _encoder.encode(_Written(changes.hash, splices))


def decode_changes(data: bytes, before: Snapshot) -> Changes:
    """Changes that begin from this snapshot."""
    written = msgspec.json.decode(data, type=_Written)
    splices = {
        name: [Splice(start, stop, DECODERS[name].decode(entities)) for start, stop, entities in found]
        for name, found in written.splices.items()
    }
    return Changes(before, written.hash, splices)


def at_once(work: Generator[None, None, T]) -> T:
    """What work that pauses itself returns, without pausing."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
