"""A snapshot as declarative text, as Kong gives it out: flat, with every id and default written down."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from tollhouse.config.yaml_lines import number
from tollhouse.model.entities import ENTITIES, as_json
from tollhouse.model.snapshot import Snapshot

_HEAD: Final[Mapping[str, Any]] = {"_format_version": "3.0", "_transform": False}
_Base: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_Base):  # type: ignore[misc, valid-type]
    """PyYAML writes `0:0` and `0E0` unquoted, which libyaml's users, Kong too, read as numbers."""


def _text(dumper: Any, text: str) -> Any:
    quoted = "'" if number(text) is not text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=quoted)


_Dumper.add_representer(str, _text)


def to_config_text(snapshot: Snapshot, flavor: str = "traditional_compatible", *, nulls: bool = False) -> str:
    """YAML that describes the same entities when it is loaded; `nulls` shows what is not set too."""
    return rows_to_text(
        {name: [as_json(entity, flavor) for entity in getattr(snapshot, name)] for name in ENTITIES},
        nulls=nulls,
    )


def rows_to_text(rows: Mapping[str, Sequence[Mapping[str, Any]]], *, nulls: bool = False) -> str:
    """The same of entities as JSON values, by kind."""
    document = dict(_HEAD)
    for name, kind in ENTITIES.items():
        if rows[name]:
            document[name] = [_written(entity, kind.references, nulls=nulls) for entity in rows[name]]
    return to_yaml(document)


def to_yaml(value: Any) -> str:
    """A JSON value as YAML that Kong and Tollhouse read back as it was."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def _written(entity: Mapping[str, Any], references: Mapping[str, str], *, nulls: bool) -> dict[str, Any]:
    """References by their id, and nothing that is null but, if `nulls`, fields of the entity itself."""
    shown = {name: value["id"] if name in references and value else value for name, value in entity.items()}
    unset = dict.fromkeys(name for name, value in shown.items() if value is None) if nulls else {}
    return _without_nulls(shown) | unset


def _without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_nulls(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value is not None
    }
