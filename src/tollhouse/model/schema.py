"""Settings declared once on frozen dataclasses, read as Kong's schemas.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Config:
        minute: float | None = setting(None, gt=0, doc="Requests allowed in a minute.")
        CHECKS = (AtLeastOneOf("config.second", "config.minute"),)

The kind of a field follows from its annotation: `tuple[T, ...]` is an array (a set with `as_set`),
`Mapping[str, T]` a map, a nested dataclass a record that is filled with its own defaults, `Literal`
a string with `one_of`, `Ref` a foreign key, and `| None` makes it nullable.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, Unpack, get_args, get_origin, get_type_hints

import msgspec

from tollhouse.model.checks import BoundCheck, Check, Custom, is_outer
from tollhouse.model.constraints import Constraints, Test
from tollhouse.model.fields import MISSING, Field, Missing, Shape, copied
from tollhouse.model.judges import Wrong
from tollhouse.model.shorthands import Renamed, Shorthand

T = TypeVar("T")

_SCALARS: Final[dict[Any, str]] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    Any: "any",
    object: "any",
}


@dataclass(frozen=True, slots=True)
class Ref:
    """A foreign key: the id of another entity."""

    id: str


def setting(
    default: Any = MISSING,
    *,
    doc: str,
    unit: str | None = None,
    name: str | None = None,
    **rules: Unpack[Constraints],
) -> Any:
    """A field of a settings class; without a default it has to be given, unless it is a record.

    `name` is for names that Python cannot give to an attribute, such as `in` or `X-Cache-Key`.

    The default of a record is its class, or an instance if the published schema shall show one; that
    of a map is `dict`.
    """
    metadata = {"setting": (default, doc, unit, rules), "name": name}
    if isinstance(default, Missing):
        return dataclasses.field(metadata=metadata)
    if isinstance(default, type):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def item(**rules: Unpack[Constraints]) -> Constraints:
    """Constraints of the elements of an array, or of the keys or values of a map."""
    return rules


class Record:
    """A settings class as a schema: checks raw input, fills in defaults, gives Kong's error map."""

    def __init__(
        self,
        fields: Mapping[str, Field],
        *,
        checks: tuple[Check, ...] = (),
        outer_checks: tuple[Check, ...] = (),
        shorthands: tuple[Shorthand | Renamed, ...] = (),
        validators: tuple[Test, ...] = (),
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        self.fields = fields
        #: the Python attributes of fields that have another name there
        self.attributes = attributes or {}
        inner = [shape.record for field in fields.values() if (shape := _innermost(field.shape)).record]
        #: whether such fields are here or further inside
        self.renames: bool = bool(self.attributes) or any(record.renames for record in inner if record)
        #: what files mean that leave fields out which have to be given
        self.assumed = {
            name: field.rules["assumed"] for name, field in fields.items() if "assumed" in field.rules
        }
        self.checks = checks
        #: checks that speak of `config.x`: they run on the plugin that holds this record
        self.outer_checks = outer_checks
        self.shorthands = shorthands
        #: judge the whole record once its fields are right; a text replaces the whole error map
        self.validators = validators
        self._bound: tuple[BoundCheck, ...] = tuple(check.bind(self) for check in checks)
        self._judges = {name: field.judge for name, field in fields.items()}
        absent = {name: field.absent() for name, field in fields.items()}
        #: defaults that may be shared, and those that are copied for every entity
        self._blank = {
            name: value.partial if _is_wrong(value) else value
            for name, value in absent.items()
            if not fields[name].rules.get("extra")
        }
        self._fresh = tuple(entry for entry in self._blank.items() if isinstance(entry[1], dict | list))
        self._needed = tuple((name, value.error) for name, value in absent.items() if _is_wrong(value))

    def blank(self) -> dict[str, Any]:
        """Every field at its default; null for one that has none."""
        values = self._blank.copy()
        for name, template in self._fresh:
            values[name] = copied(template)
        return values

    def check(
        self, raw: Mapping[str, Any], *, skip: Collection[str] = (), expand: bool = True
    ) -> tuple[dict[str, Any], Any]:
        """The input normalised, all defaults filled in, and what is wrong with it.

        Errors are Kong's map by field, or one text if a validator refused the whole; empty when all
        is well. Keys in `skip` are left out without a word. Without `expand` no key of its own is taken
        for a short form: for input that `expanded` has gone over before.
        """
        values, errors = self._checked(raw, skip, expand)
        if not errors:
            for validator in self.validators:
                if (whole := validator(values)) is not None:
                    return values, whole
        return values, errors

    def judge(self, value: Mapping[str, Any]) -> Any:
        """The judge of a nested record; its validators run after it."""
        values, errors = self._checked(value, (), True)
        return Wrong(errors, values) if errors else values

    def _checked(
        self, raw: Mapping[str, Any], skip: Collection[str], expand: bool
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        values, errors = self._check_fields(raw, skip, expand)
        for check in self._bound:
            problem = check(values, errors)
            if problem is not None:
                errors.setdefault("@entity", []).append(problem)
        return values, errors

    def _check_fields(
        self, raw: Mapping[str, Any], skip: Collection[str], expand: bool
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        errors: dict[str, Any] = {}
        if self.shorthands and expand:
            raw = self._expanded(raw, errors)
        values = self.blank()
        checks = self._judges
        for name, value in raw.items():
            judge = checks.get(name)
            if judge is None:
                if name not in skip:
                    errors[name] = "unknown field"
                continue
            result = self.fields[name].null() if value is None else judge(value)
            if result.__class__ is Wrong:
                errors[name] = result.error
                values[name] = value if result.partial is None else result.partial
            else:
                values[name] = result
        for name, error in self._needed:
            if name not in raw:
                errors[name] = copied(error)
        return values, errors

    def expanded(self, raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Partial input with its short forms written out, those of nested records too, and what is wrong
        with them."""
        errors: dict[str, Any] = {}
        values = self._expanded(raw, errors)
        for name, field in self.fields.items():
            if field.shape.record and isinstance(values.get(name), Mapping):
                values[name], inner = field.shape.record.expanded(values[name])
                errors |= {name: inner} if inner else {}
        return values, errors

    def _expanded(self, raw: Mapping[str, Any], errors: dict[str, Any]) -> dict[str, Any]:
        expanded = dict(raw)
        for shorthand in self.shorthands:
            if shorthand.name in expanded:
                problem = shorthand.expand_into(expanded, self)
                if problem is not None:
                    errors[shorthand.name] = problem
        return expanded

    def field(self, path: str) -> Field | None:
        """The field at a dotted path, through nested records."""
        name, _, rest = path.partition(".")
        field = self.fields.get(name)
        if not rest or field is None:
            return field
        return field.shape.record.field(rest) if field.shape.record else None

    def varied(
        self,
        changes: Mapping[str, Mapping[str, Any]],
        *,
        checks: tuple[Check, ...] = (),
        without: Collection[str] = (),
    ) -> "Record":
        """A variant: constraints of some fields replaced, checks added, fields left out."""
        fields = {
            name: field.varied(changes[name]) if name in changes else field
            for name, field in self.fields.items()
            if name not in without
        }
        return Record(
            fields,
            checks=(*self.checks, *checks),
            outer_checks=self.outer_checks,
            shorthands=self.shorthands,
            validators=self.validators,
            attributes=self.attributes,
        )

    def outdated(self, raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """The deprecated names that an input gives a value, with the new ones, as dotted paths."""
        for shorthand in self.shorthands:
            if isinstance(shorthand, Renamed) and raw.get(shorthand.name) is not None:
                yield shorthand.name, shorthand.to
        for name, field in self.fields.items():
            if field.shape.record and isinstance(inner := raw.get(name), Mapping):
                for old, new in field.shape.record.outdated(inner):
                    yield f"{name}.{old}", f"{name}.{new}"

    def echoed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values with deprecated names beside the new ones, as Kong's Admin API returns them."""
        shown = dict(values)
        for name, field in self.fields.items():
            if field.shape.record and isinstance(values.get(name), Mapping):
                shown[name] = field.shape.record.echoed(values[name])
        for shorthand in self.shorthands:
            if isinstance(shorthand, Renamed):
                shown[shorthand.name] = shorthand.current(values)
        return shown

    def without_newer(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values without settings that Kong's version does not know, unless they say something."""
        return {
            name: value
            for name, value in values.items()
            if name not in self.fields
            or not (self.fields[name].rules.get("hidden") or self.fields[name].rules.get("newer"))
            or value != self.fields[name].absent()
        }


class Unchecked(Record):
    """Stands for settings that nobody knows: whatever they are, they are kept."""

    def __init__(self) -> None:
        super().__init__({})

    def check(
        self, raw: Mapping[str, Any], *, skip: Collection[str] = (), expand: bool = True
    ) -> tuple[dict[str, Any], Any]:
        return {name: copied(value) for name, value in raw.items() if name not in skip}, {}

    def judge(self, value: Mapping[str, Any]) -> Any:
        return self.check(value)[0]


def _is_wrong(value: Any) -> bool:
    return value.__class__ is Wrong


@cache
def schema_of(cls: type) -> Record:
    """The schema of a settings class, compiled once."""
    hints = get_type_hints(cls)
    fields = {}
    for declared in dataclasses.fields(cls):
        if "setting" not in declared.metadata:
            raise TypeError(f"{cls.__name__}.{declared.name} is not a setting()")
        default, doc, unit, rules = declared.metadata["setting"]
        shape = shape_of(hints[declared.name])
        name = declared.metadata["name"] or declared.name
        field = Field(name, shape, rules, default=_json(default), doc=doc, unit=unit)
        if field.absent() is None and not shape.nullable and not rules.get("auto"):
            raise TypeError(f"{cls.__name__}.{field.name} is null by default: its type has to say so")
        fields[field.name] = field
    declared_checks: tuple[Check | Custom, ...] = getattr(cls, "CHECKS", ())
    checks = [check for check in declared_checks if not isinstance(check, Custom)]
    return Record(
        fields,
        checks=tuple(check for check in checks if not is_outer(check)),
        outer_checks=tuple(check for check in checks if is_outer(check)),
        shorthands=getattr(cls, "SHORTHANDS", ()),
        validators=tuple(check.validator for check in declared_checks if isinstance(check, Custom)),
        attributes={
            declared.metadata["name"]: declared.name
            for declared in dataclasses.fields(cls)
            if declared.metadata["name"]
        },
    )


def _innermost(shape: Shape) -> Shape:
    """The shape itself, or that of the elements of a collection."""
    return _innermost(shape.element) if shape.element is not None else shape


def shape_of(annotation: Any) -> Shape:
    """What an annotation says about a value."""
    if get_origin(annotation) in (Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        if len(kinds) != 1:
            raise TypeError(f"a setting has one type, not {annotation}")
        return dataclasses.replace(shape_of(kinds[0]), nullable=True)
    if annotation in _SCALARS:
        return Shape(_SCALARS[annotation])
    if annotation is Ref:
        return Shape("foreign")
    if dataclasses.is_dataclass(annotation):
        return Shape("record", record=schema_of(annotation))  # type: ignore[arg-type]
    return _generic_shape(get_origin(annotation), get_args(annotation))


def _generic_shape(origin: Any, arguments: tuple[Any, ...]) -> Shape:
    if origin is Literal:
        kind = "integer" if isinstance(arguments[0], int) else "string"
        return Shape(kind, choices=arguments)
    if origin is tuple and arguments[1:] == (...,):
        return Shape("array", element=shape_of(arguments[0]))
    if origin in (dict, Mapping) and arguments[0] is str:
        return Shape("map", key=Shape("string"), element=shape_of(arguments[1]))
    raise TypeError(f"a setting cannot have the type {origin}{list(arguments)}")


def _json(default: Any) -> Any:
    """A declared default in JSON's shape; a settings class stands for its own defaults."""
    if isinstance(default, Missing):
        return MISSING
    if isinstance(default, type):
        if dataclasses.is_dataclass(default):
            return MISSING
        default = default()
    return msgspec.json.decode(msgspec.json.encode(default))


def build(cls: Callable[..., T], normalised: Mapping[str, Any]) -> T:
    """An instance of the settings class from what `Record.check` returned."""
    record = schema_of(cls)
    values = _by_attribute(record, normalised) if record.renames else normalised
    return msgspec.convert(values, type=cls)  # type: ignore[arg-type, no-any-return, unused-ignore]


def _by_attribute(record: Record, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values under the names that their attributes have."""

    def translated(shape: Shape, value: Any) -> Any:
        if shape.record is not None and isinstance(value, Mapping):
            return _by_attribute(shape.record, value)
        if shape.element is not None and isinstance(value, list | tuple):
            return [translated(shape.element, one) for one in value]
        if shape.element is not None and isinstance(value, Mapping):
            return {key: translated(shape.element, one) for key, one in value.items()}
        return value

    return {
        record.attributes.get(name, name): translated(record.fields[name].shape, value)
        for name, value in values.items()
    }
