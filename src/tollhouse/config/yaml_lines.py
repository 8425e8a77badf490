"""YAML as Kong reads it: libyaml's parser, YAML 1.1 scalars, and line numbers when they are needed.

Plain scalars mean what they mean to Kong's loader: `on` and `yes` are true, `0x1f`, `017` and
`1:30` are numbers, a date is a string. Keys are always the text as it was written. Refused, where
Kong would quietly take something: duplicate keys, a second document, aliases that blow up.

The values are built from parser events: PyYAML's own constructor takes five times as long. Line
numbers cost a second pass, made only when there is an error to locate.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

import yaml
from yaml._yaml import CParser

from tollhouse.config.interpolate import Interpolation

Path: TypeAlias = tuple[str | int, ...]

MAX_DEPTH: Final = 100
#: how many values all aliases together may stand for
MAX_ALIASED: Final = 1_000_000

_TAG: Final = "tag:yaml.org,2002:"
_WORDS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_NUMBER_STARTS: Final = frozenset("0123456789+-._")
_INTEGERS: Final = (
    (re.compile(r"([+-]?)0_*([0-7][0-7_]*)"), 8),
    (re.compile(r"([+-]?)_*([1-9][0-9_]*|0)"), 10),
    (re.compile(r"([+-]?)0x_*([0-9a-fA-F][0-9a-fA-F_]*)"), 16),
    (re.compile(r"([+-]?)0b_*([01][01_]+)"), 2),
)
_FLOAT: Final = re.compile(r"[+-]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?")
_SEXAGESIMAL: Final = re.compile(r"([+-]?)([0-9]+(?::[0-5]?[0-9])+)(\.[0-9]+)?")
_TAGGED_TYPES: Final = {"bool": bool, "int": int, "float": float, "null": type(None)}
_MERGE: Final = object()


class YamlError(ValueError):
    """The text is not YAML, or uses it in a way that is refused; counted from 1."""

    def __init__(self, problem: str, line: int, column: int) -> None:
        super().__init__(f"{line}:{column}: {problem}")
        self.problem = problem
        self.line = line
        self.column = column


class Unfilled(ValueError):
    """Expressions that stand for nothing: the path of the scalar, its line, what is wrong."""

    def __init__(self, found: list[tuple[Path, int, str]]) -> None:
        super().__init__("; ".join(problem for _, _, problem in found))
        self.found = found


def load(text: str, interpolation: Interpolation | None = None) -> Any:
    """The value of the only document in the text, None if it is empty; raises `YamlError`.

    With an `interpolation` the text is its own, and every scalar is filled in. Raises `Unfilled` then.
    """
    builder = _Builder()
    if interpolation:
        builder.fill_in(interpolation)
    try:
        _run(text, builder.handlers)
    except _DuplicateKey as error:
        first = lines(text, [error.path]).get(error.path, error.line)
        problem = f"{error.problem}, which stands on line {first} already"
        raise YamlError(problem, error.line, error.column) from None
    if builder.unfilled:
        raise Unfilled(builder.unfilled)
    return builder.documents[0] if builder.documents else None


def lines(text: str, paths: Iterable[Path]) -> dict[Path, int]:
    """The lines on which the values at these paths stand, or their nearest parents, from 1.

    Finds nothing in text that is not YAML (some JSON is not).
    """
    wanted = set(paths)
    finder = _Finder({path[:size] for path in wanted for size in range(1, len(path) + 1)})
    try:
        _run(text, finder.handlers)
    except YamlError:
        return {}
    found: dict[Path, int] = {}
    for path in wanted:
        prefixes = (path[:size] for size in range(len(path), 0, -1))
        line = next((finder.found[prefix] for prefix in prefixes if prefix in finder.found), None)
        if line is not None:
            found[path] = line
    return found


_Handlers: TypeAlias = Mapping[type, Callable[[Any], None]]


def _run(text: str, handlers: _Handlers) -> None:
    try:
        parser = CParser(text)
        get = parser.get_event
        while (event := get()) is not None:
            handlers[event.__class__](event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise YamlError(error.problem or error.context or "not YAML", *place) from None
    except yaml.reader.ReaderError as error:
        before = text.encode()[: error.position]
        raise YamlError(str(error.reason), before.count(b"\n") + 1, 1) from None


def _ignore(_: Any) -> None:
    pass


class _Builder:
    """Builds values from events. `_key` is the key a value is awaited for, None if a key is."""

    def __init__(self) -> None:
        self.documents: list[Any] = []
        self._target: Any = self.documents
        self._key: Any = None
        self._merged: set[str] | None = None
        self._stack: list[tuple[Any, Any, set[str] | None, str | None, int]] = []
        self._anchors: dict[str, tuple[Any, int] | None] = {}
        self._nodes = 0
        self._aliased = 0
        self.unfilled: list[tuple[Path, int, str]] = []
        self.handlers: _Handlers = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._start_mapping,
            yaml.SequenceStartEvent: self._start_sequence,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._start_document,
            yaml.DocumentEndEvent: _ignore,
            yaml.StreamStartEvent: _ignore,
            yaml.StreamEndEvent: _ignore,
        }

    def fill_in(self, interpolation: Interpolation) -> None:
        """Fills in expressions from now on."""

        def scalar(event: Any) -> None:
            try:
                event.value = interpolation.filled(event.value)
            except ValueError as error:
                self.unfilled.append((self._place_in_document(), _place(event)[0], str(error)))
            self._scalar(event)

        self.handlers = {**self.handlers, yaml.ScalarEvent: scalar}

    def _scalar(self, event: Any) -> None:
        value: Any = event.value
        self._nodes += 1
        target = self._target
        is_key = target.__class__ is dict and self._key is None
        if is_key:
            self._begin_pair(_MERGE if value == "<<" and event.implicit[0] else value, event)
        elif event.implicit[0]:
            if value in _WORDS:
                value = _WORDS[value]
            elif value[0] in _NUMBER_STARTS:
                value = number(value)
        elif event.tag is not None and event.tag.startswith(_TAG):
            value = _tagged(event)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        if not is_key:
            self._put(value, event)

    def _begin_pair(self, key: Any, event: Any) -> None:
        if key in self._target and not (self._merged and key in self._merged):
            line, column = _place(event)
            raise _DuplicateKey(key, line, column, self._path())
        self._key = key

    def _put(self, value: Any, event: Any) -> None:
        target = self._target
        if target.__class__ is list:
            target.append(value)
            return
        if self._key is _MERGE:
            self._merge(value, event)
        else:
            target[self._key] = value
        self._key = None

    def _merge(self, value: Any, event: Any) -> None:
        maps = value if isinstance(value, list) else [value]
        if not all(isinstance(each, dict) for each in maps):
            raise YamlError("a merge key needs a map or a list of maps", *_place(event))
        if self._merged is None:
            self._merged = set()
        for each in maps:
            for name, item in each.items():
                if name not in self._target:
                    self._target[name] = item
                    self._merged.add(name)

    def _start_mapping(self, event: Any) -> None:
        self._start({}, event)

    def _start_sequence(self, event: Any) -> None:
        self._start([], event)

    def _start(self, container: Any, event: Any) -> None:
        if self._target.__class__ is dict and self._key is None:
            raise YamlError("a key has to be a plain value", *_place(event))
        if len(self._stack) >= MAX_DEPTH:
            raise YamlError(f"nested more than {MAX_DEPTH} deep", *_place(event))
        if event.anchor:
            self._anchors[event.anchor] = None  # not to be used before it is complete
        self._stack.append((self._target, self._key, self._merged, event.anchor, self._nodes))
        self._target, self._key, self._merged = container, None, None
        self._nodes += 1

    def _end(self, event: Any) -> None:
        value = self._target
        self._target, self._key, self._merged, anchor, nodes_before = self._stack.pop()
        if anchor:
            self._anchors[anchor] = (value, self._nodes - nodes_before)
        self._put(value, event)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise YamlError(f"unknown alias '{event.anchor}'", *_place(event))
        anchored = self._anchors[event.anchor]
        if anchored is None:
            raise YamlError(f"the alias '{event.anchor}' stands inside its own value", *_place(event))
        value, size = anchored
        self._nodes += size
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            raise YamlError(f"aliases stand for more than {MAX_ALIASED} values", *_place(event))
        if self._target.__class__ is dict and self._key is None:
            if not isinstance(value, str):
                raise YamlError("a key has to be a plain value", *_place(event))
            self._begin_pair(value, event)
        else:
            self._put(value, event)

    def _start_document(self, event: Any) -> None:
        if self.documents:
            raise YamlError("only one document is expected", *_place(event))

    def _path(self) -> Path:
        outer = [(target, key) for target, key, *_ in self._stack]
        return tuple(len(target) if isinstance(target, list) else key for target, key in outer[1:])

    def _place_in_document(self) -> Path:
        if self._target is self.documents:
            return ()
        own = len(self._target) if isinstance(self._target, list) else self._key
        return self._path() if own is None else (*self._path(), own)


class _DuplicateKey(YamlError):
    def __init__(self, key: str, line: int, column: int, path: Path) -> None:
        super().__init__(f"duplicate key '{key}'", line, column)
        self.path = (*path, key)


def _place(event: Any) -> tuple[int, int]:
    mark = event.start_mark
    return mark.line + 1, mark.column + 1


def number(text: str) -> Any:
    """A plain scalar that starts like a number; the text itself if it is none."""
    for pattern, base in _INTEGERS:
        if found := pattern.fullmatch(text):
            digits = found[2].replace("_", "")
            # Kong's numbers are doubles; digits without end would take forever to convert.
            number = int(digits, base) if len(digits) <= 64 else float("inf")
            return -number if found[1] == "-" else number
    if _FLOAT.fullmatch(text) and not text.replace("_", "").isdigit():
        return float(text.replace("_", ""))
    if found := _SEXAGESIMAL.fullmatch(text):
        total: float = 0
        for digits in found[2].split(":"):
            total = total * 60 + min(int(digits[:64]), 2**53)
        total += float(found[3]) if found[3] else 0
        return -total if found[1] == "-" else total
    return text


def _tagged(event: Any) -> Any:
    """A scalar with an explicit type; tags that are not YAML's own mean nothing."""
    expected = _TAGGED_TYPES.get(event.tag.removeprefix(_TAG))
    text = event.value
    if expected is None:
        return text
    value = _WORDS[text] if text in _WORDS else number(text) if text[0] in _NUMBER_STARTS else text
    if expected is float and type(value) is int:
        value = float(value)
    if type(value) is not expected:
        raise YamlError(f"invalid '{event.tag}' value: '{text}'", *_place(event))
    return value


class _Finder:
    """Follows events and notes the lines of wanted paths, duplicates included once."""

    def __init__(self, wanted: set[Path]) -> None:
        self.found: dict[Path, int] = {}
        self._wanted = wanted
        self._path: Path = ()
        #: for each open collection: the path to it, and the next index or None in a mapping
        self._stack: list[tuple[Path, int | None]] = []
        self._awaits_key = False
        self.handlers: _Handlers = {
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.MappingStartEvent: lambda event: self._start(event, None),
            yaml.SequenceStartEvent: lambda event: self._start(event, 0),
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.DocumentStartEvent: _ignore,
            yaml.DocumentEndEvent: _ignore,
            yaml.StreamStartEvent: _ignore,
            yaml.StreamEndEvent: _ignore,
        }

    def _note(self, event: Any) -> None:
        if self._path in self._wanted:
            self.found.setdefault(self._path, event.start_mark.line + 1)

    def _enter(self, event: Any) -> None:
        """A value begins: in a sequence its path is the next index."""
        if self._stack and (index := self._stack[-1][1]) is not None:
            base = self._stack[-1][0]
            self._path = (*base, index)
            self._stack[-1] = (base, index + 1)
            self._note(event)

    def _leave(self) -> None:
        if self._stack:
            self._path, index = self._stack[-1]
            self._awaits_key = index is None

    def _scalar(self, event: Any) -> None:
        if self._awaits_key:
            self._path = (*self._path, event.value)
            self._note(event)
            self._awaits_key = False
            return
        self._enter(event)
        self._leave()

    def _alias(self, event: Any) -> None:
        if self._awaits_key:
            self._awaits_key = False
            return
        self._enter(event)
        self._leave()

    def _start(self, event: Any, index: int | None) -> None:
        self._enter(event)
        self._stack.append((self._path, index))
        self._awaits_key = index is None

    def _end(self, event: Any) -> None:
        self._path = self._stack.pop()[0]
        self._leave()
