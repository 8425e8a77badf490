"""Kong's declarative configuration: text in, a checked snapshot out, or everything that is wrong.

A file is refused whole, and with every error at once, where Kong stops after the errors of single
entities. Ids that are not given are derived as Kong derives them.
"""

import gc
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import msgspec

from tollhouse.config.document import (
    ANNOTATIONS,
    NOT_YET,
    check_top_level,
    located,
    not_yet,
    parse,
    unreadable,
)
from tollhouse.config.interpolate import Interpolation
from tollhouse.config.refusal import (
    CHILDREN,
    SPELLINGS,
    Problems,
    Refused,
    answer,
    flattened_errors,
    message,
)
from tollhouse.config.tree import Entry, Tree
from tollhouse.errors import ConfigError
from tollhouse.model import lua
from tollhouse.model.entities import (
    ENTITIES,
    Kind,
    PluginInstance,
    PluginSchemas,
    Route,
    as_json,
    variant,
    with_references,
)
from tollhouse.model.messages import outdated_name
from tollhouse.model.schema import Record, Unchecked
from tollhouse.model.snapshot import Snapshot

#: why a route with these values, of this flavour, cannot be routed by; None if it can
RouteProblem: TypeAlias = Callable[[Mapping[str, Any], str], str | None]
#: what may stand in an entity of each kind without being a field of it
SKIPPED: Final[Mapping[str, frozenset[str]]] = {
    name: ANNOTATIONS.union(children, SPELLINGS.get(name, ())) for name, children in CHILDREN.items()
}


def load(
    text: str,
    *,
    file: str | None,
    plugins: PluginSchemas,
    flavor: str,
    now: int,
    environment: Mapping[str, str] | None = None,
    route_problem: RouteProblem = lambda values, flavor: None,
    warn: Callable[[ConfigError], None] = lambda _: None,
) -> Snapshot:
    """The snapshot that the text describes; raises `Refused`, a `ConfigErrors`.

    `now` becomes the time of creation and change, in Unix seconds. `route_problem` says why a route that
    is right by its schema cannot be routed by. With an `environment`, expressions
    like `${{ env "DECK_X" }}` are filled in from it. `warn` is told of plugins that are tolerated
    although nobody knows them, and of deprecated names.
    """
    with _without_garbage_collection():
        try:
            interpolation = Interpolation(text, environment) if environment is not None else None
            parsed = interpolation.text if interpolation else text
            document = parse(parsed, file, interpolation)
            loader = _Loader(document, plugins, flavor, now, route_problem)
            snapshot = loader.run(hash_of(text))
        except RecursionError:
            raise unreadable("nested too deeply", None, file) from None
        if snapshot is None:
            errors = located(loader.problems, parsed, file)
            raise Refused(errors, loader.problems.fields(), loader.shown_document())
        for warning in located(loader.warnings, parsed, file):
            warn(warning)
        return snapshot


def with_assumed(schema: Record, raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """A plugin's input with settings that files in use leave out although Kong asks for them."""
    config = schema.fields["config"].shape.record if "config" in schema.fields else None
    given = raw.get("config") or {}
    if config is None or not config.assumed or not isinstance(given, dict):
        return raw
    return {**raw, "config": {**config.assumed, **given}}


def hash_of(text: str) -> str:
    """What tells one configuration from another: Kong's `configuration_hash`."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    # A load makes millions of objects and no cycles: collecting would walk them again and again.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Loader:
    """One load: from a document to entities, collecting problems on the way."""

    def __init__(
        self,
        document: dict[str, Any],
        plugins: PluginSchemas,
        flavor: str,
        now: int,
        route_problem: RouteProblem,
    ) -> None:
        self.problems = Problems()
        self.warnings = Problems()
        check_top_level(document, self.problems)
        self._tree = Tree(document, self.problems)
        self._document = document
        self._plugins = plugins
        self._flavor = flavor
        self._now = now
        self._route_problem = route_problem
        self._plugin_schemas: dict[str, Record | dict[str, Any]] = {}
        self._schemas_hold = True
        self._transforms = document.get("_transform") is not False

    def run(self, text_hash: str) -> Snapshot | None:
        """The snapshot, or None if there are problems."""
        tree = self._tree
        values = {name: [self._checked(entry) for entry in entries] for name, entries in tree.entries.items()}
        tree.check_unique_fields()
        if self.problems:
            return None
        entities = {name: _built(ENTITIES[name], values.pop(name)) for name in ENTITIES}
        snapshot = Snapshot(**entities, hash=text_hash)
        self._check_composites(snapshot)
        return None if self.problems else snapshot

    def _checked(self, entry: Entry) -> dict[str, Any]:
        kind = entry.kind
        raw = self._tree.with_references(entry)
        schema = self._schema(kind, raw)
        if not isinstance(schema, Record):
            return self._refuse(entry, schema)
        values, errors = schema.check(with_assumed(schema, raw), skip=SKIPPED[kind.name])
        if errors:
            return self._refuse(entry, errors)
        if kind.cls is PluginInstance and isinstance(schema.fields["config"].shape.record, Unchecked):
            text = f"plugin '{values['name']}' is unknown to this version of Tollhouse: it does nothing"
            self.warnings.add((*entry.path, "name"), text)
        if kind.cls is PluginInstance:
            for old, new in schema.outdated(raw):
                self.warnings.add((*entry.path, *old.split(".")), outdated_name(values["name"], old, new))
        values["id"] = entry.id
        kind.fill_auto(values, self._now)
        if kind.cls is Route and (problem := self._route_problem(values, self._flavor)) is not None:
            return self._refuse(entry, {"@entity": [problem]})
        values = kind.kept(values)
        return kind.transformed(values) if self._transforms else values

    def _schema(self, kind: Kind, raw: Mapping[str, Any]) -> Record | dict[str, Any]:
        name = raw.get("name")
        if kind.cls is not PluginInstance or not isinstance(name, str):
            return variant(kind, raw, self._flavor, self._plugins)
        if name not in self._plugin_schemas:
            self._plugin_schemas[name] = variant(kind, raw, self._flavor, self._plugins)
        return self._plugin_schemas[name]

    def _refuse(self, entry: Entry, errors: dict[str, Any]) -> dict[str, Any]:
        self._schemas_hold = False
        errors = with_references(entry.kind, entry.raw, errors)
        for name in NOT_YET.intersection(errors):
            if errors[name] == "unknown field":
                errors[name] = not_yet(name)
        self.problems.add(entry.path, errors)
        return {}

    def _pairs(self, kind: Kind, snapshot: Snapshot) -> Iterator[tuple[Entry, Any]]:
        return zip(self._tree.entries[kind.name], getattr(snapshot, kind.name), strict=True)

    def _check_composites(self, snapshot: Snapshot) -> None:
        for kind in (kind for kind in ENTITIES.values() if kind.composite):
            seen: set[tuple[Any, ...]] = set()
            for entry, entity in self._pairs(kind, snapshot):
                key = tuple(getattr(entity, name) for name in kind.composite)
                if key in seen:
                    self.problems.add(entry.path, _unique_violation(kind, key))
                seen.add(key)

    def shown_document(self) -> dict[str, Any]:
        """The document as errors show it: with derived ids once its entities are right by themselves."""
        return self._tree.with_ids(self._document) if self._schemas_hold else self._document


def _unique_violation(kind: Kind, key: tuple[Any, ...]) -> str:
    values = dict(zip(kind.composite, map(msgspec.to_builtins, key), strict=True))
    shown = {name: value for name, value in values.items() if value is not None or name not in kind.hidden}
    return f"UNIQUE violation detected on '{lua.table(shown, compact=True)}'"


def _built(kind: Kind, values: list[dict[str, Any]]) -> tuple[Any, ...]:
    built: tuple[Any, ...] = msgspec.convert(values, type=tuple[kind.cls, ...])  # type: ignore[name-defined]
    return built


def to_config_answer(snapshot: Snapshot, flavor: str = "traditional_compatible") -> dict[str, Any]:
    """What Kong answers to a configuration it took: entities by kind, then by id."""
    return {
        name: {entity.id: as_json(entity, flavor) for entity in getattr(snapshot, name)}
        for name in ENTITIES
        if getattr(snapshot, name)
    }


__all__ = [
    "PluginSchemas",
    "Refused",
    "answer",
    "flattened_errors",
    "load",
    "message",
    "to_config_answer",
]
