from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tollhouse.config.export import to_yaml
from tollhouse.config.yaml_lines import MAX_DEPTH, YamlError, lines, load


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: on", True),
        ("a: No", False),
        ("a: y", "y"),
        ("a: ~", None),
        ("a:", None),
        ("a: Null", None),
        ("a: 'on'", "on"),
        ("a: 12", 12),
        ("a: 1_000", 1000),
        ("a: -5", -5),
        ("a: 0x1F", 31),
        ("a: 017", 15),
        ("a: 0b11", 3),
        ("a: 08", "08"),
        ("a: 1.5e3", 1500.0),
        ("a: .5", 0.5),
        ("a: 1.", 1.0),
        ("a: 1:30", 90),
        ("a: 1:30.5", 90.5),
        ("a: -1:00", -60),
        ("a: 3.0", 3.0),
        ("a: 1.2.3.4", "1.2.3.4"),
        ("a: 2024-01-01", "2024-01-01"),
        ("a: .inf", float("inf")),
        ("a: -.inf", float("-inf")),
        ("a: .", "."),
        ("a: !!str 5", "5"),
        ("a: !!int '5'", 5),
        ("a: !!float 5", 5.0),
        ("a: !!null ''", None),
        ("a: !custom 5", "5"),
        ("a: !!python/name:os.system ''", ""),
        ("a: |\n  x\n  y\n", "x\ny\n"),
        ('a: "\\u00e9"', "é"),
    ],
)
def test_a_scalar_means_what_it_means_to_kong(text: str, value: Any) -> None:
    found = load(text)["a"]
    assert found == value
    assert type(found) is type(value)


def test_numbers_without_end_are_not_converted() -> None:
    assert load("a: " + "9" * 5000)["a"] == float("inf")


def test_keys_are_the_text_as_written() -> None:
    assert load("on: 1\n5: 2\n~: 3\n1.0: 4") == {"on": 1, "5": 2, "~": 3, "1.0": 4}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x: &a {b: 1, c: 2}\ny: {<<: *a, c: 3}", {"b": 1, "c": 3}),
        ("x: &a {b: 1, c: 2}\ny: {c: 3, <<: *a}", {"b": 1, "c": 3}),
        ("x: [&a {b: 1}, &b {b: 2, d: 4}]\ny: {<<: [*a, *b]}", {"b": 1, "d": 4}),
        ("x: &a [1, &b 2]\ny: [*a, *b]", [[1, 2], 2]),
        ("x: &k name\ny: {*k : 1}", {"name": 1}),
        ("x: 1\ny: {'<<': 5}", {"<<": 5}),
    ],
)
def test_anchors_and_merge_keys_work(text: str, value: Any) -> None:
    assert load(text)["y"] == value


@pytest.mark.parametrize(
    ("text", "problem", "line", "column"),
    [
        ("a: [", "did not find expected node content", 2, 1),
        ("a: b: c", "mapping values are not allowed in this context", 1, 5),
        ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3", "duplicate key 'c', which stands on line 3 already", 5, 3),
        ("x:\n- {a: 1}\n- {b: 1, b: 2}", "duplicate key 'b', which stands on line 3 already", 3, 10),
        ("a: *b", "unknown alias 'b'", 1, 4),
        ("a: &a [*a]", "the alias 'a' stands inside its own value", 1, 8),
        ("? [x]\n: 1", "a key has to be a plain value", 1, 3),
        ("a: &a [1]\n*a : 2", "a key has to be a plain value", 2, 1),
        ("a: {<<: 5}", "a merge key needs a map or a list of maps", 1, 9),
        ("a: {<<: [5]}", "a merge key needs a map or a list of maps", 1, 11),
        ("a: 1\n---\nb: 2", "only one document is expected", 2, 1),
        ("a: !!int x", "invalid 'tag:yaml.org,2002:int' value: 'x'", 1, 4),
        ("a: 1\nb: \x01", "control characters are not allowed", 2, 1),
        ("[" * (MAX_DEPTH + 1), f"nested more than {MAX_DEPTH} deep", 1, MAX_DEPTH + 1),
    ],
)
def test_what_is_refused_is_told_with_its_place(text: str, problem: str, line: int, column: int) -> None:
    with pytest.raises(YamlError) as caught:
        load(text)
    assert str(caught.value) == f"{line}:{column}: {problem}"


def test_aliases_cannot_blow_up() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(YamlError, match="aliases stand for more than 1000000 values"):
        load("\n".join(levels))


def test_an_empty_text_is_nothing() -> None:
    assert load("") is None
    assert load("# only a comment\n") is None


TEXT = """\
services:
- name: a
  routes:
  - paths:
    - /x
    - /y
    name: r
- {name: b, port: 5}
base: &base {x: 1}
copy:
  <<: *base
  y: 2
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("services",), 1),
        (("services", 0), 2),
        (("services", 0, "name"), 2),
        (("services", 0, "routes", 0, "paths", 1), 6),
        (("services", 0, "routes", 0, "name"), 7),
        (("services", 0, "host"), 2),
        (("services", 1, "port"), 8),
        (("copy", "x"), 10),
        (("copy", "y"), 12),
    ],
)
def test_a_path_is_found_on_its_line_or_its_parents(path: tuple[str | int, ...], line: int) -> None:
    assert lines(TEXT, [path, ("nowhere",)]) == {path: line}


def test_json_has_lines_too() -> None:
    assert lines('{\n"a": [\n1,\n2]}', [("a", 1)]) == {("a", 1): 4}


def test_what_is_not_yaml_has_no_lines() -> None:
    assert lines("a: [", [("a",)]) == {}


scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8"))
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), inner, max_size=4)
    ),
    max_leaves=20,
)


@example("0:0")
@example("0E0")
@given(values)
def test_what_a_yaml_writer_writes_is_read_back(value: Any) -> None:
    assert load(to_yaml(value)) == value
