"""The audit trail: who changed what, when, as it was and as it is, one JSON object a line.

Lines are only ever added. One is written before its change is committed, so that no change goes unseen: a
trail that cannot be written refuses the change. Secrets are left out of it.
"""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tollhouse.admin.access import Actor
from tollhouse.model.constraints import is_reference
from tollhouse.model.entities import Kind, PluginSchemas, variant
from tollhouse.model.schema import Record

REDACTED: Final = "******"
#: fields of credentials that are secrets although their schema does not say so
_SECRETS: Final = frozenset({"key", "secret", "password", "jwk"})


@dataclass(frozen=True, slots=True)
class Change:
    """One entity, as it was (None if it was not there) and as it is (None if it is gone)."""

    kind: Kind
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None

    @property
    def verb(self) -> str:
        if self.before is None:
            return "create"
        return "update" if self.after is not None else "delete"


class AuditTrail:
    """A file that grows."""

    def __init__(self, path: Path | None, plugins: PluginSchemas, flavor: str) -> None:
        self._path = path
        self._plugins = plugins
        self._flavor = flavor
        self._writing = asyncio.Lock()

    async def changes(self, actor: Actor, changes: Sequence[Change]) -> None:
        """Notes changes that are about to be committed. Raises `OSError`."""
        await self._write([self._entity_line(actor, change) for change in changes])

    async def failed(self, actor: Actor, changes: Sequence[Change], reason: str) -> None:
        """Notes that changes which were noted before were not committed. Raises `OSError`."""
        lines = [self._entity_line(actor, change) | {"failed": reason} for change in changes]
        await self._write(lines)

    async def event(self, actor: Actor, action: str, **details: Any) -> None:
        """Notes a change that is not one of single entities. Raises `OSError`."""
        await self._write([_head(actor) | {"action": action} | details])

    def _entity_line(self, actor: Actor, change: Change) -> dict[str, Any]:
        state = change.after or change.before or {}
        return _head(actor) | {
            "action": change.verb,
            "entity": change.kind.name,
            "id": state.get("id"),
            "before": self._redacted(change.kind, change.before),
            "after": self._redacted(change.kind, change.after),
        }

    def _redacted(self, kind: Kind, row: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if row is None:
            return None
        schema = variant(kind, row, self._flavor, self._plugins)
        return redacted(row, schema if isinstance(schema, Record) else kind.schema)

    async def _write(self, lines: Sequence[Mapping[str, Any]]) -> None:
        if self._path is not None and lines:
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            async with self._writing:
                await asyncio.to_thread(_append, self._path, text)


def _append(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _head(actor: Actor) -> dict[str, Any]:
    return {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "by": actor.name, "role": actor.role}


def redacted(values: Mapping[str, Any], schema: Record) -> dict[str, Any]:
    """An entity, or a record of it, without its secrets; references to vaults stay."""
    shown = {}
    for name, value in values.items():
        field = schema.fields.get(name)
        rules = field.rules if field is not None else {}
        if value is None or is_reference(value):
            shown[name] = value
        elif rules.get("encrypted") or rules.get("referenceable") or name in _SECRETS:
            shown[name] = REDACTED
        elif field is not None and field.shape.record is not None and isinstance(value, Mapping):
            shown[name] = redacted(value, field.shape.record)
        else:
            shown[name] = _elements(
                value, field.shape.element.record if field and field.shape.element else None
            )
    return shown


def _elements(value: Any, record: Record | None) -> Any:
    if record is not None and isinstance(value, list):
        return [redacted(each, record) if isinstance(each, Mapping) else each for each in value]
    return value
