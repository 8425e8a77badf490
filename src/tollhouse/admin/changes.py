"""Changes of entities, merged and checked: input over what is there, into what is kept."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tollhouse.admin.bodies import Given
from tollhouse.admin.failures import violation
from tollhouse.config.http2 import protocol_problem
from tollhouse.model.entities import Kind, PluginSchemas, random_key, variant, with_references
from tollhouse.model.messages import outdated_name
from tollhouse.model.plugin import PluginInstance
from tollhouse.model.schema import Record
from tollhouse.routing import route_problem

log = logging.getLogger("tollhouse.admin")

#: Kong's text for a group of fields of which none is set, and what it says before that on a change
_NONE_SET: Final = ("at least one of these fields must be non-empty", "when updating, ")


class Checker:
    """Turns input into rows that a store may take. All methods raise `Failure`."""

    def __init__(self, plugins: PluginSchemas, flavor: str) -> None:
        self.plugins = plugins
        self.flavor = flavor

    def schema(self, kind: Kind, raw: Mapping[str, Any]) -> Record:
        """The schema that this input has to satisfy."""
        found = variant(kind, raw, self.flavor, self.plugins)
        if not isinstance(found, Record):
            raise violation(found)
        return found

    def whole(
        self, kind: Kind, given: Given, now: float, *, kept: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """A complete entity: what is not given is at its default, but for `kept`."""
        schema = self.schema(kind, given.values)
        said = given.read(schema)
        values, errors = schema.check(said)
        if errors:
            raise violation(with_references(kind, said, _as_map(errors)))
        _log_outdated(kind, schema, values, said)
        values |= kept or {}
        kind.fill_auto(values, instant(kind, now))
        _fill_config(schema, values)
        self._check_servable(kind, values)
        return kind.transformed(kind.kept(values))

    def changed(self, kind: Kind, stored: Mapping[str, Any], given: Given, now: float) -> dict[str, Any]:
        """An entity in which only what is named has changed."""
        schema = self.schema(kind, {**stored, **given.values})
        said = given.read(schema)
        patch, problems = schema.expanded(said)
        if patch.get("id", stored["id"]) != stored["id"]:
            problems["id"] = "immutable field cannot be updated"
        if kind.bound is not None and _comes_loose(kind.bound, stored, patch):
            field, reference = kind.bound
            text = f"all or none of these fields must be set: '{field}', '{reference}.id'"
            problems["@entity"] = [text]
        known = {name: value for name, value in stored.items() if name in schema.fields}
        values, errors = schema.check(merged(known, patch, schema), expand=False)
        if errors or problems:
            raise violation(_as_updating({**_as_map(errors), **problems}))
        _log_outdated(kind, schema, values, said)
        kind.fill_auto(values, instant(kind, now))
        _fill_config(schema, values)
        self._check_servable(kind, values)
        values = kind.kept(values)
        fresh = kind.transformed(values)
        return {name: fresh[name] if name in patch else value for name, value in values.items()}

    def _check_servable(self, kind: Kind, values: Mapping[str, Any]) -> None:
        """One entity that no node can serve would keep all later changes from being served."""
        if kind.name == "routes" and (problem := route_problem(values, self.flavor)) is not None:
            raise violation({"@entity": [problem]})
        if kind.name == "services" and (problem := protocol_problem(values["protocol"])) is not None:
            raise violation({"protocol": problem})


def _log_outdated(kind: Kind, schema: Record, values: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    if kind.cls is PluginInstance:
        for old, new in schema.outdated(said):
            log.warning("%s", outdated_name(values["name"], old, new))


def _comes_loose(bound: tuple[str, str], stored: Mapping[str, Any], patch: Mapping[str, Any]) -> bool:
    """Whether a change leaves a field that was computed with what it replaces."""
    field, reference = bound
    return patch.get(field) is None and patch.get(reference) not in (None, stored[reference])


def instant(kind: Kind, now: float) -> float:
    """A Unix time as entities of this kind keep it: in whole seconds, or in milliseconds."""
    field = kind.schema.fields.get("created_at")
    return round(now, 3) if field is not None and field.kind == "number" else int(now)


def merged(stored: Mapping[str, Any], patch: Mapping[str, Any], schema: Record) -> dict[str, Any]:
    """Records merge; lists and maps are replaced; null takes a value away."""
    values = dict(stored)
    for name, value in patch.items():
        field = schema.fields.get(name)
        inner = field.shape.record if field is not None else None
        before = stored.get(name)
        if inner is not None and isinstance(value, Mapping) and isinstance(before, Mapping):
            values[name] = merged(before, value, inner)
        else:
            values[name] = value
    return values


def _fill_config(schema: Record, values: Mapping[str, Any]) -> None:
    """Makes up what a plugin's settings want to have made up, such as the secret of sessions."""
    field, config = schema.fields.get("config"), values.get("config")
    if field is None or field.shape.record is None or config is None:
        return
    for name, setting in field.shape.record.fields.items():
        if setting.rules.get("auto") and config.get(name) is None:
            config[name] = random_key()


def _as_map(errors: Any) -> dict[str, Any]:
    return {"@entity": [errors]} if isinstance(errors, str) else dict(errors)


def _as_updating(errors: dict[str, Any]) -> dict[str, Any]:
    texts: Iterable[str] = errors.get("@entity", ())
    shown = [_NONE_SET[1] + text if text.startswith(_NONE_SET[0]) else text for text in texts]
    return {**errors, "@entity": shown} if shown else errors
