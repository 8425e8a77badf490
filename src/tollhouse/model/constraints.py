"""What a single value must satisfy, and the text Kong refuses it with.

A `Constraints` mapping stands on a setting, or on the items, keys or values inside it. `tests`
turns one into functions once, when a schema is read, so that checking a value is plain calls.
"""

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, TypeAlias, TypedDict

from tollhouse.model import lua, regex

#: judges a value of the right type; returns what is wrong with it, or None
Test: TypeAlias = Callable[[Any], str | None]

UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


class Constraints(TypedDict, total=False):
    """Kong's names and meanings; patterns are Lua patterns. A validator returns an error text or None."""

    required: bool
    eq: Any
    ne: Any
    one_of: Sequence[str | float]
    not_one_of: Sequence[str | float]
    gt: float
    timestamp: bool
    uuid: bool
    is_regex: bool
    between: tuple[float, float]
    len_eq: int
    len_min: int
    len_max: int
    starts_with: str
    not_match: str
    #: pairs of a pattern and its error text
    match_none: Sequence[tuple[str, str]]
    match: str
    #: pairs of a pattern and its error text
    match_all: Sequence[tuple[str, str]]
    #: patterns, and the error text if none matches
    match_any: tuple[Sequence[str], str]
    contains: str | float
    validator: Test
    mutually_exclusive_subsets: Sequence[Sequence[str]]
    #: replaces the text of whichever constraint failed
    err: str
    #: what each element of an array, or key or value of a map, must satisfy
    items: "Constraints"
    keys: "Constraints"
    values: "Constraints"
    #: an array without duplicates
    as_set: bool
    #: filled in by the gateway: ids, creation times, generated keys
    auto: bool
    unique: bool
    unique_across_ws: bool
    #: may be a `{vault://...}` reference
    referenceable: bool
    encrypted: bool
    #: of a foreign key: the entity it points to, and what happens when that one is deleted
    reference: str
    on_delete: str
    #: specialised by a variant of the record (a plugin's `config`)
    abstract: bool
    #: accepted and returned, but not part of the published schema (`ttl`)
    hidden: bool
    #: beside Kong's fields: neither published nor shown until it is set
    extra: bool
    #: newer than the version of Kong that the Admin API speaks for: in the schema, and shown when set
    newer: bool
    #: has to be given over the Admin API; a declarative file that leaves it out means this
    assumed: Any


#: what Kong publishes under other names or in another shape, elsewhere, or not at all
_UNPUBLISHED: Final = frozenset(
    {
        "required",
        "validator",
        "as_set",
        "hidden",
        "extra",
        "newer",
        "assumed",
        "items",
        "keys",
        "values",
        "match_none",
        "match_all",
        "match_any",
    }
)


def published(rules: Constraints) -> dict[str, Any]:
    """Constraints as Kong shows them in schemas; those of elements only if there are any."""
    given: dict[str, Any] = {**rules}
    shown = {name: value for name, value in given.items() if name not in _UNPUBLISHED}
    for name in ("match_none", "match_all"):
        if name in given:
            shown[name] = [{"pattern": pattern, "err": err} for pattern, err in given[name]]
    if "match_any" in given:
        patterns, err = given["match_any"]
        shown["match_any"] = {"patterns": list(patterns), "err": err}
    return shown


def is_reference(value: Any) -> bool:
    """Whether a value is a vault reference such as `{vault://env/my-key}`."""
    return isinstance(value, str) and value.startswith("{vault://") and value.endswith("}")


def is_nonempty(value: Any) -> bool:
    """Kong's notion of a field that is set: neither null nor an empty string, list or map."""
    return value is not None and value != "" and value != [] and value != {}


def tests(kind: str, rules: Constraints) -> tuple[Test, ...]:
    """The tests of a value of that kind, in the order Kong runs them; the first failure counts."""
    effective: dict[str, Any] = {**rules}
    if kind == "string":
        effective.setdefault("len_min", 1)
    names = (name for name in BUILDERS if name in effective and (effective[name] or name not in _FLAGS))
    made = tuple(BUILDERS[name](effective[name]) for name in names)
    text = rules.get("err")
    return made if text is None else tuple(_reworded(test, text) for test in made)


def _reworded(test: Test, text: str) -> Test:
    return lambda value: None if test(value) is None else text


def _eq(wanted: Any) -> Test:
    text = f"value must be {lua.text_of(wanted)}"
    return lambda value: None if value == wanted else text


def _ne(unwanted: Any) -> Test:
    return lambda value: f"value must not be {lua.text_of(value)}" if value == unwanted else None


def _one_of(options: Collection[Any]) -> Test:
    text = "expected one of: " + ", ".join(map(lua.text_of, options))
    allowed = frozenset(options)
    return lambda value: None if value in allowed else text


def _not_one_of(options: Collection[Any]) -> Test:
    text = "must not be one of: " + ", ".join(map(lua.text_of, options))
    refused = frozenset(options)
    return lambda value: text if value in refused else None


def _gt(limit: float) -> Test:
    text = f"value must be greater than {lua.text_of(limit)}"
    return lambda value: None if value > limit else text


def _timestamp(_: bool) -> Test:
    return lambda value: None if value > 0 else "expected a valid timestamp"


def _uuid(_: bool) -> Test:
    matches = UUID.fullmatch
    return lambda value: None if matches(value) else "expected a valid UUID"


def _is_regex(_: bool) -> Test:
    return lambda value: f"not a valid regex: {value}" if regex.problem(value) else None


def _between(limits: tuple[float, float]) -> Test:
    low, high = limits
    # Kong formats both ends with %d.
    text = f"value should be between {int(low)} and {int(high)}"
    return lambda value: None if low <= value <= high else text


def _size(value: Any) -> int:
    # Lua counts the bytes of a string.
    return len(value.encode()) if isinstance(value, str) and not value.isascii() else len(value)


def _len_eq(wanted: int) -> Test:
    return lambda value: None if _size(value) == wanted else f"length must be {wanted}"


def _len_min(least: int) -> Test:
    text = f"length must be at least {least}"
    if least <= 1:
        return lambda value: None if value or not least else text
    return lambda value: None if _size(value) >= least else text


def _len_max(most: int) -> Test:
    return lambda value: None if _size(value) <= most else f"length must be at most {most}"


def _starts_with(start: str) -> Test:
    return lambda value: None if value.startswith(start) else f"should start with: {start}"


def _match(text: str) -> Test:
    found = lua.pattern(text).search
    return lambda value: None if found(value) else f"invalid value: {value}"


def _not_match(text: str) -> Test:
    found = lua.pattern(text).search
    return lambda value: f"invalid value: {value}" if found(value) else None


def _match_all(pairs: Sequence[tuple[str, str]]) -> Test:
    compiled = [(lua.pattern(text).search, err) for text, err in pairs]
    return lambda value: next((err for found, err in compiled if not found(value)), None)


def _match_none(pairs: Sequence[tuple[str, str]]) -> Test:
    compiled = [(lua.pattern(text).search, err) for text, err in pairs]
    return lambda value: next((err for found, err in compiled if found(value)), None)


def _match_any(patterns: tuple[Sequence[str], str]) -> Test:
    compiled = [lua.pattern(text).search for text in patterns[0]]
    return lambda value: None if any(found(value) for found in compiled) else patterns[1]


def _contains(wanted: Any) -> Test:
    return lambda value: None if wanted in value else f"expected to contain: {lua.text_of(wanted)}"


def _custom(function: Test) -> Test:
    return function


def _exclusive_subsets(subsets: Sequence[Sequence[str]]) -> Test:
    subset_of = {member: tuple(subset) for subset in subsets for member in subset}

    def test(value: Sequence[str]) -> str | None:
        found = dict.fromkeys(subset_of[member] for member in value if member in subset_of)
        return (
            f"these sets are mutually exclusive: {lua.quoted_list(list(found))}" if len(found) > 1 else None
        )

    return test


_FLAGS: Final = frozenset({"timestamp", "uuid", "is_regex"})
#: in the order in which Kong runs them
BUILDERS: Final[dict[str, Callable[[Any], Test]]] = {
    "eq": _eq,
    "ne": _ne,
    "not_one_of": _not_one_of,
    "one_of": _one_of,
    "gt": _gt,
    "timestamp": _timestamp,
    "uuid": _uuid,
    "is_regex": _is_regex,
    "between": _between,
    "len_eq": _len_eq,
    "len_min": _len_min,
    "len_max": _len_max,
    "starts_with": _starts_with,
    "not_match": _not_match,
    "match_none": _match_none,
    "match": _match,
    "match_all": _match_all,
    "match_any": _match_any,
    "contains": _contains,
    "validator": _custom,
    "mutually_exclusive_subsets": _exclusive_subsets,
}
