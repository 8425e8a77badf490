"""Many declarative files made one: what teams keep apart in a folder, a node gets as a whole.

Lists are joined, in the order of the files' names. What is declared twice, or points to nothing, is
refused with every place named.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Final

from tollhouse.config import yaml_lines
from tollhouse.config.document import parse
from tollhouse.config.export import to_yaml
from tollhouse.config.identity import derived_id
from tollhouse.config.refusal import Problems, Refused, dotted
from tollhouse.config.tree import Entry, Tree
from tollhouse.errors import ConfigError, ConfigErrors
from tollhouse.model.entities import ENTITIES, Kind

_SUFFIXES: Final = frozenset({".yml", ".yaml", ".json"})
_VERSION: Final = "3.0"
_INDEXED: Final = re.compile(r"(\w+)\[(\d+)\]")
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Part:
    """One file: its name as it is shown, its text and what it holds."""

    name: str
    text: str
    document: Mapping[str, Any]

    def error(self, entry_path: tuple[str | int, ...], message: str) -> ConfigError:
        """An error at a place of this file."""
        line = yaml_lines.lines(self.text, [entry_path]).get(entry_path)
        return ConfigError(dotted(entry_path), message, line, self.name)

    def place(self, entry: Entry) -> str:
        """Where an entity stands, as text."""
        line = yaml_lines.lines(self.text, [entry.path]).get(entry.path)
        return f"{self.name}:{line or 1}"


@dataclass(frozen=True, slots=True)
class Rendered:
    """The one file, and where each of its entities came from."""

    text: str
    origins: Mapping[str, Sequence[tuple[Part, int]]]

    def located(self, errors: Sequence[ConfigError]) -> list[ConfigError]:
        """Errors found in the one file, at the places where people can mend them."""
        return [self._at_origin(error) for error in errors]

    def _at_origin(self, error: ConfigError) -> ConfigError:
        found = _INDEXED.match(error.path)
        if found is None or found[1] not in self.origins:
            return error
        part, index = self.origins[found[1]][int(found[2])]
        rest = error.path[found.end() :]
        return part.error((found[1], index, *_path_of(rest)), error.message)


def render(folder: FilePath) -> Rendered:
    """The whole folder as one declarative file. Raises `ConfigErrors` with everything that is wrong."""
    parts = _read(folder)
    errors = [*_shape_errors(parts)]
    if not errors:
        trees = [(part, Tree(part.document, Problems())) for part in parts]
        found = [(part, entry) for part, tree in trees for entry in tree.every_entry()]
        errors = [*_duplicates(found), *_dangling(found)]
    if errors:
        raise ConfigErrors(errors)
    head = (
        f"# Made by `tollhouse config render` from the files in {folder.resolve().name}/. Do not edit:\n"
        "# change those files and render them again.\n"
    )
    document, origins = _joined(parts)
    return Rendered(head + to_yaml(document), origins)


def _path_of(text: str) -> Iterator[str | int]:
    """What a dotted path is made of."""
    for name, index in _STEP.findall(text):
        yield int(index) if index else name


def _read(folder: FilePath) -> list[Part]:
    """Every file below the folder, by name; hidden ones are left out."""
    if not folder.is_dir():
        raise ConfigErrors([ConfigError("", f"{folder} is not a folder")])
    files = sorted(
        file
        for file in folder.rglob("*")
        if file.suffix in _SUFFIXES
        and not any(part.startswith(".") for part in file.parts[len(folder.parts) :])
    )
    if not files:
        raise ConfigErrors([ConfigError("", f"{folder} holds no .yml, .yaml or .json file")])
    parts: list[Part] = []
    errors: list[ConfigError] = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
            parts.append(Part(str(file), text, parse(text, str(file)) if text.strip() else {}))
        except Refused as refused:
            errors.extend(refused.errors)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            errors.append(ConfigError("", f"cannot read {file}: {reason}"))
    if errors:
        raise ConfigErrors(errors)
    return parts


def _shape_errors(parts: Sequence[Part]) -> Iterator[ConfigError]:
    """Keys that cannot be joined: collections that are no lists, and notes that differ between files."""
    first: dict[str, tuple[Part, Any]] = {}
    for part in parts:
        for name, value in part.document.items():
            if not name.startswith("_"):
                if value is not None and not isinstance(value, list):
                    yield part.error((name,), "expected an array")
                continue
            earlier, known = first.setdefault(name, (part, value))
            if known != value:
                yield part.error((name,), f"{value!r} here, but {known!r} in {earlier.name}")


def _duplicates(found: Sequence[tuple[Part, Entry]]) -> Iterator[ConfigError]:
    seen: dict[tuple[str, str], tuple[Part, Entry]] = {}
    for part, entry in found:
        for key, shown in _identities(entry):
            earlier = seen.setdefault((entry.kind.name, key), (part, entry))
            if earlier[1] is not entry:
                where = earlier[0].place(earlier[1])
                yield part.error(entry.path, f"{shown} is declared twice: here and at {where}")
                break


def _identities(entry: Entry) -> Iterator[tuple[str, str]]:
    """What must occur only once, and how it is shown."""
    given = entry.raw.get("id")
    if isinstance(given, str):
        yield given, f"the id {given}"
    if entry.lookup_key is not None:
        yield f"={entry.lookup_key}", repr(entry.lookup_key)
    parent = (entry.field, entry.parent.id) if entry.parent else None
    derived = derived_id(entry.kind, entry.raw, parent)
    if derived is not None:
        yield derived, f"{entry.raw.get('name') or entry.raw.get('target') or entry.kind.name!r}"


def _dangling(found: Sequence[tuple[Part, Entry]]) -> Iterator[ConfigError]:
    known: dict[str, set[str]] = {name: set() for name in ENTITIES}
    for _, entry in found:
        known[entry.kind.name].add(entry.id)
        if entry.lookup_key is not None:
            known[entry.kind.name].add(entry.lookup_key)
    for part, entry in found:
        for field, reference in _references(entry.kind):
            name = _named(entry.raw.get(field))
            if name is not None and name not in known[reference]:
                yield part.error(
                    (*entry.path, field), f"there is no {name!r} among the {reference} of these files"
                )


def _references(kind: Kind) -> Iterator[tuple[str, str]]:
    return ((field, reference) for field, reference in kind.references.items() if reference in ENTITIES)


def _named(value: Any) -> str | None:
    """The name or id that a reference holds."""
    if isinstance(value, Mapping):
        value = value.get("id") or value.get("name")
    return value if isinstance(value, str) else None


def _joined(parts: Sequence[Part]) -> tuple[dict[str, Any], dict[str, list[tuple[Part, int]]]]:
    """One document: what is said of the file, then entities, parents before their children; and where
    each entity came from."""
    notes: dict[str, Any] = {"_format_version": _VERSION}
    collections: dict[str, list[Any]] = defaultdict(list)
    origins: dict[str, list[tuple[Part, int]]] = defaultdict(list)
    for part in parts:
        for name, value in part.document.items():
            if name.startswith("_"):
                notes[name] = value
            elif value:
                collections[name].extend(value)
                origins[name].extend((part, index) for index in range(len(value)))
    order = [*(name for name in ENTITIES if name in collections), *sorted(set(collections) - set(ENTITIES))]
    return {**notes, **{name: collections[name] for name in order}}, origins
