"""Remove, rename, replace, add, append: what transformers do to values by name, in that order."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

#: values by name; one that occurs more than once has a list
Values = dict[str, Any]
V = TypeVar("V")


def pair_of(entry: str) -> tuple[str, str]:
    """Name and value of an entry `name:value`; colons right behind the first do not count."""
    name, _, value = entry.partition(":")
    return name, value.lstrip(":")


@dataclass(frozen=True, slots=True)
class Operations(Generic[V]):
    """The entries of a configuration, taken apart. Values are whatever `compiled` made of them."""

    remove: tuple[str, ...]
    rename: tuple[tuple[str, str], ...]
    replace: tuple[tuple[str, V], ...]
    add: tuple[tuple[str, V], ...]
    append: tuple[tuple[str, V], ...]

    @classmethod
    def of(
        cls,
        remove: Iterable[str],
        rename: Iterable[str],
        *valued: Iterable[str],
        compiled: Callable[[str, int], V],
    ) -> "Operations[V]":
        """`valued` are the entries to replace, to add and to append; `compiled` gets a value and the place
        of its entry. Entries without a value do nothing, as in Kong."""

        def pairs(entries: Iterable[str]) -> tuple[tuple[str, V], ...]:
            split = [(place, *pair_of(entry)) for place, entry in enumerate(entries)]
            return tuple((name, compiled(value, place)) for place, name, value in split if value)

        replace_, add, append = map(pairs, valued)
        renames = tuple(pair for pair in map(pair_of, rename) if pair[1])
        return cls(tuple(pair_of(entry)[0] for entry in remove), renames, replace_, add, append)

    def in_lower_case(self) -> "Operations[V]":
        """With the names that are looked for, and only those, in lower case."""
        renames = tuple((old.lower(), new) for old, new in self.rename)
        return replace(self, remove=tuple(name.lower() for name in self.remove), rename=renames)

    def __bool__(self) -> bool:
        return any((self.remove, self.rename, self.replace, self.add, self.append))

    def of_parts(self) -> "Operations[V]":
        """What of them a multipart form undergoes: nothing is appended to one, as in Kong."""
        return replace(self, append=())

    def apply(self, values: Values, value_of: Callable[[V], Any], *, only_new: bool = False) -> None:
        """Changes `values`; with `only_new` nothing but what is added. A value of `None` changes nothing.

        As in Kong, JSON's false counts as a value that is not there; null is there.
        """
        if not only_new:
            for name in self.remove:
                values.pop(name, None)
            for old, new in self.rename:
                if old in values:
                    values[new] = values.pop(old)
            for name, given in self.replace:
                if values.get(name, False) is not False and (value := value_of(given)) is not None:
                    values[name] = value
        for name, given in self.add:
            if values.get(name, False) is False and (value := value_of(given)) is not None:
                values[name] = value
        for name, given in self.append:
            if (value := value_of(given)) is not None:
                values[name] = appended(values.get(name), value)


def appended(current: Any, value: Any) -> Any:
    """What a name holds once a value is put behind what it held."""
    if isinstance(current, list):
        return [*current, value]
    return [current, value] if isinstance(current, str | bool) else [value]
