"""Header sets: views of shared blocks that are copied only when they are changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.wire.fields import FieldSet, wire_field
from tollhouse.wire.headers import FieldBlock, Headers

NONE: frozenset[str] = frozenset()
LINES = [b"Host: a", b"X-A: 1", b"x-a: 2", b"X-B:3"]
FIELDS = [("host", "a"), ("x-a", "1"), ("x-a", "2"), ("x-b", "3")]


def block() -> FieldBlock:
    return FieldBlock(LINES, FIELDS)


def test_a_view_reads_its_block() -> None:
    headers = Headers.of(block())

    assert headers.get("x-a") == "1"
    assert headers.get_all("x-a") == ["1", "2"]
    assert headers.joined("x-a") == "1, 2"
    assert headers.grouped() == {"host": "a", "x-a": ["1", "2"], "x-b": "3"}
    assert list(headers.items()) == FIELDS
    assert headers.without(frozenset({"host"})) == b"X-A: 1\r\nx-a: 2\r\nX-B:3\r\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda headers: headers.add("X-A", "9"),
        lambda headers: headers.add("X-New", "9"),
        lambda headers: headers.set("X-A", "9"),
        lambda headers: headers.set("X-New", "9"),
        lambda headers: headers.remove("x-a"),
        lambda headers: headers.prepend(FieldSet.of([wire_field("X-A", "9")])),
        lambda headers: headers.prepend(FieldSet.of([wire_field("X-New", "9")])),
        lambda headers: headers.assign(FieldSet.of([wire_field("X-A", "9")], ["host"])),
        lambda headers: headers.put_first([wire_field("X-B", "9")]),
    ],
)
def test_a_change_never_reaches_the_block(change: object) -> None:
    shared = block()
    other = Headers.of(shared)
    before = (list(other.items()), other.without(NONE), dict(other.values))

    changed = Headers.of(shared)
    change(changed)  # type: ignore[operator]

    assert list(changed.items()) != before[0]
    assert (list(other.items()), other.without(NONE), dict(other.values)) == before
    assert Headers.of(shared).without(NONE) == before[1]


def test_to_set_replaces_all_of_a_name_at_the_place_of_the_first() -> None:
    headers = Headers.of(block())

    headers.set("X-A", "9")

    assert list(headers.items()) == [("host", "a"), ("x-a", "9"), ("x-b", "3")]


def test_to_assign_removes_what_is_not_wanted() -> None:
    headers = Headers.of(block())

    headers.assign(FieldSet.of([wire_field("X-C", "4")], ["x-a"]))

    assert list(headers.items()) == [("host", "a"), ("x-b", "3"), ("x-c", "4")]


def test_what_came_off_the_wire_is_known_from_what_was_put_there() -> None:
    headers = Headers.of(block())
    headers.set("Host", "b")
    headers.set("X-New", "1")

    assert [headers.is_original(name) for name in ("x-b", "host", "x-new")] == [True, False, False]


def test_what_was_added_stands_beside_the_block() -> None:
    headers = Headers.of(block())
    headers.set("X-New", "9")
    headers.assign(FieldSet(None, b"X-Other: 8\r\n"))

    assert headers.added(NONE) == b"X-New: 9\r\nX-Other: 8\r\n"
    assert headers.added(frozenset({"x-other"})) is None
    headers.set("X-B", "4")
    assert headers.added(NONE) is None


def test_a_lasting_set_changes_the_block_under_what_was_added() -> None:
    shared, caller = block(), FieldSet.of([wire_field("X-B", "4")], ["x-a"])
    for time in range(3):
        headers = Headers.of(shared)
        headers.set("X-New", "9")

        headers.assign(caller)

        assert list(headers.items()) == [("host", "a"), ("x-b", "4"), ("x-new", "9")]
        assert headers.values == {"host": "a", "x-b": "4", "x-new": "9"}
        # What comes once is not worth to be remembered.
        assert (headers.block is shared.with_set(caller)) == (time > 0)
        assert headers.added(NONE) == (b"X-New: 9\r\n" if time else None)


def test_a_lasting_set_replaces_what_was_added_under_its_names() -> None:
    headers = Headers.of(block())
    headers.set("X-New", "9")

    headers.assign(FieldSet.of([wire_field("X-New", "8")], ["x-a"]))

    assert list(headers.items()) == [("host", "a"), ("x-b", "3"), ("x-new", "8")]
    assert headers.values == {"host": "a", "x-b": "3", "x-new": "8"}


def test_names_by_their_beginning_are_remembered_for_the_block_alone() -> None:
    shared = block()
    changed = Headers.of(shared)
    changed.set("X-New", "9")

    assert Headers.of(shared).beginning(("x-",)) == ("x-b", "x-a")
    assert changed.beginning(("x-",)) == ("x-b", "x-a", "x-new")
    assert Headers.of(shared).beginning(("x-",)) == ("x-b", "x-a")


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "\x00", "a\x7f", "\x0b"])
def test_no_value_ends_its_line(value: str) -> None:
    headers = Headers.new()
    headers.add("X-A", value)
    headers.set("X-B", value)

    sent = headers.without(NONE)
    assert sent.count(b"\r\n") == 2
    assert not set(sent.replace(b"\r\n", b"")) & {0, 10, 11, 13, 127}
    assert headers.get("x-a") == headers.get_all("x-a")[0]


def test_a_value_beyond_latin_1_is_sent_as_utf_8() -> None:
    headers = Headers.new([("X-Name", "日本")])

    assert headers.without(NONE) == "X-Name: 日本\r\n".encode()


NAMES = st.sampled_from(["A", "a", "B", "c-D", "Host"])
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=5)
ACTS = st.one_of(
    st.tuples(st.just("add"), NAMES, VALUES),
    st.tuples(st.just("set"), NAMES, VALUES),
    st.tuples(st.just("remove"), NAMES, st.just("")),
    st.tuples(st.just("prepend"), NAMES, VALUES),
    st.tuples(st.just("assign"), NAMES, VALUES),
)


def model(fields: list[tuple[str, str]], act: tuple[str, str, str]) -> list[tuple[str, str]]:
    """The same on a plain list."""
    kind, name, value = act
    key = name.lower()
    if kind == "add":
        return [*fields, (key, value)]
    if kind == "prepend":
        # Order between names is free, so they are compared by name.
        return [(key, value), *fields]
    rest = [pair for pair in fields if pair[0] != key]
    return rest if kind == "remove" else [*rest, (key, value)]


def by_name(fields: list[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in fields:
        found.setdefault(name, []).append(value)
    return found


@given(st.lists(ACTS, max_size=12))
def test_any_changes_come_to_the_same_as_on_a_list(acts: list[tuple[str, str, str]]) -> None:
    headers, expected = Headers.of(block()), list(FIELDS)
    for kind, name, value in acts:
        expected = model(expected, (kind, name, value))
        match kind:
            case "add":
                headers.add(name, value)
            case "set":
                headers.set(name, value)
            case "remove":
                headers.remove(name.lower())
            case "prepend":
                headers.prepend(FieldSet.of([wire_field(name, value)]))
            case _:
                headers.assign(FieldSet.of([wire_field(name, value)]))

    groups = by_name(expected)
    assert by_name(list(headers.items())) == groups
    assert headers.values == {name: values[0] for name, values in groups.items()}
    sent = headers.without(NONE).decode().split("\r\n")[:-1]
    assert by_name([(n.lower(), v.strip()) for n, _, v in (line.partition(":") for line in sent)]) == groups
