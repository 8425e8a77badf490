"""The entities of a document, nested or not: who stands in whom, their ids, whom they refer to."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tollhouse.config.deck import Shared
from tollhouse.config.document import modern_paths
from tollhouse.config.identity import content_id, derived_id
from tollhouse.config.refusal import CHILDREN, SPELLINGS, TOP_SPELLINGS, Path, Problems, Spelling
from tollhouse.model.entities import ENTITIES, Kind

_MEMBERSHIP: Final = ENTITIES["consumer_group_consumers"]
#: what may stand inside an entity of each kind
_INSIDE: Final[Mapping[str, Mapping[str, Spelling]]] = {
    name: {child: Spelling(child, field) for child, field in children.items()} | dict(SPELLINGS.get(name, {}))
    for name, children in CHILDREN.items()
}
#: stands for an entity that was not found, so that its field is not reported as missing too
_NOBODY: Final = "00000000-0000-0000-0000-000000000000"


class Entry:
    """One entity as it stands in the document."""

    __slots__ = ("field", "id", "index", "key", "kind", "parent", "raw")

    def __init__(
        self, kind: Kind, raw: Mapping[str, Any], parent: "Entry | None", field: str, key: str, index: int
    ) -> None:
        self.kind = kind
        #: the name of the list it stands in
        self.key = key
        self.raw = raw
        self.parent = parent
        #: the field that points to the parent
        self.field = field
        self.index = index
        self.id = ""

    @property
    def path(self) -> Path:
        own: Path = (self.key, self.index)
        return own if self.parent is None else (*self.parent.path, *own)

    @property
    def lookup_key(self) -> str | None:
        """The name it can be called by instead of its id."""
        key = self.raw.get(self.kind.lookup) if self.kind.lookup else None
        return key if isinstance(key, str) and key else None


class Tree:
    """Every entity of a document, found by kind and by id or name."""

    def __init__(self, document: Mapping[str, Any], problems: Problems) -> None:
        self._problems = problems
        self._version = document.get("_format_version")
        self._shared = Shared(document, problems)
        self._seen: Counter[str] = Counter()
        self._by_id: dict[str, dict[str, Entry]] = {name: {} for name in ENTITIES}
        self._by_key: dict[str, dict[str, Entry]] = {name: {} for name in ENTITIES}
        self.entries: dict[str, list[Entry]] = {name: [] for name in ENTITIES}
        for name in ENTITIES:
            self._add_all(name, document.get(name), None, Spelling(name, ""))
        for key, name in TOP_SPELLINGS.items():
            self._add_all(key, document.get(key), None, Spelling(name, ""))

    def _add_all(self, key: str, items: Any, parent: Entry | None, spelling: Spelling) -> None:
        if items is None or items == {}:
            return
        if not isinstance(items, list):
            self._problems.add((*(parent.path if parent else ()), key), "expected an array")
            return
        kind = ENTITIES[spelling.kind]
        children = _INSIDE[spelling.kind]
        for index, item in enumerate(items):
            raw = _membership(item, spelling.named) if spelling.named else item
            entry = Entry(kind, raw, parent, spelling.field, key, index)
            if not isinstance(raw, dict):
                self._problems.add(entry.path, "expected a record")
                continue
            raw = self._shared.applied(kind, raw, entry.path)
            entry.raw = modern_paths(raw, self._version) if spelling.kind == "routes" else raw
            self._identify(entry)
            self.entries[spelling.kind].append(entry)
            for child, how in children.items():
                if child in raw:
                    self._add_all(child, raw[child], entry, how)

    def _identify(self, entry: Entry) -> None:
        kind, raw = entry.kind, entry.raw
        given = raw.get("id")
        parent = (entry.field, entry.parent.id) if entry.parent else None
        entry.id = given if isinstance(given, str) else derived_id(kind, raw, parent) or ""
        if not entry.id:
            first = content_id(kind, raw, parent, 0)
            entry.id = content_id(kind, raw, parent, self._seen[first]) if self._seen[first] else first
            self._seen[first] += 1
        key = entry.lookup_key
        if key is not None and self._by_key[kind.name].setdefault(key, entry) is not entry:
            self._problems.add(entry.path, already_declared(kind, kind.lookup or "", key))
        elif self._by_id[kind.name].setdefault(entry.id, entry) is not entry:
            self._problems.add(entry.path, already_declared(kind, "primary key", entry.id))

    def check_unique_fields(self) -> None:
        """Unique fields besides the one an entity is called by."""
        for kind in ENTITIES.values():
            for name in kind.unique:
                if name != kind.lookup:
                    self._check_unique(kind, name)

    def _check_unique(self, kind: Kind, name: str) -> None:
        seen: set[str] = set()
        for entry in self.entries[kind.name]:
            value = entry.raw.get(name)
            if not isinstance(value, str):
                continue
            if value in seen:
                place = (kind.name, entry.lookup_key or entry.id)
                self._problems.add(entry.path, already_declared(kind, name, value), shown_at=place)
            seen.add(value)

    def with_references(self, entry: Entry) -> Mapping[str, Any]:
        """The entity's input with ids in place of the names it refers to."""
        if not entry.kind.references:
            return entry.raw
        raw = dict(entry.raw)
        for field, reference in entry.kind.references.items():
            parent = entry.parent if field == entry.field else None
            value = raw.get(field)
            if parent is not None:
                self._check_parent(entry, field, reference, value)
                raw[field] = {"id": parent.id}
            elif _names_an_entity(value):
                raw[field] = {"id": self._resolved(entry, field, reference, value)}
        return raw

    def _check_parent(self, entry: Entry, field: str, reference: str, value: Any) -> None:
        """The place of a nested entity tells its parent; what it says itself may only be the same."""
        found = self._find(reference, value)
        if value is None or found is entry.parent:
            return
        if found is None and isinstance(value, dict) and _names_an_entity(value):
            self._resolved(entry, field, reference, value)
        else:
            self._problems.add((*entry.path, field), "value must be null")

    def _find(self, reference: str, value: Any) -> Entry | None:
        key = value.get("id") if isinstance(value, dict) else value
        if reference not in ENTITIES or not isinstance(key, str):
            return None
        by_key = self._by_key[reference].get(key) if isinstance(value, str) else None
        return by_key or self._by_id[reference].get(key)

    def _resolved(self, entry: Entry, field: str, reference: str, value: Any) -> str:
        found = self._find(reference, value)
        if found is not None:
            return found.id
        shown = value if isinstance(value, str) else f'{{"id":"{value["id"]}"}}'
        text = f"invalid reference '{field}: {shown}' (no such entry in '{reference}')"
        place = (entry.kind.name, entry.lookup_key or entry.id)
        self._problems.add((*entry.path, field), text, shown_at=place, shown=[text])
        return _NOBODY

    def every_entry(self) -> Iterator[Entry]:
        """All entities, each after the one it stands in."""
        depths: dict[Entry, int] = {}
        for entries in self.entries.values():
            for entry in entries:
                depths[entry] = len(entry.path)
        yield from sorted(depths, key=depths.__getitem__)

    def with_ids(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The document with the derived ids in it; only what changes is copied."""
        shown = dict(document)
        copies: dict[Entry, dict[str, Any]] = {}
        copied: set[tuple[Entry | None, str]] = set()
        for entry in self.every_entry():
            holder = copies[entry.parent] if entry.parent else shown
            name = entry.key
            if entry.kind.name not in (name, "plugins"):
                continue  # a name that stands for a membership stays a name
            if (entry.parent, name) not in copied:
                copied.add((entry.parent, name))
                holder[name] = list(holder[name])
            copies[entry] = holder[name][entry.index] = {**entry.raw, "id": entry.id}
        return shown


def _membership(item: Any, field: str) -> Any:
    """A membership written as the name of what it points to, as `{"name": …}` or `{"id": …}`."""
    if isinstance(item, str):
        return {field: item}
    lookup = ENTITIES[_MEMBERSHIP.references[field]].lookup or ""
    if isinstance(item, dict) and isinstance(item.get(lookup), str):
        return {field: item[lookup]}
    return {field: {"id": item["id"]}} if isinstance(item, dict) and isinstance(item.get("id"), str) else item


def _names_an_entity(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, dict) and isinstance(value.get("id"), str))


def already_declared(kind: Kind, name: str, value: str) -> str:
    """Kong's text for a value that may occur only once."""
    return f"uniqueness violation: '{kind.name}' entity with {name} set to '{value}' already declared"
