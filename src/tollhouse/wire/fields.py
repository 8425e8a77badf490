"""Fields that are put on messages: made once, with their wire lines, to be sent often.

Lines here are whole fields, `name: value`; what a line says is read out of it only when it is asked for.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

#: a field made once to be sent often: lower-case name, value, wire line without CRLF
WireField = tuple[str, str, bytes]


def wire_value(value: str) -> str:
    """The value without what would end its line: control characters, percent-encoded as OpenResty does."""
    if _CONTROL.search(value):
        return _CONTROL.sub(lambda found: f"%{ord(found[0]):02X}", value)
    return value


def wire_field(name: str, value: str) -> WireField:
    """A field as `Headers.put_first` takes it.

    A plugin may take a value from anywhere, a decoded path for instance. Control characters, which would
    end the line, are percent-encoded as OpenResty does; characters beyond latin-1 are sent as UTF-8.
    """
    value = wire_value(value)
    try:
        return name.lower(), value, f"{name}: {value}".encode("latin-1")
    except UnicodeEncodeError:
        value = value.encode().decode("latin-1")
        return name.lower(), value, f"{name}: {value}".encode("latin-1")


class FieldSet(msgspec.Struct, eq=False):
    """Fields put on a message together: values by lower-case name, and their lines, each with CRLF.

    No name occurs twice. `unwanted` are names that must not stay beside them. Made of lines alone it
    reads the values out of them when they are asked for, which they seldom are.
    """

    known: dict[str, str] | None
    data: bytes
    unwanted: tuple[str, ...] = ()
    #: every name that it puts or rules out, of a set made once and put on many messages, so that it is worth
    #: while to remember what comes of it; else `None`
    touches: frozenset[str] | None = None

    @property
    def values(self) -> dict[str, str]:
        values = self.known
        if values is None:
            values = self.known = {key: line_value(line) for key, line in split_lines(self.data)}
        return values

    @classmethod
    def of(cls, fields: Sequence[WireField], unwanted: Iterable[str] = ()) -> "FieldSet":
        """The set of these fields, to be kept and put on many messages."""
        values = {key: value for key, value, _ in fields}
        lines = b"".join([line + b"\r\n" for _, _, line in fields])
        made = cls(values, lines, tuple(unwanted))
        made.touches = frozenset((*values, *made.unwanted))
        return made


def assigned(pairs: Iterable[tuple[str, bytes]], fields: FieldSet) -> list[tuple[str, bytes]]:
    """Field lines, each name of the set replaced where it first stood, or else added at the end."""
    lines = dict(split_lines(fields.data))
    kept = []
    for pair in pairs:
        key = pair[0]
        if key in lines:
            kept.append((key, lines.pop(key)))
        elif key not in fields.values and key not in fields.unwanted:
            kept.append(pair)
    return [*kept, *lines.items()]


def split_lines(data: bytes) -> list[tuple[str, bytes]]:
    """Lower-case name and line of each field."""
    lines = data.split(b"\r\n")[:-1]
    return [(line.partition(b":")[0].decode("latin-1").lower(), line) for line in lines]


def line_value(line: bytes) -> str:
    """What a field line says, without surrounding blanks."""
    return line.partition(b":")[2].strip(b" \t").decode("latin-1")
