"""What decK's files say once for many entities: tags, defaults and settings that plugins share."""

from collections.abc import Mapping
from typing import Any, Final

from tollhouse.config.refusal import Path, Problems
from tollhouse.model.entities import ENTITIES, Kind

_INFO: Final = frozenset({"select_tags", "defaults", "lookup_tags", "default_lookup_tags"})


class Shared:
    """The `_info` and `_plugin_configs` of a document, which adds its problems."""

    def __init__(self, document: Mapping[str, Any], problems: Problems) -> None:
        self._problems = problems
        info = _mapping(document.get("_info"))
        for name in info:
            if name not in _INFO:
                problems.add(("_info", name), "unknown field")
        self._tags = self._read_tags(info.get("select_tags"))
        self._defaults = self._read_defaults(info.get("defaults"))
        self._configs = _mapping(document.get("_plugin_configs"))
        self.idle = not self._tags and not self._defaults

    def _read_tags(self, tags: Any) -> list[str]:
        if tags is None:
            return []
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            self._problems.add(("_info", "select_tags"), "expected an array of strings")
            return []
        return tags

    def _read_defaults(self, defaults: Any) -> dict[str, Mapping[str, Any]]:
        """By the names of collections; decK writes them in the singular."""
        found: dict[str, Mapping[str, Any]] = {}
        if not isinstance(defaults, dict | None):
            self._problems.add(("_info", "defaults"), "expected a record")
        for name, values in _mapping(defaults).items():
            plural = name if name in ENTITIES else f"{name}s"
            if plural not in ENTITIES:
                self._problems.add(("_info", "defaults", name), "unknown field")
            elif not isinstance(values, dict):
                self._problems.add(("_info", "defaults", name), "expected a record")
            else:
                found[plural] = values
        return found

    def applied(self, kind: Kind, raw: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
        """The entity's input with what is said for all of its kind."""
        if kind.name == "plugins" and "_config" in raw:
            raw = self._with_config(raw, path)
        if self.idle:
            return raw
        raw = _filled(raw, self._defaults.get(kind.name, {}))
        given = raw.get("tags")
        if self._tags and "tags" in kind.schema.fields and isinstance(given, list | None):
            raw = {**raw, "tags": list(dict.fromkeys([*(given or ()), *self._tags]))}
        return raw

    def _with_config(self, raw: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
        name, own = raw["_config"], raw.get("config")
        shared = self._configs.get(name) if isinstance(name, str) else None
        rest = {key: value for key, value in raw.items() if key != "_config"}
        if not isinstance(shared, dict):
            self._problems.add((*path, "_config"), f"there is no '{name}' in _plugin_configs")
            return rest
        return {**rest, "config": {**shared, **_mapping(own)}} if isinstance(own, dict | None) else rest


def _filled(raw: Mapping[str, Any], defaults: Mapping[str, Any]) -> Mapping[str, Any]:
    """Defaults where nothing is given, inside of records too."""
    if not defaults:
        return raw
    filled = {**defaults, **raw}
    for name, default in defaults.items():
        if isinstance(default, dict) and isinstance(raw.get(name), dict):
            filled[name] = _filled(raw[name], default)
    return filled


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
