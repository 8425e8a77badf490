"""One field of a record: its kind, constraints and default, compiled into a judge.

A `Shape` is what an annotation says about a value; a `Field` adds the constraints of its setting.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from tollhouse.model import judges, lua
from tollhouse.model.constraints import Constraints, tests
from tollhouse.model.judges import REQUIRED, Judge, Wrong

if TYPE_CHECKING:
    from tollhouse.model.schema import Record


class Missing:
    """The type of `MISSING`: there is no default."""


MISSING: Final = Missing()


@dataclass(frozen=True, slots=True)
class Shape:
    """The type of a value: `kind` is Kong's word for it."""

    kind: str
    nullable: bool = False
    element: "Shape | None" = None
    key: "Shape | None" = None
    record: "Record | None" = None
    choices: tuple[str | int, ...] = ()


class Field:
    """A compiled field. `judge` takes any value but null, `accept` takes null too."""

    __slots__ = ("_null", "default", "doc", "judge", "kind", "name", "required", "rules", "shape", "unit")

    def __init__(
        self,
        name: str,
        shape: Shape,
        rules: Constraints,
        *,
        default: Any = MISSING,
        doc: str = "",
        unit: str | None = None,
    ) -> None:
        self.name = name
        self.shape = shape
        self.rules = rules
        self.doc = doc
        self.unit = unit
        self.kind = "set" if rules.get("as_set") and shape.kind == "array" else shape.kind
        self.required = rules.get("required", shape.record is not None and not shape.nullable)
        # A field that is required and null by default has no default.
        self.default = MISSING if default is None and self.required else default
        self.judge = _judge(self.kind, shape, rules)
        self._null = _meaning_of_null(self)

    def accept(self, value: Any) -> Any:
        """The value normalised, or `Wrong`."""
        return self.null() if value is None else self.judge(value)

    def null(self) -> Any:
        """What an explicit null becomes: null, the default, or `Wrong`."""
        return self._null if self._null is None or self._null.__class__ is Wrong else self.absent()

    def absent(self) -> Any:
        """What the field holds when it is not given; `Wrong` when it has to be."""
        if self.rules.get("auto"):
            return None  # filled in later: a schema has no clock and draws no random numbers
        if not isinstance(self.default, Missing):
            return copied(self.default)
        if self.required and self.shape.record:
            return self.judge({})  # its own defaults, but it may hold fields that have to be given
        return Wrong(REQUIRED) if self.required else None

    def varied(self, rules: Mapping[str, Any]) -> "Field":
        """The same field with some constraints replaced; `default` and `record` may be among them."""
        changes = dict(rules)
        default = changes.pop("default", self.default)
        record = changes.pop("record", None)
        shape = Shape("record", record=record) if record else self.shape
        merged = cast(Constraints, {**self.rules, **changes})
        return Field(self.name, shape, merged, default=default, doc=self.doc, unit=self.unit)


def copied(value: Any) -> Any:
    """A copy of a JSON value that shares nothing changeable with it."""
    if isinstance(value, dict):
        return {name: copied(inner) for name, inner in value.items()}
    return [copied(inner) for inner in value] if isinstance(value, list) else value


def _meaning_of_null(field: Field) -> Any:
    rules = field.rules
    if "ne" in rules and rules["ne"] is None:
        return Wrong(rules.get("err", "value must not be null"))
    if rules.get("eq") is not None:
        return Wrong(f"value must be {lua.text_of(rules['eq'])}")
    if field.required:
        return Wrong(REQUIRED)
    # Kong would store the null. Where the declared type has no room for it the default is used.
    return None if field.shape.nullable else MISSING


def _judge(kind: str, shape: Shape, rules: Constraints) -> Judge:
    if "eq" in rules and rules["eq"] is None:
        refused = Wrong(rules.get("err", "value must be null"))
        return lambda _: refused
    if rules.get("abstract"):
        return lambda _: Wrong("error in schema definition: abstract field was not specialized")
    if shape.choices and "one_of" not in rules:
        rules = cast(Constraints, {**rules, "one_of": shape.choices})
    if kind == "foreign":
        return judges.foreign
    return _KINDS[kind](shape, rules)


def _string(shape: Shape, rules: Constraints) -> Judge:
    constrained = tests("string", rules)
    if len(constrained) == 1 and "len_min" not in rules and "err" not in rules:
        return judges.nonempty_string
    return judges.string(constrained, referenceable=bool(rules.get("referenceable")))


def _array(shape: Shape, rules: Constraints) -> Judge:
    element = _inner(shape.element, rules.get("items", {}))
    return judges.array(element, tests("array", rules), unique=bool(rules.get("as_set")))


def _map(shape: Shape, rules: Constraints) -> Judge:
    key, value = _inner(shape.key, rules.get("keys", {})), _inner(shape.element, rules.get("values", {}))
    return judges.mapping(key, value, tests("map", rules))


def _record(shape: Shape, rules: Constraints) -> Judge:
    if shape.record is None:
        raise TypeError("a record needs a dataclass")
    return judges.record(shape.record.judge, (*tests("record", rules), *shape.record.validators))


def _inner(shape: Shape | None, rules: Constraints) -> Judge:
    # Elements, keys and values are always required.
    field = inner_field(shape, rules)
    missing = Wrong(REQUIRED)
    return lambda value: missing if value is None else field.judge(value)


def inner_field(shape: Shape | None, rules: Constraints) -> Field:
    """The field that stands for each element, key or value of a collection."""
    if shape is None:
        raise TypeError("a collection needs the type of its elements")
    return Field("", shape, rules)


_KINDS: Final[dict[str, Callable[[Shape, Constraints], Judge]]] = {
    "string": _string,
    "integer": lambda _, rules: judges.integer(tests("integer", rules)),
    "number": lambda _, rules: judges.number(tests("number", rules)),
    "boolean": lambda _, rules: judges.boolean(tests("boolean", rules)),
    "array": _array,
    "set": _array,
    "map": _map,
    "record": _record,
    "any": lambda _, rules: judges.anything(tests("any", rules)),
}
