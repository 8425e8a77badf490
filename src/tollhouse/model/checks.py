"""Rules across the fields of a record.

Fields are named by dotted paths. In the `CHECKS` of a plugin's settings, names that start with
`config.` are judged on the plugin as a whole, and so reported there, as Kong does.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from tollhouse.model.constraints import Constraints, Test, is_nonempty, is_reference, published
from tollhouse.model.fields import Field
from tollhouse.model.judges import Wrong
from tollhouse.model.lua import quoted_list

if TYPE_CHECKING:
    from tollhouse.model.schema import Record

#: takes the values and the error map, may add to the map, returns the text for the entity or None
BoundCheck: TypeAlias = Callable[[Mapping[str, Any], dict[str, Any]], str | None]

#: what `value_at` gives when a record on the way is not there
ABSENT: Final = object()


class Check(Protocol):
    """A rule across fields."""

    def names(self) -> tuple[str, ...]:
        """Paths of the fields the rule looks at."""

    def bind(self, record: "Record") -> BoundCheck:
        """The rule made ready for a record."""

    def describe(self) -> dict[str, Any]:
        """The rule as Kong publishes it."""


def is_outer(check: Check) -> bool:
    """Whether a check of a plugin's settings speaks of the plugin that holds them."""
    names = check.names()
    return bool(names) and all(name.startswith("config.") for name in names)


def value_at(values: Any, path: str) -> Any:
    """The value at a dotted path; `ABSENT` when a record on the way is not there."""
    for name in path.split("."):
        if not isinstance(values, dict) or name not in values:
            return ABSENT
        values = values[name]
    return values


def _set_error(errors: dict[str, Any], path: str, error: Any) -> None:
    *parents, last = path.split(".")
    place: Any = errors
    for name in parents:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            return  # a text about the whole record already stands there
    place[last] = error


class _Names(ABC):
    """A check that names its fields and nothing else."""

    __slots__ = ("_names",)

    text: str
    kind: str

    def __init__(self, *names: str) -> None:
        self._names = names

    def names(self) -> tuple[str, ...]:
        return self._names

    def describe(self) -> dict[str, Any]:
        return {self.kind: list(self._names)}

    def bind(self, record: "Record") -> BoundCheck:
        names = self._names
        nested = any("." in name for name in names)
        referenceable = _referenceable(record, names)
        text = self.text + quoted_list(names)

        def run(values: Mapping[str, Any], errors: dict[str, Any]) -> str | None:
            found = [value_at(values, name) if nested else values[name] for name in names]
            if self.holds([v for v in found if v is not ABSENT and is_nonempty(v)]):
                return None
            return None if any(is_reference(value_at(values, name)) for name in referenceable) else text

        return run

    @abstractmethod
    def holds(self, filled: list[Any]) -> bool:
        """Whether the rule holds, given the values of those fields that are not empty."""


def _referenceable(record: "Record", names: Sequence[str]) -> tuple[str, ...]:
    fields = [(name, record.field(name)) for name in names]
    return tuple(name for name, field in fields if field and field.rules.get("referenceable"))


class AtLeastOneOf(_Names):
    kind = "at_least_one_of"
    text = "at least one of these fields must be non-empty: "

    def holds(self, filled: list[Any]) -> bool:
        return bool(filled)


class OnlyOneOf(_Names):
    kind = "only_one_of"
    text = "exactly one of these fields must be non-empty: "

    def holds(self, filled: list[Any]) -> bool:
        return len(filled) == 1


class MutuallyRequired(_Names):
    kind = "mutually_required"
    text = "all or none of these fields must be set: "

    def holds(self, filled: list[Any]) -> bool:
        return len(filled) in (0, len(self._names))


class MutuallyExclusive(_Names):
    kind = "mutually_exclusive"
    text = "only one or none of these fields must be set: "

    def holds(self, filled: list[Any]) -> bool:
        return len(filled) <= 1


class Distinct(_Names):
    kind = "distinct"
    text = "values of these fields must be distinct: "

    def holds(self, filled: list[Any]) -> bool:
        return all(value not in filled[:at] for at, value in enumerate(filled))


def _narrowed(record: "Record", path: str, rules: Constraints) -> Field:
    field = record.field(path)
    if field is None:
        raise TypeError(f"a check names the unknown field {path}")
    return field.varied(rules)


@dataclass(frozen=True, slots=True)
class Conditional:
    """If one field satisfies some constraints, another one has to satisfy others."""

    if_field: str
    if_match: Constraints
    then_field: str
    then_match: Constraints
    err: str | None = None

    def names(self) -> tuple[str, ...]:
        return (self.if_field, self.then_field)

    def describe(self) -> dict[str, Any]:
        described = {
            "if_field": self.if_field,
            "if_match": _described(self.if_match),
            "then_field": self.then_field,
            "then_match": _described(self.then_match),
        }
        return {"conditional": described | ({"then_err": self.err} if self.err else {})}

    def bind(self, record: "Record") -> BoundCheck:
        condition = _narrowed(record, self.if_field, self.if_match)
        consequence = _narrowed(record, self.then_field, self.then_match)
        referenceable = _referenceable(record, self.names())

        def run(values: Mapping[str, Any], errors: dict[str, Any]) -> str | None:
            given = value_at(values, self.if_field)
            if given is None and self.if_field in errors and values.get(self.then_field) is not None:
                errors[self.if_field] = "field required for entity check"
            if given is ABSENT or condition.accept(given).__class__ is Wrong:
                return None
            if any(is_reference(value_at(values, name)) for name in referenceable):
                return None
            found = value_at(values, self.then_field)
            result = consequence.accept(None if found is ABSENT else found)
            if result.__class__ is not Wrong:
                return None
            _set_error(errors, self.then_field, result.error)
            return self.err or f"failed conditional validation given value of field '{self.if_field}'"

        return run


@dataclass(frozen=True, slots=True)
class ConditionalAtLeastOneOf:
    """If a field satisfies some constraints, one of these fields has to be set; else one of those."""

    if_field: str
    if_match: Constraints
    then_at_least_one_of: tuple[str, ...]
    #: `%s` stands for the names
    then_err: str | None = None
    else_match: Constraints | None = None
    else_then_at_least_one_of: tuple[str, ...] = ()
    else_then_err: str | None = None

    def names(self) -> tuple[str, ...]:
        return (self.if_field, *self.then_at_least_one_of, *self.else_then_at_least_one_of)

    def describe(self) -> dict[str, Any]:
        described: dict[str, Any] = {
            "if_field": self.if_field,
            "if_match": _described(self.if_match),
            "then_at_least_one_of": list(self.then_at_least_one_of),
            "then_err": self.then_err,
            "else_match": self.else_match and _described(self.else_match),
            "else_then_at_least_one_of": list(self.else_then_at_least_one_of) or None,
            "else_then_err": self.else_then_err,
        }
        return {"conditional_at_least_one_of": {k: v for k, v in described.items() if v is not None}}

    def bind(self, record: "Record") -> BoundCheck:
        branches = [_branch(record, self.if_field, self.if_match, self.then_at_least_one_of, self.then_err)]
        if self.else_match is not None:
            names = self.else_then_at_least_one_of
            branches.append(_branch(record, self.if_field, self.else_match, names, self.else_then_err))

        def run(values: Mapping[str, Any], errors: dict[str, Any]) -> str | None:
            given = value_at(values, self.if_field)
            if given is ABSENT or given is None:
                return None
            for condition, names, text in branches:
                if condition.accept(given).__class__ is not Wrong:
                    found = [value_at(values, name) for name in names]
                    return None if any(v is not ABSENT and is_nonempty(v) for v in found) else text
            return None

        return run


def _branch(
    record: "Record", path: str, rules: Constraints, names: tuple[str, ...], err: str | None
) -> tuple[Field, tuple[str, ...], str]:
    text = (err or AtLeastOneOf.text + "%s").replace("%s", quoted_list(names))
    return _narrowed(record, path, rules), names, text


@dataclass(frozen=True, slots=True)
class CustomEntity:
    """A function over the values; its text stands under `@entity`. Runs only if `fields` are right."""

    fields: tuple[str, ...]
    function: Callable[[Mapping[str, Any]], str | None]

    def names(self) -> tuple[str, ...]:
        return self.fields

    def describe(self) -> dict[str, Any]:
        return {"custom_entity_check": {"field_sources": list(self.fields)}}

    def bind(self, record: "Record") -> BoundCheck:
        def run(values: Mapping[str, Any], errors: dict[str, Any]) -> str | None:
            if any(name.partition(".")[0] in errors for name in self.fields):
                return None
            return self.function(values)

        return run


@dataclass(frozen=True, slots=True)
class Custom:
    """A function over a record whose fields and checks are right; its text refuses the whole record."""

    validator: Test


def _described(rules: Constraints) -> dict[str, Any]:
    shown = published(rules)
    if "required" in rules:
        shown["required"] = rules["required"]
    if "items" in rules:
        shown["elements"] = published(rules["items"])
    return shown
