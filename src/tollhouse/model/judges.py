"""Functions that take a JSON value of unknown type and give it back normalised, or say what is wrong.

One judge is made per field when a schema is read. A judge never sees null: what null means depends
on the field, not on its type.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from tollhouse.model.constraints import UUID, Test, is_reference

REQUIRED: Final = "required field missing"
#: Kong's numbers are doubles: above this an integer is no longer exact
_MAX_INTEGER: Final = 2**53


class Wrong:
    """What is wrong with a value: a text, a list with a hole per good element, or a map by field.

    `partial` is the value as far as it could be normalised, for checks across fields.
    """

    __slots__ = ("error", "partial")

    def __init__(self, error: Any, partial: Any = None) -> None:
        self.error = error
        self.partial = partial


#: returns the normalised value or `Wrong`
Judge: TypeAlias = Callable[[Any], Any]


def _tested(value: Any, tests: tuple[Test, ...]) -> Any:
    for test in tests:
        problem = test(value)
        if problem is not None:
            return Wrong(problem)
    return value


def nonempty_string(value: Any) -> Any:
    """The judge of a string without constraints: by far the most frequent one."""
    if type(value) is str and value:
        return value
    return Wrong("length must be at least 1" if value == "" else "expected a string")


def string(tests: tuple[Test, ...], *, referenceable: bool) -> Judge:
    wrong = Wrong("expected a string")

    def judge(value: Any) -> Any:
        if type(value) is not str:
            return wrong
        if referenceable and is_reference(value):
            return value
        for test in tests:
            problem = test(value)
            if problem is not None:
                return Wrong(problem)
        return value

    return judge


def integer(tests: tuple[Test, ...]) -> Judge:
    wrong = Wrong("expected an integer")

    def judge(value: Any) -> Any:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int or not -_MAX_INTEGER <= value <= _MAX_INTEGER:
            return wrong
        return _tested(value, tests)

    return judge


def number(tests: tuple[Test, ...]) -> Judge:
    wrong = Wrong("expected a number")

    def judge(value: Any) -> Any:
        if type(value) is float:
            # Infinity and not-a-number have no place in JSON; a whole float is written as an integer.
            if value - value != 0.0:
                return wrong
            value = int(value) if value.is_integer() and abs(value) <= _MAX_INTEGER else value
        elif type(value) is not int or not -_MAX_INTEGER <= value <= _MAX_INTEGER:
            return wrong
        return _tested(value, tests)

    return judge


def boolean(tests: tuple[Test, ...]) -> Judge:
    wrong = Wrong("expected a boolean")
    return lambda value: _tested(value, tests) if type(value) is bool else wrong


def array(element: Judge, tests: tuple[Test, ...], *, unique: bool) -> Judge:
    wrong = Wrong("expected a set" if unique else "expected an array")

    def judge(value: Any) -> Any:
        if value == {}:  # in Lua an empty map is an empty list
            value = []
        elif not isinstance(value, list | tuple):
            return wrong
        items = _distinct(value) if unique else value
        judged = [element(item) for item in items]
        if any(item.__class__ is Wrong for item in judged):
            return Wrong(_holes(judged), items)
        return _tested(judged, tests)

    return judge


def _distinct(values: Any) -> list[Any]:
    # Lua's tables are equal only to themselves, and 1 is not true.
    keyed = {(type(v), v) if isinstance(v, str | int | float | bool) else id(v): v for v in values}
    return list(keyed.values())


def _holes(judged: list[Any]) -> list[Any]:
    errors = [item.error if item.__class__ is Wrong else None for item in judged]
    while errors[-1] is None:
        errors.pop()
    return errors


def mapping(key: Judge, element: Judge, tests: tuple[Test, ...]) -> Judge:
    wrong = Wrong("expected a map")

    def judge(value: Any) -> Any:
        if value == []:
            value = {}
        elif not isinstance(value, dict):
            return wrong
        judged: dict[str, Any] = {}
        for name, item in value.items():
            for result in (key(name), element(item)):
                if result.__class__ is Wrong:
                    # Kong gives the first error, without the key it belongs to.
                    return Wrong(result.error, value)
            judged[name] = result
        return _tested(judged, tests)

    return judge


def record(judge_fields: Judge, tests: tuple[Test, ...]) -> Judge:
    wrong = Wrong("expected a record")

    def judge(value: Any) -> Any:
        if value == []:
            value = {}
        elif not isinstance(value, dict):
            return wrong
        judged = judge_fields(value)
        if judged.__class__ is Wrong:
            return judged
        result = _tested(judged, tests)
        return Wrong(result.error, judged) if result.__class__ is Wrong else result

    return judge


#: what is wrong with a reference that does not say to what
MISSING_KEY: Final[Mapping[str, str]] = {"id": "missing primary key"}


def foreign(value: Any) -> Any:
    """A reference to another entity, `{"id": uuid}`; anything else in it is left out."""
    found = value.get("id") if isinstance(value, dict) else None
    if found is None:
        return Wrong(dict(MISSING_KEY))
    if not isinstance(found, str):
        return Wrong({"id": "expected a string"})
    if not UUID.fullmatch(found):
        return Wrong({"id": "expected a valid UUID"})
    return {"id": found}


def anything(tests: tuple[Test, ...]) -> Judge:
    return lambda value: _tested(value, tests)
