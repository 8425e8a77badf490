"""A snapshot as people write it: children inside their parents, names for references, no defaults."""

from collections.abc import Mapping
from typing import Any, Final

from tollhouse.config.export import to_yaml
from tollhouse.config.refusal import CHILDREN
from tollhouse.model.entities import ENTITIES, Kind, PluginSchemas, as_json
from tollhouse.model.fields import Field
from tollhouse.model.judges import Wrong
from tollhouse.model.plugin import plugin_schema
from tollhouse.model.schema import Record
from tollhouse.model.snapshot import Snapshot

_INSTANTS: Final = ("created_at", "updated_at")


def to_nested_text(snapshot: Snapshot, plugins: PluginSchemas, flavor: str, *, with_ids: bool = False) -> str:
    """YAML that describes the same entities when it is loaded; ids are left out where names tell."""
    return to_yaml(_Writer(snapshot, plugins, flavor, with_ids=with_ids).document())


class _Writer:
    def __init__(self, snapshot: Snapshot, plugins: PluginSchemas, flavor: str, *, with_ids: bool) -> None:
        self._snapshot = snapshot
        self._plugins = plugins
        self._flavor = flavor
        self._with_ids = with_ids
        #: what an entity is called in references, and what is written for it
        self._names: dict[str, str] = {}
        self._written: dict[str, dict[str, Any]] = {}

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = {"_format_version": "3.0"}
        if self._snapshot.basicauth_credentials:
            document["_transform"] = False  # their passwords are hashes already
        for kind in ENTITIES.values():
            for entity in getattr(self._snapshot, kind.name):
                row = as_json(entity, self._flavor)
                self._names[row["id"]] = (row.get(kind.lookup) if kind.lookup else None) or row["id"]
                parent = self._parent(kind, row)
                holder = document if parent is None else self._written[row[parent]["id"]]
                holder.setdefault(kind.name, []).append(self._entity(kind, row, parent))
        return document

    def _parent(self, kind: Kind, row: Mapping[str, Any]) -> str | None:
        """The field that points to the only entity this one belongs to, so that it stands in there."""
        owners = [field for field in kind.references if row.get(field) is not None]
        if len(owners) != 1 or row[owners[0]]["id"] not in self._written:
            return None
        field = owners[0]
        return field if CHILDREN[kind.references[field]].get(kind.name) == field else None

    def _entity(self, kind: Kind, row: Mapping[str, Any], parent: str | None) -> dict[str, Any]:
        schema = self._schema(kind, row)
        written: dict[str, Any] = {}
        for name, value in row.items():
            if name == parent or name in _INSTANTS or name == "id":
                continue
            if name in kind.references and value is not None:
                written[name] = self._names.get(value["id"], value["id"])
            else:
                _put(schema, name, value, written)
        if self._with_ids or (self._names[row["id"]] == row["id"] and not kind.composite):
            written = {"id": row["id"], **written}
        self._written[row["id"]] = written
        return written

    def _schema(self, kind: Kind, row: Mapping[str, Any]) -> Record:
        own = plugin_schema(row["name"], self._plugins) if kind.name == "plugins" else None
        return own or kind.schema


def _put(record: Record, name: str, value: Any, into: dict[str, Any]) -> None:
    """Writes a field unless it holds its default."""
    field = record.fields.get(name)
    if field is None:
        into[name] = value
        return
    inner = field.shape.record
    if inner is not None and isinstance(value, Mapping):
        nested: dict[str, Any] = {}
        for key, each in value.items():
            _put(inner, key, each, nested)
        if nested or field.absent() is None:
            into[name] = nested
    elif not _is_default(field, value):
        into[name] = value


def _is_default(field: Field, value: Any) -> bool:
    default = field.absent()
    if isinstance(default, Wrong):
        return False
    if field.kind == "set" and isinstance(value, list) and isinstance(default, list):
        return set(value) == set(default)
    return bool(value == default)
