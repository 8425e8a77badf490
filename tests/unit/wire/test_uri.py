"""Request targets: taken apart, and normalised as Kong does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.errors import BadRequest
from tollhouse.wire.uri import Target, arguments, escape, normalise, unquote, without_arguments


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a//b///c", "/a/b/c"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/a/%2e%2e/b", "/b"),
        ("/a%2f..%2fb", "/a%2F..%2Fb"),
        ("/%7Euser", "/~user"),
        ("/%41%2d%5f", "/A-_"),
        ("/%21%27%28", "/%21%27%28"),
        ("/%3a%3f%23%25", "/%3A%3F%23%25"),
        ("/a%20b", "/a b"),
        ("/%c3%a9", "/\xc3\xa9"),
        ("/...", "/..."),
        ("/.a", "/.a"),
        ("/a..", "/a.."),
        ("/a/..b", "/a/..b"),
        ("/%0d%0a", "/\r\n"),
    ],
)
def test_a_path_is_normalised(path: str, normal: str) -> None:
    assert normalise(path) == normal


@pytest.mark.parametrize(
    "path", ["/%", "/%4", "/%zz", "/% 4", "/%00", "/..", "/../a", "/a/../..", "/%2e%2e", "//.."]
)
def test_a_path_without_a_meaning_is_refused(path: str) -> None:
    with pytest.raises(BadRequest):
        normalise(path)


SEGMENTS = st.sampled_from(["a", "b.c", ".", "..", "", "%2e", "%2F", "%41", "%e9", "x y", "%25", "~", "%3F"])


@given(st.lists(SEGMENTS, max_size=8))
def test_a_normal_path_has_no_dots_left_and_stays_below_the_root(parts: list[str]) -> None:
    try:
        normal = normalise("/" + "/".join(parts))
    except BadRequest:
        return
    assert normal.startswith("/")
    assert "//" not in normal
    assert not {".", ".."} & set(normal.split("/"))


@given(st.lists(SEGMENTS, max_size=8))
def test_to_normalise_what_was_escaped_changes_nothing_more(parts: list[str]) -> None:
    try:
        normal = normalise("/" + "/".join(parts))
    except BadRequest:
        return
    assert normalise(escape(normal)) == normal


@given(st.text(st.characters(max_codepoint=255), max_size=40))
def test_an_escaped_path_can_stand_in_a_request_line(path: str) -> None:
    assert all("!" <= character <= "~" for character in escape(path))


@pytest.mark.parametrize(
    ("raw", "path", "query"),
    [
        ("/a?b", "/a", "b"),
        ("/a?", "/a", ""),
        ("/a", "/a", None),
        ("/a?b?c", "/a", "b?c"),
        ("http://h/a?b", "/a", "b"),
        ("http://h", "/", None),
        ("HTTP://h?q", "/", "q"),
        ("*", "*", None),
    ],
)
def test_a_target_is_taken_apart(raw: str, path: str, query: str | None) -> None:
    target = Target(raw)

    assert (target.path, target.query) == (path, query)


def test_arguments_are_decoded_in_order() -> None:
    assert list(arguments("a=1&b&a=%41+x&=v&&c=")) == [
        ("a", "1"),
        ("b", True),
        ("a", "A x"),
        ("", "v"),
        ("c", ""),
    ]
    assert unquote("%zz%4") == "%zz%4"


def test_arguments_can_be_left_out_without_touching_others() -> None:
    assert without_arguments("a=1&%61=2&b=%20&a", frozenset({"a"})) == "b=%20"
