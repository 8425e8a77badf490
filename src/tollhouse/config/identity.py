"""Ids for entities that have none: derived from what identifies them, so stable across loads.

The derivation is Kong's (a UUID version 5 in a namespace per kind), so that the same file gives the
same ids under both. Where Kong makes up a random id, ours comes from the content.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from uuid import UUID

from tollhouse.model.entities import Kind

_ENTITIES: Final = UUID("fd02801f-0957-4a15-a55a-c8d9606f30b5")
#: Kong's placeholder for the workspace in keys
_ANY_WORKSPACE: Final = "*"


def derived_id(kind: Kind, raw: Mapping[str, Any], parent: tuple[str, str] | None) -> str | None:
    """The id by which Kong would know this entity; None if nothing identifies it.

    `parent` is the field that points to the entity this one stands in, and that one's id.
    """
    key = _composite_key(kind, raw, parent) if kind.composite else raw.get(kind.lookup or "")
    return uuid5(kind.name, key) if isinstance(key, str) and key else None


def content_id(kind: Kind, raw: Mapping[str, Any], parent: tuple[str, str] | None, occurrence: int) -> str:
    """An id for an entity that nothing identifies; `occurrence` tells equal ones apart."""
    content = json.dumps([raw, parent, occurrence], sort_keys=True)
    return uuid5(kind.name, f"content:{content}")


def _composite_key(kind: Kind, raw: Mapping[str, Any], parent: tuple[str, str] | None) -> str | None:
    parts = [kind.name, _ANY_WORKSPACE]
    for name in kind.composite:
        value = raw.get(name)
        if isinstance(value, dict):
            value = value.get("id")
        if value is None:
            field = kind.schema.fields[name]
            if name in kind.hidden and not (parent and parent[0] == name):
                continue
            if parent and parent[0] == name:
                value = parent[1]
            elif field.required:
                return None
        parts.append(value if isinstance(value, str) else "")
    return ":".join(parts)


def uuid5(kind: str, key: str) -> str:
    """The UUID version 5 of a key among entities of that kind."""
    digest = bytearray(hashlib.sha1(_namespace(kind) + key.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    digits = digest.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@cache
def _namespace(kind: str) -> bytes:
    seed = hashlib.sha1(_ENTITIES.bytes + kind.encode(), usedforsecurity=False).digest()[:16]
    return UUID(bytes=seed, version=5).bytes
