import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.routing.patterns import (
    BacktrackingPattern,
    LinearPattern,
    PatternSet,
    batches,
    captures,
    compiled,
    fits_a_set,
    literals,
)


def linear(source: str, *, anchored: bool = False, utf8: bool = True) -> LinearPattern:
    return LinearPattern(source, anchored=anchored, utf8=utf8)


@pytest.mark.parametrize(
    ("source", "literal"),
    [
        ("^/svc-1/\\d+$", "/svc-1/"),
        ("^/v1\\.0/x", "/v1.0/x"),
        ("^/api/(v1|v2)/x", "/api/v"),
        ("^/ab?c", "/a"),
        ("^/ab*", "/a"),
        ("^/(?i)abc", "/"),
        ("^/\\Qa.b\\E/c", "/a.b/c"),
        ("^(/x)*", ""),
        ("^/a|/b", ""),
        ("^/a/(b|c)|/d", ""),
        ("^/a[|]b", "/a|b"),
        ("^/a\\|b", "/a|b"),
        ("/a", ""),
    ],
)
def test_what_each_match_begins_with(source: str, literal: str) -> None:
    assert linear(source).literal() == literal


def test_all_alternatives_of_an_anchored_pattern_are_anchored() -> None:
    assert linear("/api/a|/api/b", anchored=True, utf8=False).literal() == "/api/"


@given(
    st.text("ab/.|?*()[]\\^$", min_size=1, max_size=8),
    st.text("ab/.", max_size=6),
    st.sampled_from([True, False]),
)
def test_a_literal_never_hides_a_match(source: str, subject: str, anchored: bool) -> None:
    try:
        pattern = linear(source if anchored else f"^/{source}", anchored=anchored)
    except ValueError:
        return
    if pattern.spans(subject.encode()) is not None:
        assert subject.startswith(pattern.literal())


def test_literals_are_useless_if_one_is_unknown() -> None:
    assert literals([linear("^/b"), linear("^/a")]) == ("/a", "/b")
    assert literals([linear("^/b"), BacktrackingPattern("^/a", anchored=False)]) == ("",)


def test_spans_count_characters_of_wire_text() -> None:
    path = "/\xc3\xbc/x"
    spans = linear("^/(.)/(y)?").spans(path.encode("latin-1"))
    assert spans == [(0, 4), (1, 3), (-1, -1)]


def test_without_utf8_characters_are_bytes() -> None:
    assert linear("^/(.)", utf8=False).spans(b"/\xc3\xbc") == [(0, 2), (1, 2)]
    assert linear("^/\xc3\xbc$", utf8=False).spans(b"/\xc3\xbc") is not None


def test_what_re2_refuses_is_left_to_re() -> None:
    pattern = compiled("/a(?=/b)(?<x>.)", anchored=True, utf8=False)
    assert isinstance(pattern, BacktrackingPattern)
    assert pattern.spans(b"/a/b") == [(0, 3), (2, 3)]
    assert pattern.spans(b"/x/a/b") is None
    assert pattern.names == {"x": 1}
    assert not fits_a_set(pattern)
    assert isinstance(compiled("/a(?<x>.)", anchored=True, utf8=False), LinearPattern)


def test_what_nobody_takes_is_an_error() -> None:
    with pytest.raises(ValueError, match="missing closing parenthesis"):
        compiled("/(a", anchored=True, utf8=True)


def test_a_set_tells_which_patterns_match() -> None:
    patterns = [linear(f"^/[a-z]+/{number}") for number in range(300)]
    found: list[int] = []
    for batch in batches(patterns):
        together = PatternSet(patterns[batch])
        found.extend(batch.start + place for place in together.matching(b"/x/123"))
    assert sorted(found) == [1, 12, 123]
    assert [patterns[batch] for batch in batches([])] == []


def test_no_path_makes_matching_explode() -> None:
    assert linear("^/(a+)+$").spans(b"/" + b"a" * 5000 + b"!") is None


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("^/a", "/a", None),
        ("^/(a)?", "/b", None),
        ("^/(a)?(?P<b>b)", "/b", ({"b": "b"}, (None, "b"))),
        ("^/(?<a>a)?(b)", "/b", ({}, (None, "b"))),
        ("^/(?<a>x*)", "/b", ({"a": ""}, ("",))),
    ],
)
def test_captures(source: str, text: str, expected: object) -> None:
    pattern = linear(source)
    spans = pattern.spans(text.encode())
    assert spans is not None
    assert captures(pattern, text, spans) == expected
    assert re.search(source.replace("?<a>", "?P<a>"), text)
