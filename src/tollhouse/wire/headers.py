"""Header fields as they travel: wire lines for forwarding, an index for looking up.

The same peer sends the same header lines again and again. So the part that came off the wire is a
`FieldBlock`: checked and indexed once, then shared by every message that carries the same bytes, along
with its lines as they are forwarded. A message's own `Headers` begins as a view of such a block; what
plugins add is kept beside it, and only a change to what came off the wire makes a copy.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

import msgspec

from tollhouse.wire.fields import FieldSet, WireField, assigned, line_value, split_lines, wire_field

_COMMA: Final = ", "
_FORWARDS_KEPT: Final = 8


class FieldBlock:
    """The field lines of one head, in order. Shared between messages and never changed.

    `values` has the first value of each lower-case name. While no name is repeated, its order is that
    of the lines; `names` exists only when a name is repeated.
    """

    __slots__ = (
        "begins",
        "changed",
        "forwarded",
        "forwards",
        "lines",
        "names",
        "original",
        "returned",
        "values",
    )

    def __init__(self, lines: list[bytes], fields: list[tuple[str, str]]) -> None:
        self.lines = lines
        #: the values as they came off the wire, whatever sets have been put on since
        self.original: dict[str, str]
        self.values = dict(fields)
        self.names: list[str] | None = None
        if len(self.values) != len(lines):
            self.names = [name for name, _ in fields]
            self.values = dict(reversed(fields))
        self.forwards: dict[frozenset[str], bytes] = {}
        #: this block with a set put on; `None` for a set that was asked for once
        self.changed: dict[FieldSet, FieldBlock | None] = {}
        #: the names that begin in one of some ways
        self.begins: dict[tuple[str, ...], tuple[str, ...]] = {}
        #: how a client's block is sent on, once the flow has worked that out: the hop's own fields, the
        #: lines that go along, and whether they come without X-Forwarded-For
        self.forwarded: tuple[str, bytes, bool] | None = None
        #: how an upstream's block is sent on, once the flow has worked that out: names that stay behind,
        #: lines without them, the gateway's own lines that depend on the block, and whether it has a date
        self.returned: tuple[frozenset[str], bytes, str, bool] | None = None
        self.original = self.values

    def without(self, unwanted: frozenset[str]) -> bytes:
        """The lines but for those named, each with CRLF; remembered, for few sets are ever asked for."""
        found = self.forwards.get(unwanted)
        if found is None:
            names: Iterable[str] = self.values if self.names is None else self.names
            kept = [line for line, name in zip(self.lines, names, strict=True) if name not in unwanted]
            found = b"\r\n".join((*kept, b""))
            if len(self.forwards) < _FORWARDS_KEPT:
                self.forwards[unwanted] = found
        return found

    def with_set(self, fields: FieldSet) -> "FieldBlock | None":
        """This block with a lasting set assigned; remembered. `None` if too many have been asked for, and the
        first time: of a block that never comes again nothing should be made to be remembered."""
        found = self.changed.get(fields)
        if found is None and fields not in self.changed:
            if len(self.changed) < _FORWARDS_KEPT:
                self.changed[fields] = None
        elif found is None:
            lines = assigned(self.pairs(), fields)
            found = FieldBlock([line for _, line in lines], [(key, line_value(line)) for key, line in lines])
            found.original = self.original
            self.changed[fields] = found
        return found

    def pairs(self) -> "list[tuple[str, bytes]]":
        """Lower-case name and line of each field."""
        names: Iterable[str] = self.values if self.names is None else self.names
        return list(zip(names, self.lines, strict=True))


NO_FIELDS: Final = FieldBlock([], [])


class Headers(msgspec.Struct, eq=False):
    """An ordered multi-map of header fields. Names are looked up in lower case.

    Values are `str` with one character per byte (latin-1), without surrounding blanks.
    """

    #: what came off the wire; as long as `values` is the block's own, nothing was added or changed
    block: FieldBlock
    #: first value by lower-case name; read it directly where speed counts
    values: dict[str, str]
    _repeats: bool = False
    #: what was added beside the block: the lower-case names, and their lines with CRLF
    _added: list[tuple[Collection[str], bytes]] | None = None
    #: the lines as (lower-case name, line), once the block no longer tells them
    _owned: list[tuple[str, bytes]] | None = None

    @classmethod
    def of(cls, block: FieldBlock) -> "Headers":
        """A message's view of a shared block."""
        return cls(block, block.values)

    @classmethod
    def new(cls, fields: Iterable[tuple[str, str]] = ()) -> "Headers":
        """Those of a message that did not come off the wire."""
        headers = cls(NO_FIELDS, {})
        for name, value in fields:
            headers.add(name, value)
        return headers

    def copy(self) -> "Headers":
        """The same fields, to be changed apart."""
        made = Headers.of(self.block)
        made._repeats = self._repeats
        made._added = None if self._added is None else list(self._added)
        made._owned = None if self._owned is None else list(self._owned)
        if self.values is not self.block.values:
            made.values = dict(self.values)
        return made

    # Looking up

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of the field, as Kong's `get_header` gives it."""
        return self.values.get(name, default)

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    @property
    def has_repeats(self) -> bool:
        """Whether some name may have more than one line."""
        return self._repeats or self.block.names is not None or self._owned is not None

    def is_original(self, name: str) -> bool:
        """Whether the field is as it came off the wire."""
        return self.block.original.get(name) == self.values.get(name)

    def get_all(self, name: str) -> list[str]:
        """Every value of the field, in order."""
        if not self.has_repeats:
            return [self.values[name]] if name in self.values else []
        return [line_value(line) for key, line in self._lines() if key == name]

    def joined(self, name: str) -> str | None:
        """All values of the field as one list value (RFC 9110 5.3), `None` without any."""
        if not self.has_repeats:
            return self.values.get(name)
        return _COMMA.join(self.get_all(name)) if name in self.values else None

    def items(self) -> Iterator[tuple[str, str]]:
        """Lower-case name and value of each field line, in order."""
        for key, line in self._lines():
            yield key, line_value(line)

    def grouped(self) -> dict[str, str | list[str]]:
        """As log records show them: repeated names have a list of values."""
        if not self.has_repeats:
            return dict(self.values)
        found: dict[str, str | list[str]] = {}
        for name, value in self.items():
            earlier = found.get(name)
            if earlier is None:
                found[name] = value
            elif isinstance(earlier, list):
                earlier.append(value)
            else:
                found[name] = [earlier, value]
        return found

    def _lines(self) -> list[tuple[str, bytes]]:
        if self._owned is not None:
            return self._owned
        added = (split_lines(data) for _, data in self._added or ())
        return [*self.block.pairs(), *chain.from_iterable(added)]

    def beginning(self, prefixes: tuple[str, ...]) -> tuple[str, ...]:
        """The names that begin so."""
        block, values = self.block, self.values
        known = block.begins.get(prefixes) if values is block.values else None
        if known is None:
            known = tuple(name for name in values if name.startswith(prefixes))
            if values is block.values:
                block.begins[prefixes] = known
        return known

    # Changing

    def add(self, name: str, value: str) -> None:
        """Appends a field line and keeps those of the same name."""
        key, value, line = wire_field(name, value)
        self._own_values()
        if key in self.values:
            self._repeats = True
        else:
            self.values[key] = value
        self._append(key, line)

    def put_first(self, fields: Sequence[WireField]) -> None:
        """Adds field lines before those of the same names that are there already."""
        self.prepend(FieldSet.of(fields))

    def prepend(self, fields: FieldSet) -> None:
        """Adds the fields before those of the same names that are there already, but for the unwanted."""
        for key in fields.unwanted:
            if key in self.values:
                self.remove(key)
        if self._owned is None and fields.values.keys().isdisjoint(self.values):
            self._join(fields.values, fields.data)
            return
        self._owned = [*split_lines(fields.data), *self._lines()]
        self.values = {**self.values, **fields.values}

    def assign(self, fields: FieldSet) -> None:
        """Sets every field of the set and removes what it does not want beside them."""
        touches = fields.touches
        if touches is not None and self._owned is None:
            if self._added is None:
                # Nearly all messages: the block with this set is remembered, and nothing lies beside it.
                block = self.block.changed.get(fields) or self.block.with_set(fields)
                if block is not None:
                    self.block, self.values = block, block.values
                    return
            elif self._assign_beneath(self._added, fields, touches):
                return
        present, given = self.values.keys(), fields.values
        if self._owned is None and present.isdisjoint(given) and present.isdisjoint(fields.unwanted):
            self._join(given, fields.data)
            return
        self._owned = assigned(self._lines(), fields)
        values = {**self.values, **given}
        self.values = {key: value for key, value in values.items() if key not in fields.unwanted}

    def _assign_beneath(
        self, added: list[tuple[Collection[str], bytes]], fields: FieldSet, touches: frozenset[str]
    ) -> bool:
        """Takes the remembered block with these fields, if there is one and what was added stays beside."""
        for names, _ in added:
            if not touches.isdisjoint(names):
                return False
        block = self.block.with_set(fields)
        if block is None:
            return False
        values = dict(block.values)
        for names, _ in added:
            for name in names:
                values[name] = self.values[name]
        self.block, self.values = block, values
        return True

    def _join(self, values: dict[str, str], lines: bytes) -> None:
        self._own_values()
        self.values.update(values)
        if self._added is None:
            self._added = [(values, lines)]
        else:
            self._added.append((values, lines))

    def set_field(self, field: WireField) -> None:
        """Replaces every field line of that name by this one, at the place of the first."""
        key, value, line = field
        if self.values is self.block.values:
            self.values = dict(self.values)
        if key not in self.values:
            self.values[key] = value
            if self._added is None and self._owned is None:
                self._added = [((key,), line + b"\r\n")]
            else:
                self._append(key, line)
            return
        lines = self._lines()
        place = next(i for i, (found, _) in enumerate(lines) if found == key)
        kept = [pair for pair in lines[place + 1 :] if pair[0] != key]
        self._owned = [*lines[:place], (key, line), *kept]
        self.values[key] = value

    def set(self, name: str, value: str) -> None:
        """Replaces every field line of that name by one, at the place of the first."""
        self.set_field(wire_field(name, value))

    def remove(self, name: str) -> None:
        """Removes every field line of that name; absent is fine."""
        if name in self.values:
            self._owned = [pair for pair in self._lines() if pair[0] != name]
            self._own_values()
            del self.values[name]

    def _own_values(self) -> None:
        if self.values is self.block.values:
            self.values = dict(self.values)

    def _append(self, key: str, line: bytes) -> None:
        if self._owned is not None:
            self._owned.append((key, line))
        elif self._added is None:
            self._added = [((key,), line + b"\r\n")]
        else:
            self._added.append(((key,), line + b"\r\n"))

    # Sending

    def added(self, without: frozenset[str]) -> bytes | None:
        """The wire lines beside those of the block; `None` if the block's own have changed, or if one of
        these names is among the others."""
        if self._owned is not None:
            return None
        lines = b""
        for names, data in self._added or ():
            if not without.isdisjoint(names):
                return None
            lines += data
        return lines

    def without(self, unwanted: frozenset[str]) -> bytes:
        """The wire lines, each with CRLF, but for those whose names are in `unwanted`."""
        if self._owned is not None:
            return b"".join([line + b"\r\n" for key, line in self._owned if key not in unwanted])
        lines = self.block.forwards.get(unwanted) or self.block.without(unwanted)
        for names, data in self._added or ():
            if unwanted.isdisjoint(names):
                lines += data
            else:
                lines += b"".join([line + b"\r\n" for key, line in split_lines(data) if key not in unwanted])
        return lines
