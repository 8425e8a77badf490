"""Input-only keys: short forms of other fields, and deprecated names of moved ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tollhouse.model.checks import ABSENT, value_at
from tollhouse.model.constraints import Constraints
from tollhouse.model.fields import Field, Shape
from tollhouse.model.judges import Wrong
from tollhouse.model.lua import text_of

if TYPE_CHECKING:
    from tollhouse.model.schema import Record


@dataclass(frozen=True, slots=True)
class Shorthand:
    """An input-only key that sets other fields, and overrides what is given for them."""

    name: str
    kind: str
    expand: Callable[[Any], Mapping[str, Any]]
    rules: Constraints | None = None
    #: what it sets only where nothing is given
    implied: Callable[[Any], Mapping[str, Any]] | None = None

    def expand_into(self, raw: dict[str, Any], record: "Record") -> Any:
        """Replaces the key by what it stands for; returns what is wrong with it."""
        value = raw[self.name]
        if value is not None:
            result = Field(self.name, Shape(self.kind), self.rules or {}).judge(value)
            if result.__class__ is Wrong:
                raw.pop(self.name)
                return result.error
        raw.pop(self.name)
        raw.update(self.expand(value))
        for name, implied in self.implied(value).items() if self.implied is not None else ():
            raw.setdefault(name, implied)
        return None


@dataclass(frozen=True, slots=True)
class Renamed:
    """A deprecated key that is copied to its new place, and echoed when the record is read."""

    name: str
    to: str

    def current(self, values: Mapping[str, Any]) -> Any:
        """What the new place holds."""
        found = value_at(values, self.to)
        return None if found is ABSENT else found

    def expand_into(self, raw: dict[str, Any], record: "Record") -> Any:
        """Moves the value to its new place; returns what is wrong with it."""
        value = raw.pop(self.name)
        if value is None:
            return None
        field = record.field(self.to)
        if field is None:
            raise TypeError(f"{self.name} is renamed to the unknown field {self.to}")
        result = field.judge(value)
        if result.__class__ is Wrong:
            return result.error
        current = self.current(raw)
        if current is None:
            _put(raw, self.to, value)
        elif current != value:
            return (
                "both deprecated and new field are used but their values mismatch: "
                f"{self.name} = {text_of(value)} vs {self.to} = {text_of(current)}"
            )
        return None


def _put(raw: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        # The input belongs to the caller (and may be shared by a YAML alias): change only copies.
        child = raw.get(name)
        raw[name] = dict(child) if isinstance(child, Mapping) else {}
        raw = raw[name]
    raw[last] = value


def only_default(name: str, default: Any) -> Shorthand:
    """A field of Kong's about what a plugin does not do: accepted while it asks for nothing, so that
    exports of Kong load and nothing is ignored in silence."""

    def problem(value: Any) -> str | None:
        if value == default or value in (False, [], {}, ""):
            return None
        return f"not supported: only {default!r}, Kong's default, is accepted"

    return Shorthand(name, "any", lambda _: {}, {"validator": problem})
