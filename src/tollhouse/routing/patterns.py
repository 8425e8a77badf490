"""Regular expressions of routes, in linear time whatever the client sends.

RE2 does the matching: it never backtracks, so no request path can make a configured pattern explode.
What it refuses (look-around, back-references, which PCRE under Kong's traditional router takes) is
left to Python's `re`; such patterns can neither be prefiltered nor indexed.

Patterns and subjects are wire text; a subject is given as its bytes, so that spans count in both.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol, TypeGuard

import re2  # type: ignore[import-untyped]
from re2 import _re2

from tollhouse.model import regex
from tollhouse.routing.match import Captures

Span = tuple[int, int]
#: the span of a group that took no part
ABSENT: Final = (-1, -1)
_LONGEST_LITERAL: Final = 256
# Compiling a set is one call that cannot be interrupted: about 2 ms at this many instructions.
_SET_SIZE: Final = 3000


def _options(*, utf8: bool) -> Any:
    options = re2.Options()
    options.log_errors = False
    if not utf8:
        options.encoding = re2.Options.Encoding.LATIN1
    return options


_UTF8: Final = _options(utf8=True)
_LATIN1: Final = _options(utf8=False)


class Pattern(Protocol):
    source: str
    anchored: bool

    def spans(self, subject: bytes) -> Sequence[Span] | None:
        """Where the whole match and each group lie, `(-1, -1)` for a group that took no part."""

    @property
    def names(self) -> dict[str, int]: ...


class LinearPattern:
    """A pattern that RE2 takes.

    It calls the class under re2's Python wrapper, whose match objects cost more than the matching.
    """

    __slots__ = ("_anchor", "_match", "_regex", "anchored", "names", "options", "size", "source")

    def __init__(self, source: str, *, anchored: bool, utf8: bool) -> None:
        self.source = source
        self.anchored = anchored
        self.options = _UTF8 if utf8 else _LATIN1
        self._regex: Any = _re2.RE2(source.encode("latin-1"), self.options)
        if not self._regex.ok():
            raise ValueError(self._regex.error())
        self._match = self._regex.Match
        self._anchor = _re2.RE2.Anchor.ANCHOR_START if anchored else _re2.RE2.Anchor.UNANCHORED
        self.size: int = self._regex.ProgramSize()
        self.names = {name.decode("latin-1"): group for name, group in self._regex.NamedCapturingGroups()}

    def spans(self, subject: bytes) -> Sequence[Span] | None:
        found: Sequence[Span] = self._match(self._anchor, subject, 0, len(subject))
        return None if found[0] == ABSENT else found

    def literal(self) -> str:
        """What each subject that matches begins with; `""` when that cannot be told.

        An unanchored pattern must begin with `^`.
        """
        if not self.anchored and self._may_start_anywhere():
            return ""
        known, least, greatest = self._regex.PossibleMatchRange(_LONGEST_LITERAL)
        pairs = enumerate(zip(least, greatest, strict=False)) if known else ()
        length = next((place for place, (one, other) in pairs if one != other), len(least))
        return least[:length].decode("latin-1") if known else ""

    def _may_start_anywhere(self) -> bool:
        """Whether an alternative may lack the leading `^`: what stands before an alternation sign on
        the outermost level is a pattern in its own right."""
        places = (at for at, letter in enumerate(self.source) if letter == "|")
        return not self.source.startswith("^") or any(
            _re2.RE2(self.source[:at].encode("latin-1"), self.options).ok() for at in places
        )


class BacktrackingPattern:
    """A pattern that only Python's `re` takes."""

    __slots__ = ("_regex", "anchored", "names", "source")

    def __init__(self, source: str, *, anchored: bool) -> None:
        self.source = source
        self.anchored = anchored
        self._regex = regex.compiled(source)
        self.names = dict(self._regex.groupindex)

    def spans(self, subject: bytes) -> Sequence[Span] | None:
        text = subject.decode("latin-1")
        found = self._regex.match(text) if self.anchored else self._regex.search(text)
        return found and [found.span(group) for group in range(self._regex.groups + 1)]


class PatternSet:
    """Tells in one look which of some hundred patterns match."""

    __slots__ = ("_set",)

    def __init__(self, patterns: Sequence[LinearPattern]) -> None:
        first = patterns[0]
        kind = re2.Set.MatchSet if first.anchored else re2.Set.SearchSet
        self._set: Any = kind(first.options)
        for pattern in patterns:
            self._set.Add(pattern.source.encode("latin-1"))
        self._set.Compile()

    def matching(self, subject: bytes) -> Iterable[int]:
        """The places of the patterns that match, in no order."""
        return self._set.Match(subject) or ()


def compiled(source: str, *, anchored: bool, utf8: bool) -> Pattern:
    """A pattern by whichever engine takes it; raises `ValueError` if none does.

    `anchored`: a match must begin where the subject begins. `utf8`: the subject's characters are
    code points rather than bytes.
    """
    try:
        return LinearPattern(source, anchored=anchored, utf8=utf8)
    except ValueError:
        return BacktrackingPattern(source, anchored=anchored)


def literals(patterns: Iterable[Pattern]) -> tuple[str, ...]:
    """Prefixes one of which each path has that one of the patterns matches."""
    known = {pattern.literal() if isinstance(pattern, LinearPattern) else "" for pattern in patterns}
    return ("",) if "" in known else tuple(sorted(known))


def fits_a_set(pattern: Pattern) -> TypeGuard[LinearPattern]:
    return isinstance(pattern, LinearPattern) and pattern.size <= _SET_SIZE


def batches(patterns: Sequence[LinearPattern]) -> Iterable[slice]:
    """Cuts patterns into runs small enough to be one set each."""
    start = size = 0
    for place, pattern in enumerate(patterns):
        if size and size + pattern.size > _SET_SIZE:
            yield slice(start, place)
            start, size = place, 0
        size += pattern.size
    if patterns:
        yield slice(start, len(patterns))


def captures(pattern: Pattern, text: str, spans: Sequence[Span]) -> Captures | None:
    """What the groups took, `None` when no group took part."""
    if len(spans) == 1:
        return None
    groups = tuple([text[start:end] if start >= 0 else None for start, end in spans[1:]])
    if groups.count(None) == len(groups):
        return None
    named = {}
    for name, place in pattern.names.items():
        taken = groups[place - 1]
        if taken is not None:
            named[name] = taken
    return named, groups
