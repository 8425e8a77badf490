from typing import Any

import pytest

from tollhouse.model import judges
from tollhouse.model.judges import Judge, Wrong


def keep(value: Any) -> Any:
    return value


def refuse_x(value: Any) -> Any:
    return Wrong("no x") if value == "x" else value


def judged(judge: Judge, value: Any) -> Any:
    result = judge(value)
    return result.error if isinstance(result, Wrong) else result


NUMBER = judges.number(())
INTEGER = judges.integer(())
SET = judges.array(keep, (), unique=True)
ARRAY = judges.array(refuse_x, (), unique=False)
MAP = judges.mapping(refuse_x, refuse_x, ())
RECORD = judges.record(keep, ())


@pytest.mark.parametrize(
    ("judge", "value", "result"),
    [
        (judges.nonempty_string, "a", "a"),
        (judges.nonempty_string, "", "length must be at least 1"),
        (judges.nonempty_string, 5, "expected a string"),
        (judges.string((lambda _: "never",), referenceable=True), "{vault://env/a}", "{vault://env/a}"),
        (INTEGER, 5.0, 5),
        (INTEGER, 5.5, "expected an integer"),
        (INTEGER, True, "expected an integer"),
        (INTEGER, "5", "expected an integer"),
        (INTEGER, 2**60, "expected an integer"),
        (INTEGER, float("inf"), "expected an integer"),
        (NUMBER, 5.0, 5),
        (NUMBER, 0.5, 0.5),
        (NUMBER, float("nan"), "expected a number"),
        (NUMBER, float("-inf"), "expected a number"),
        (NUMBER, False, "expected a number"),
        (NUMBER, 10**400, "expected a number"),
        (judges.boolean(()), True, True),
        (judges.boolean(()), "yes", "expected a boolean"),
        (SET, "a", "expected a set"),
        (SET, ["b", "a", "b"], ["b", "a"]),
        (SET, [1, True, 1.0, 1], [1, True, 1.0]),
        (SET, {}, []),
        (ARRAY, 5, "expected an array"),
        (ARRAY, {"a": 1}, "expected an array"),
        (ARRAY, {}, []),
        (ARRAY, ["a", "x", "b", "x", "c"], [None, "no x", None, "no x"]),
        (MAP, 5, "expected a map"),
        (MAP, [], {}),
        (MAP, {"a": 1, "x": 2}, "no x"),
        (MAP, {"a": "x"}, "no x"),
        (RECORD, "a", "expected a record"),
        (RECORD, [], {}),
        (RECORD, ["a"], "expected a record"),
        (judges.foreign, "a", {"id": "missing primary key"}),
        (judges.foreign, {"name": "a"}, {"id": "missing primary key"}),
        (judges.foreign, {"id": 5}, {"id": "expected a string"}),
        (judges.foreign, {"id": "a"}, {"id": "expected a valid UUID"}),
    ],
)
def test_a_value_is_normalised_or_refused(judge: Judge, value: Any, result: Any) -> None:
    assert judged(judge, value) == result
    assert type(judged(judge, value)) is type(result)


def test_a_foreign_key_keeps_nothing_but_the_id() -> None:
    uuid = "00000001-0000-4000-8000-000000000000"
    assert judges.foreign({"id": uuid, "name": "x"}) == {"id": uuid}
