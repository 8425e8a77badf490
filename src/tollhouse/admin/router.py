"""Which endpoint a path belongs to: paths with parameters, such as `/services/{services}/routes`.

A word that is spelled out wins over a parameter: `/plugins/enabled` is not a plugin called `enabled`.
"""

from collections.abc import Mapping
from typing import Final, Generic, TypeVar
from urllib.parse import unquote

T = TypeVar("T")

_PARAMETER: Final = "{}"


class _Node(Generic[T]):
    """What may follow a part of a path."""

    __slots__ = ("children", "leaf")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.leaf: _Leaf[T] | None = None


class _Leaf(Generic[T]):
    """What stands at the end of a path."""

    __slots__ = ("names", "value")

    def __init__(self, names: tuple[str, ...], value: T) -> None:
        #: of the parameters on the way here
        self.names = names
        self.value = value


class Router(Generic[T]):
    """Things by path."""

    def __init__(self, entries: Mapping[str, T]) -> None:
        self._root: _Node[T] = _Node()
        for path, value in entries.items():
            self._add(path, value)

    def _add(self, path: str, value: T) -> None:
        node, names = self._root, []
        for word in _words(path):
            if word.startswith("{"):
                names.append(word.strip("{}"))
                word = _PARAMETER
            node = node.children.setdefault(word, _Node())
        node.leaf = _Leaf(tuple(names), value)

    def find(self, path: str) -> tuple[T, dict[str, str]] | None:
        """What stands at a path as the client sent it, and the parameters' values, decoded."""
        # A path is text of one character for each byte.
        words = [unquote(word.encode("latin-1")) for word in _words(path)]
        found = _find(self._root, words, 0, ())
        if found is None:
            return None
        leaf, values = found
        return leaf.value, dict(zip(leaf.names, values, strict=True))


def _words(path: str) -> list[str]:
    # One slash at the end means nothing; any other empty word is a word that no path has.
    trimmed = path.removeprefix("/").removesuffix("/") if path != "//" else path
    return trimmed.split("/") if trimmed else []


def _find(
    node: _Node[T], words: list[str], place: int, values: tuple[str, ...]
) -> tuple[_Leaf[T], tuple[str, ...]] | None:
    if place == len(words):
        return (node.leaf, values) if node.leaf is not None else None
    word = words[place]
    if word == "":
        return None
    literal = node.children.get(word) if word != _PARAMETER else None
    found = _find(literal, words, place + 1, values) if literal is not None else None
    if found is None and (parameter := node.children.get(_PARAMETER)) is not None:
        found = _find(parameter, words, place + 1, (*values, word))
    return found
