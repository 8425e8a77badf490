"""What of a configuration written for Kong would be the same here, what differs and what there is not.

Every entity is judged by itself, so that a file which could not be served is told about in full.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tollhouse.config.declarative import SKIPPED, with_assumed
from tollhouse.config.document import check_top_level, parse
from tollhouse.config.interpolate import Interpolation
from tollhouse.config.refusal import Path, Problems, dotted, texts
from tollhouse.config.tree import Entry, Tree
from tollhouse.model.entities import PluginSchemas, variant
from tollhouse.model.schema import Record
from tollhouse.review import differences
from tollhouse.review.differences import EVERYWHERE, MISSING, SECTIONS, Difference, Verdict

_RANK: Final[Mapping[Verdict, int]] = {"same": 0, "differs": 1, "not supported": 2}
_VARIABLE: Final = re.compile(r"""env\s+\\?["`](DECK_\w+)\\?["`]\s*(\|\s*to)?""")
_MEANINGLESS: Final = {
    "_workspace": "there are no workspaces: everything is in one",
    "_konnect": "it is read by Konnect alone",
}


@dataclass(frozen=True, slots=True)
class FieldReview:
    """One field that is given, or that should be; `how` and `todo` are empty where all is the same."""

    field: str
    verdict: Verdict
    how: str = ""
    todo: str = ""


@dataclass(frozen=True, slots=True)
class EntityReview:
    """One entity, or a section of the file that holds none we know; `path` is its place in the file."""

    kind: str
    name: str
    path: str
    fields: tuple[FieldReview, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of its fields'."""
        return max((field.verdict for field in self.fields), key=_RANK.__getitem__, default="same")


@dataclass(frozen=True, slots=True)
class Report:
    """Every entity in the order of the file, and what is otherwise whatever the file says."""

    entities: tuple[EntityReview, ...]
    everywhere: tuple[str, ...] = EVERYWHERE

    def count(self, verdict: Verdict) -> int:
        return sum(entity.verdict == verdict for entity in self.entities)


def review(
    text: str, *, file: str | None, plugins: PluginSchemas, flavor: str, environment: Mapping[str, str]
) -> Report:
    """The report about a declarative file of Kong's, or of decK's. Raises `ConfigErrors` for a text that
    cannot be read at all. Environment variables that are not set are taken to be."""
    assumed = {name: "1" if converted else "unset" for name, converted in _VARIABLE.findall(text)}
    interpolation = Interpolation(text, {**assumed, **environment})
    document = parse(interpolation.text, file, interpolation)
    problems = Problems()
    check_top_level(document, problems)
    tree = Tree(document, problems)
    reviewed = {
        entry.path: _entity(entry, tree, plugins, flavor)
        for entries in tree.entries.values()
        for entry in entries
    }
    tree.check_unique_fields()
    return Report((*_sections(document, problems, reviewed), *_with_problems(reviewed, problems)))


def _sections(
    document: Mapping[str, Any], problems: Problems, reviewed: Mapping[Path, EntityReview]
) -> Iterator[EntityReview]:
    """What stands in the file besides entities."""
    for name, why in _MEANINGLESS.items():
        if document.get(name):
            yield EntityReview("file", name, name, (FieldReview(name, "differs", why),))
    for path, text in problems.found:
        if _owner(path, reviewed) is None:
            value = document.get(str(path[0]))
            count = f" ({len(value)} entries)" if isinstance(value, list) else ""
            yield EntityReview("file", f"{path[0]}{count}", dotted(path), (_refused(path, text),))


def _with_problems(reviewed: Mapping[Path, EntityReview], problems: Problems) -> Iterator[EntityReview]:
    """The entities with what is wrong between them: names that occur twice, references to nothing."""
    between: dict[Path, list[FieldReview]] = {}
    for path, text in problems.found:
        owner = _owner(path, reviewed)
        if owner is not None:
            between.setdefault(owner, []).append(_refused(path[len(owner) :], text))
    for path in sorted(reviewed):
        entity = reviewed[path]
        fields = {field.field: field for field in entity.fields} | {
            field.field: field for field in between.get(path, ())
        }
        yield EntityReview(entity.kind, entity.name, entity.path, tuple(fields.values()))


def _owner(path: Path, reviewed: Mapping[Path, EntityReview]) -> Path | None:
    return next((path[:end] for end in range(len(path), 0, -1) if path[:end] in reviewed), None)


def _entity(entry: Entry, tree: Tree, plugins: PluginSchemas, flavor: str) -> EntityReview:
    kind = entry.kind
    raw = tree.with_references(entry)
    return EntityReview(
        kind.name, _name(entry), dotted(entry.path), tuple(_fields(entry, raw, plugins, flavor))
    )


def _name(entry: Entry) -> str:
    """What an entity is called; a key by which a credential is found is no name that may be shown."""
    if entry.kind.name == "plugins":
        instance = f" ({entry.lookup_key})" if entry.lookup_key else ""
        return f"{entry.raw.get('name')}{instance}"
    lookup = entry.lookup_key if entry.kind.lookup != "key" else None
    return str(lookup or entry.raw.get("id") or "")


def _fields(
    entry: Entry, raw: Mapping[str, Any], plugins: PluginSchemas, flavor: str
) -> Iterator[FieldReview]:
    kind, plugin = entry.kind, entry.raw.get("name") if entry.kind.name == "plugins" else None
    if isinstance(plugin, str) and plugins.config(plugin) is None:
        todo = MISSING.get(plugin, "leave it out, or write it as a plugin in Python")
        yield FieldReview("name", "not supported", f"there is no plugin '{plugin}'", todo)
        return
    schema = variant(kind, raw, flavor, plugins)
    skipped = SKIPPED[kind.name]
    errors = (
        schema.check(with_assumed(schema, raw), skip=skipped)[1] if isinstance(schema, Record) else schema
    )
    refused = dict(texts((), errors)) if errors else {}
    own = {key: value for key, value in entry.raw.items() if key not in skipped and value is not None}
    known = differences.PLUGINS.get(plugin, ()) if plugin else differences.ENTITIES.get(kind.name, ())
    differing = [_differing(each) for each in known if each.when(_value(own, each.field))]
    yield from (_refused(path, text) for path, text in refused.items())
    yield from differing
    told = {field.field for field in differing}
    for path in _leaves((), own):
        if dotted(path) not in told and not any(path[:end] in refused for end in range(len(path) + 1)):
            yield FieldReview(dotted(path), "same")


def _differing(difference: Difference) -> FieldReview:
    return FieldReview(difference.field, difference.verdict, difference.how, difference.todo)


def _value(values: Any, field: str) -> Any:
    for name in field.split(".") if field else ():
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _refused(path: Path, text: str) -> FieldReview:
    field = dotted(path)
    last = str(path[-1]) if path else ""
    if text == "unknown field" or last in SECTIONS:
        todo = SECTIONS.get(last, "leave it out, after making sure that nothing depends on it")
        return FieldReview(field, "not supported", "there is nothing of this name", todo)
    if text == "required field missing":
        return FieldReview(field, "not supported", "it has to be given", "give it a value")
    return FieldReview(field, "not supported", f"refused: {text}", "give it a value that is accepted")


def _leaves(path: Path, value: Any) -> Iterator[Path]:
    """The paths of values; a list of plain values is one."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves((*path, name), inner)
    elif isinstance(value, list) and any(isinstance(inner, Mapping) for inner in value):
        for index, inner in enumerate(value):
            yield from _leaves((*path, index), inner)
    elif path:
        yield path
