"""Every field of every bundled plugin's settings is named by a test, so that none is accepted and then idle.

A plugin's own fields have to stand in a test about the plugin; those of records that plugins share, such as
`redis`, in any test.
"""

import dataclasses
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tollhouse.plugins import BUNDLED, Registry

TESTS = Path(__file__).parents[1]
#: fields that no test names yet; the list may only become shorter
UNNAMED: dict[str, set[str]] = {}


def words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower().replace("-", "_")))


WORDS = {
    path: words_of(path.read_text(encoding="utf-8")) for path in TESTS.rglob("*.py") if path != Path(__file__)
}
EVERYWHERE: set[str] = set().union(*WORDS.values())


def fields_of(config: type[Any], seen: set[type[Any]]) -> Iterator[tuple[type[Any], str]]:
    """All fields, of records in it too, with the record that each is of."""
    if config in seen:
        return
    seen.add(config)
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        yield config, field.name
        for record in records_in(hints[field.name]):
            yield from fields_of(record, seen)


def records_in(hint: Any) -> Iterator[type[Any]]:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint
    for argument in typing.get_args(hint):
        if not isinstance(argument, str):
            yield from records_in(argument)


def unnamed(name: str) -> set[str]:
    cls = Registry().plugin_class(name)
    assert cls is not None
    stem = name.replace("-", "_")
    about = [words for path, words in WORDS.items() if stem in words or stem in str(path)]
    own = set().union(*about)
    return {
        field
        for record, field in fields_of(cls.Config, set())
        if field not in (own if record.__module__.startswith(cls.__module__) else EVERYWHERE)
    }


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_every_field_is_named_by_a_test(name: str) -> None:
    assert unnamed(name) <= UNNAMED.get(name, set())
