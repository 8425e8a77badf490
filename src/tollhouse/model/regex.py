"""PCRE regular expressions, as Kong's users write them, for Python's `re`.

Translated: named groups, `(?i)` in the middle, POSIX classes, quoting and PCRE's own escapes. What
`re` cannot do (recursion, `\\K`, branch reset, Unicode properties, verbs) is refused by name, so
that a route is never accepted and then matches something else than it did under Kong.
"""

import re
from collections.abc import Callable
from typing import Final

#: how Python's complaints read in PCRE2
_PCRE_TEXTS: Final = (
    ("missing ), unterminated subpattern", "missing closing parenthesis"),
    ("unbalanced parenthesis", "unmatched closing parenthesis"),
    ("unterminated character set", "missing terminating ] for character class"),
    ("nothing to repeat", "quantifier does not follow a repeatable item"),
    ("multiple repeat", "quantifier does not follow a repeatable item"),
    ("bad escape (end of pattern)", "\\ at end of pattern"),
    ("bad escape", "unrecognized character follows \\"),
    ("bad character range", "range out of order in character class"),
    ("min repeat greater than max repeat", "numbers out of order in {} quantifier"),
)
_ESCAPES: Final = {
    "h": r"[ \t]",
    "H": r"[^ \t]",
    "v": r"[\n\x0b\f\r]",
    "V": r"[^\n\x0b\f\r]",
    "R": r"(?:\r\n|[\n\x0b\f\r])",
    "N": r"[^\n]",
    "z": r"\Z",
    "Z": r"(?=\n?\Z)",
    "e": r"\x1b",
    "E": "",
}
_ESCAPES_IN_SET: Final = {"h": r" \t", "v": r"\n\x0b\f\r", "e": r"\x1b", "E": ""}
_POSIX: Final = {
    "alnum": "A-Za-z0-9",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t-\r ",
    "upper": "A-Z",
    "word": r"\w",
    "xdigit": "A-Fa-f0-9",
}
_HEX: Final = re.compile(r"x(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{0,2}))")
_NAME_REFERENCE: Final = re.compile(r"k(?:<(\w+)>|'(\w+)'|\{(\w+)\})|g\{([A-Za-z_]\w*)\}")
_NUMBER_REFERENCE: Final = re.compile(r"g(?:\{(\d+)\}|(\d+))")
_NAMED_GROUP: Final = re.compile(r"\(\?(?:<([A-Za-z_]\w*)>|'([A-Za-z_]\w*)')")
_SET_START: Final = re.compile(r"\[\^?\]?")
_POSIX_CLASS: Final = re.compile(r"\[:(\^?\w+):\]")
_FLAGS: Final = re.compile(r"\(\?([imsx]*(?:-[imsx]+)?)\)")
_ALLOWED_GROUP: Final = re.compile(r"\(\?(?:[:=!>(]|<[=!]|P[<=]|[imsx]*(?:-[imsx]+)?:)")


def compiled(pcre: str) -> re.Pattern[str]:
    """The pattern ready to match text of one character per byte, or decoded ASCII.

    Raises `ValueError` saying what is wrong with it.
    """
    try:
        return re.compile(translated(pcre), re.ASCII)
    except re.error as error:
        raise ValueError(_pcre_text(error.msg)) from None
    except (RecursionError, OverflowError):
        raise ValueError("regular expression is too large") from None


def problem(pcre: str) -> str | None:
    """What is wrong with a pattern, in the words of Kong's regex library; None if it compiles."""
    try:
        compiled(pcre)
    except ValueError as error:
        return f'pcre2_compile() failed: {error} in "{pcre}"'
    return None


def translated(pcre: str) -> str:
    """The pattern in Python's syntax; raises `ValueError` for what cannot be expressed."""
    return _Translator(pcre).run()


def _pcre_text(message: str) -> str:
    return next((pcre for python, pcre in _PCRE_TEXTS if message.startswith(python)), message)


def _unsupported(what: str) -> ValueError:
    return ValueError(f"{what} is not supported by Tollhouse's regular expressions")


class _Translator:
    """One pass over the pattern. `_opened` holds, per open group, the flags set inside it so far."""

    def __init__(self, pcre: str) -> None:
        self._text = pcre
        self._at = 0
        self._out: list[str] = []
        self._opened: list[list[str]] = [[]]

    def run(self) -> str:
        text = self._text
        steps: dict[str, Callable[[], None]] = {
            "\\": lambda: self._out.append(self._escape(_ESCAPES)),
            "[": self._set,
            "(": self._open,
            ")": self._close,
            "|": self._alternative,
        }
        while self._at < len(text):
            step = steps.get(text[self._at])
            if step:
                step()
            else:
                self._out.append(text[self._at])
                self._at += 1
        self._out.append(")" * len(self._opened[0]))
        return "".join(self._out)

    def _matched(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._at)
        if found:
            self._at = found.end()
        return found

    def _open(self) -> None:
        text = self._text
        if text.startswith("(*", self._at):
            raise _unsupported("a verb (*...)")
        if text.startswith("(?#", self._at):
            end = text.find(")", self._at)
            if end < 0:
                raise ValueError("missing ) after (?# comment")
            self._at = end + 1
            return
        if flags := self._matched(_FLAGS):
            # Python sets flags only for a group or the whole pattern, PCRE up to the group's end.
            self._opened[-1].append(f"(?{flags[1]}:")
            self._out.append(self._opened[-1][-1])
            return
        self._opened.append([])
        if named := self._matched(_NAMED_GROUP):
            self._out.append(f"(?P<{named[1] or named[2]}>")
        elif text.startswith("(?", self._at) and not _ALLOWED_GROUP.match(text, self._at):
            raise _unsupported(f"the group {text[self._at : self._at + 4]}")
        elif allowed := self._matched(_ALLOWED_GROUP):
            self._out.append(allowed[0])
        else:
            self._out.append("(")
            self._at += 1

    def _close(self) -> None:
        if len(self._opened) == 1:
            raise ValueError("unmatched closing parenthesis")
        self._out.append(")" * (len(self._opened.pop()) + 1))
        self._at += 1

    def _alternative(self) -> None:
        flags = self._opened[-1]
        self._out.append(")" * len(flags) + "|" + "".join(flags))
        self._at += 1

    def _escape(self, classes: dict[str, str]) -> str:
        self._at += 1
        letter = self._text[self._at : self._at + 1]
        if letter == "Q":
            end = self._text.find("\\E", self._at)
            quoted = self._text[self._at + 1 : end if end >= 0 else None]
            self._at = end + 2 if end >= 0 else len(self._text)
            return re.escape(quoted)
        if (number := self._matched(_HEX)) and letter == "x":
            return re.escape(_character(int(number[1] or number[2] or "0", 16)))
        if name := self._matched(_NAME_REFERENCE):
            return f"(?P={next(filter(None, name.groups()))})"
        if reference := self._matched(_NUMBER_REFERENCE):
            return rf"(?:\{reference[1] or reference[2]})"
        self._at += 1
        if letter == "c" and self._at < len(self._text):
            self._at += 1
            return re.escape(chr(ord(self._text[self._at - 1].upper()) ^ 0x40))
        if letter in tuple("KGXCpPgko"):
            raise _unsupported(f"\\{letter}")
        return classes.get(letter, "\\" + letter)

    def _set(self) -> None:
        text = self._text
        start = self._matched(_SET_START)
        opening = start[0] if start else ""
        pieces = [opening[:-1] + "\\]" if opening.endswith("]") else opening]
        while self._at < len(text) and text[self._at] != "]":
            pieces.append(self._member(pieces[-1]))
        if self._at >= len(text):
            raise ValueError("missing terminating ] for character class")
        self._at += 1
        self._out.append("".join(pieces) + "]")

    def _member(self, previous: str) -> str:
        character = self._text[self._at]
        if character == "\\":
            return self._escape(_ESCAPES_IN_SET)
        if posix := self._matched(_POSIX_CLASS):
            if posix[1] not in _POSIX:
                raise ValueError(f"unknown POSIX class name {posix[1]}")
            return _POSIX[posix[1]]
        self._at += 1
        # Python reserves doubled punctuation and a bare bracket in sets for a future syntax.
        if character in "[&~|" or (character == "-" and previous == "-"):
            return "\\" + character
        return character


def _character(code: int) -> str:
    if code > 0x10FFFF:
        raise ValueError("character code point value in \\x{} or \\o{} is too large")
    return chr(code)
