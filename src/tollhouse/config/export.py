"""A snapshot as declarative text, as Kong gives it out: flat, with every id and default written down."""

from collections.abc import Mapping
from typing import Any, Final

import yaml

from tollhouse.model.entities import ENTITIES, as_json
from tollhouse.model.snapshot import Snapshot

_HEAD: Final[Mapping[str, Any]] = {"_format_version": "3.0", "_transform": False}
_Dumper: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def to_config_text(snapshot: Snapshot, flavor: str = "traditional_compatible") -> str:
    """YAML that describes the same entities when it is loaded."""
    document = dict(_HEAD)
    for name, kind in ENTITIES.items():
        entities = [as_json(entity, flavor) for entity in getattr(snapshot, name)]
        if entities:
            document[name] = [_written(entity, kind.references) for entity in entities]
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def _written(entity: Mapping[str, Any], references: Mapping[str, str]) -> dict[str, Any]:
    """References by their id, and nothing that is null."""
    shown = {name: value["id"] if name in references and value else value for name, value in entity.items()}
    return _without_nulls(shown)


def _without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_nulls(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value is not None
    }
