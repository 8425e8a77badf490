"""What is wrong with a configuration, in Kong's three forms and with lines.

`Problems` collects errors by their place in the document. `Refused` carries them; from its map and
the document the pure functions below write Kong's message and its `flattened_errors`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from tollhouse.errors import ConfigError, ConfigErrors
from tollhouse.model import lua
from tollhouse.model.constraints import UUID
from tollhouse.model.entities import ENTITIES, Kind

Path: TypeAlias = tuple[str | int, ...]
#: kinds of entities that may stand inside one of this kind, and their field that points to it
CHILDREN: Final[Mapping[str, Mapping[str, str]]] = {
    parent: {
        kind.name: field
        for kind in ENTITIES.values()
        for field, reference in kind.references.items()
        if reference == parent
    }
    for parent in ENTITIES
}


@dataclass(frozen=True, slots=True)
class Spelling:
    """Another place or name for entities of a kind.

    Where a `named` field is given, an item may be a name alone, or a record that holds a name or an id;
    it is then the entity with that field pointing there.
    """

    kind: str
    #: the field that points to the entity it stands in
    field: str
    named: str | None = None


#: what else may stand inside an entity of a kind, as decK and older files write it
SPELLINGS: Final[Mapping[str, Mapping[str, Spelling]]] = {
    "consumers": {"groups": Spelling("consumer_group_consumers", "consumer", "consumer_group")},
    "consumer_groups": {
        "consumers": Spelling("consumer_group_consumers", "consumer_group", "consumer"),
        "consumer_group_plugins": Spelling("plugins", "consumer_group"),
    },
}
#: what else may stand at the top of a document
TOP_SPELLINGS: Final[Mapping[str, str]] = {"consumer_group_plugins": "plugins"}


class Refused(ConfigErrors):
    """A declarative configuration was refused.

    `fields` is Kong's error map; `document` is what was read, with derived ids if that is what went
    wrong, or None if the text could not be read at all.
    """

    def __init__(self, errors: list[ConfigError], fields: Mapping[str, Any], document: Any = None) -> None:
        super().__init__(errors, fields)
        self.document = document


class Problems:
    """Errors by path; falsy while there are none."""

    def __init__(self) -> None:
        self._tree: dict[Any, Any] = {}
        self.found: list[tuple[Path, str]] = []

    def __bool__(self) -> bool:
        return bool(self.found)

    def add(self, path: Path, error: Any, *, shown_at: Path | None = None, shown: Any = None) -> None:
        """Notes a text, a list with holes or a map.

        `shown_at` is its place in Kong's map and `shown` what stands there, if they are others.
        """
        self.found.extend(texts(path, error))
        self._insert(shown_at or path, shown or error)

    def _insert(self, path: Path, error: Any) -> None:
        node = self._tree
        for name in path[:-1]:
            child = node.get(name)
            if not isinstance(child, dict):
                child = node[name] = {} if child is None else {"@entity": [child]}
            node = child
        last = path[-1]
        node[last] = error if last not in node else _merged(node[last], error)

    def fields(self) -> dict[str, Any]:
        """Kong's error map."""
        shown: dict[str, Any] = _with_holes(self._tree)
        return shown


def _merged(earlier: Any, error: Any) -> Any:
    if isinstance(earlier, list) and isinstance(error, list):
        return earlier + error
    earlier, error = (each if isinstance(each, dict) else {"@entity": [each]} for each in (earlier, error))
    both = [*earlier.get("@entity", ()), *error.get("@entity", ())]
    return {**earlier, **error, **({"@entity": both} if both else {})}


def texts(path: Path, error: Any) -> Iterator[tuple[Path, str]]:
    """Every message in an error map of Kong's, with the place it is about."""
    if isinstance(error, str):
        yield path, error
    elif isinstance(error, Mapping):
        for name, inner in error.items():
            for text in inner if name == "@entity" else ():
                yield path, text
            if name != "@entity":
                yield from texts((*path, name), inner)
    else:
        for index, inner in enumerate(error):
            if inner is not None:
                yield from texts((*path, index), inner)


def _with_holes(node: Any) -> Any:
    """Maps whose keys are all indices become lists, with null where nothing is wrong."""
    if not isinstance(node, dict):
        return node
    shown = {key: _with_holes(value) for key, value in node.items()}
    if shown and all(isinstance(key, int) for key in shown):
        return [shown.get(index) for index in range(max(shown) + 1)]
    return {str(key + 1) if isinstance(key, int) else key: value for key, value in shown.items()}


def dotted(path: Path) -> str:
    """A path as text: `services[0].routes[1].paths[0]`."""
    pieces = (f"[{name}]" if isinstance(name, int) else f".{name}" for name in path)
    return "".join(pieces).removeprefix(".")


def message(fields: Mapping[str, Any]) -> str:
    """Kong's one-line message for an error map."""
    return f"declarative config is invalid: {lua.table(fields, compact=True)}"


def answer(refused: Refused, *, flatten: bool) -> dict[str, Any]:
    """The body of Kong's answer to a refused configuration."""
    fields: Mapping[str, Any] = refused.fields
    body: dict[str, Any] = {"code": 14, "name": "invalid declarative configuration"}
    if flatten and isinstance(refused.document, Mapping):
        flattened, fields = flattened_errors(fields, refused.document)
        # An empty Lua table is written as an object.
        body["flattened_errors"] = flattened or {}
    return {**body, "fields": fields, "message": message(fields)}


def flattened_errors(
    fields: Mapping[str, Any], document: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Errors listed by entity, and those that belong to none, from Kong's error map and the document."""
    flattened: list[dict[str, Any]] = []
    rest: dict[str, Any] = {}
    for name, section in fields.items():
        if name not in ENTITIES or isinstance(section, str) or not isinstance(document.get(name), list):
            rest[name] = section
            continue
        for key, error in _entries(section):
            entity = _entity(document, ENTITIES[name], key)
            if isinstance(entity, Mapping):
                _flatten(ENTITIES[name], entity, error, flattened)
            else:
                rest.setdefault(name, {})[str(key)] = error
    return flattened, rest


def _entries(section: Any) -> list[tuple[Any, Any]]:
    if isinstance(section, Mapping):
        return list(section.items())
    return [(index, error) for index, error in enumerate(section) if error is not None]


def _entity(document: Mapping[str, Any], kind: Kind, key: Any) -> Any:
    """The entity an error is about: by index, or, as for unresolved references, by name or id."""
    if isinstance(key, int):
        return document[kind.name][key]
    named = (item for item in _all_of(document, kind) if key in (item.get(kind.lookup or ""), item.get("id")))
    return next(named, None)


def _all_of(node: Mapping[str, Any], kind: Kind) -> Iterator[Mapping[str, Any]]:
    for name in ENTITIES:
        items = node.get(name)
        for item in items if isinstance(items, list) else ():
            if isinstance(item, Mapping):
                if name == kind.name:
                    yield item
                yield from _all_of(item, kind)


def _flatten(kind: Kind, entity: Mapping[str, Any], error: Any, into: list[dict[str, Any]]) -> None:
    shown = dict(entity)
    left: dict[str, Any] = dict(error) if isinstance(error, Mapping) else {"@entity": error}
    for field, reference in kind.references.items():
        if isinstance(shown.get(field), Mapping) and reference in ENTITIES:
            foreign = shown.pop(field)
            shown |= {field: {"id": foreign["id"]}} if _is_uuid(foreign.get("id")) else {}
            if field in left:
                _flatten(ENTITIES[reference], foreign, left.pop(field), into)
    for child, field in CHILDREN[kind.name].items():
        items = shown.pop(child, None)
        for index, inner in _entries(left.pop(child, ())) if isinstance(items, list) else ():
            if isinstance(items[index], Mapping):
                parent = {field: {"id": shown["id"]}} if _is_uuid(shown.get("id")) else {}
                _flatten(ENTITIES[child], {**parent, **items[index]}, inner, into)
    if left:
        into.append(_flat(kind, shown, left))


def _flat(kind: Kind, entity: Mapping[str, Any], error: Mapping[str, Any]) -> dict[str, Any]:
    item: dict[str, Any] = {"entity_type": kind.name.removesuffix("s"), "entity": entity}
    if isinstance(entity.get("name"), str) and entity["name"]:
        item["entity_name"] = entity["name"]
    if _is_uuid(entity.get("id")):
        item["entity_id"] = entity["id"]
    tags = entity.get("tags")
    if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
        item["entity_tags"] = tags
    item["errors"] = list(_categorised(error, ""))
    return item


def _categorised(error: Any, name: str) -> Iterator[dict[str, str]]:
    if isinstance(error, str):
        yield {"type": "field", "field": name, "message": error}
        return
    prefix = f"{name}." if name else ""
    for key, inner in _entries(error):
        if key == "@entity":
            for text in [inner] if isinstance(inner, str) else inner:
                yield {"type": "entity", "message": text}
        else:
            yield from _categorised(inner, f"{prefix}{key + 1 if isinstance(key, int) else key}")


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and UUID.fullmatch(value) is not None
