from typing import Any

import pytest

from tollhouse.model import lua


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^%u+$", "GET", True),
        ("^%u+$", "GETx", False),
        ("^[^*]*%*?[^*]*$", "a.*.b", True),
        ("^[^*]*%*?[^*]*$", "*.*", False),
        ("^%*%.", "*.a", True),
        ("%.%*$", "a.*", True),
        ("//", "a//b", True),
        ("^~/", "~/x", True),
        ("^[a-z][a-z%d-]-[a-z%d]+$", "my-vault-1", True),
        ("^[a-z][a-z%d-]-[a-z%d]+$", "1x", False),
        ("^[%a_-][%a%d_-]*$", "_a-1", True),
        ("^%d+[%.%d]*$", "1.2.3", True),
        ("%S", " ", False),
        (".", "\n", True),
        ("a$", "a\n", False),
        ("^[]a]+$", "]a", True),
        ("%%", "100%", True),
        ("^[0-9]+-[0-9]+$", "200-299", True),
        ("^[0-9]+-[0-9]+$", "200", False),
        ("-a", "b-a", True),
    ],
)
def test_a_lua_pattern_finds_what_lua_finds(pattern: str, text: str, found: bool) -> None:
    assert bool(lua.pattern(pattern).search(text)) is found


@pytest.mark.parametrize("pattern", ["(a)", "%b()", "%f[a]", "%1"])
def test_patterns_no_schema_uses_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="unsupported Lua pattern"):
        lua.pattern(pattern)


@pytest.mark.parametrize(
    ("value", "text"), [(None, "null"), (True, "true"), (5, "5"), (5.0, "5"), (0.25, "0.25"), ("a", "a")]
)
def test_scalars_are_written_as_lua_writes_them(value: Any, text: str) -> None:
    assert lua.text_of(value) == text


def test_names_are_quoted_and_groups_put_in_parentheses() -> None:
    assert lua.quoted_list(("a", "b")) == "'a', 'b'"
    assert lua.quoted_list((("a", "b"), ("c",))) == "('a', 'b'), ('c')"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "{}"),
        ({"b": "x", "a": {"c": 1}}, '{a={c=1},b="x"}'),
        ({"services": [None, "dup"]}, '{services={[2]="dup"}}'),
        (["a", None, "c", "d"], '{"a",[3]="c",[4]="d"}'),
        ({"@entity": ["t"]}, '{["@entity"]={"t"}}'),
        ({"end": 1, "a-b": 2}, '{["a-b"]=2,["end"]=1}'),
        ({"e": 'a "b" \\'}, '{e="a \\"b\\" \\\\"}'),
        ({"e": "a\nb"}, "{e=[[a\nb]]}"),
        ({"e": "x]]"}, "{e=[=[x]]]=]}"),
        ({"n": None, "t": True}, "{n=null,t=true}"),
    ],
)
def test_a_table_on_one_line(value: Any, text: str) -> None:
    assert lua.table(value, compact=True) == text


def test_a_table_on_many_lines_is_indented() -> None:
    value = {"headers": ["invalid value: nocolon"], "x": {}}
    assert lua.table(value, compact=False) == (
        '{\n  headers = {\n    "invalid value: nocolon"\n  },\n  x = {}\n}'
    )
