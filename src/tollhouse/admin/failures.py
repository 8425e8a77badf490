"""Why an operation on entities failed, as Kong's Admin API says it.

Every failure has Kong's code and name, so that tools can tell them apart.
"""

from collections.abc import Mapping
from typing import Any

from tollhouse.admin.http import Answer, Failure
from tollhouse.flow.answers import nginx_html
from tollhouse.model import lua
from tollhouse.model.entities import Kind
from tollhouse.model.messages import schema_violation
from tollhouse.stores.store import (
    ForeignViolation,
    ReadOnly,
    Referenced,
    Stale,
    StoreError,
    Unavailable,
    UniqueViolation,
)


def coded(status: int, code: int, name: str, message: str, **details: Any) -> Failure:
    """A failure in Kong's shape."""
    return Failure(Answer(status, {"code": code, "name": name, "message": message, **details}))


def told(status: int, message: str) -> Failure:
    """A failure that is a message alone."""
    return Failure(Answer(status, {"message": message}))


def page(status: int) -> Failure:
    """A failure that Kong leaves to nginx to say: a small page."""
    return Failure(Answer(status, nginx_html(status), "text/html; charset=UTF-8"))


def absent() -> Failure:
    """There is no such thing."""
    return told(404, "Not found")


def violation(fields: Mapping[str, Any]) -> Failure:
    """The input does not satisfy the schema."""
    return coded(400, 2, "schema violation", schema_violation(fields), fields=fields)


def unfound(key: Mapping[str, Any]) -> Failure:
    """The entity to change does not exist."""
    how = "primary key " if "id" in key else ""
    message = f"could not find the entity with {how}'{lua.table(key, compact=True)}'"
    return coded(404, 6, "not found", message, fields=key)


def unresolved(field: str, kind: Kind, key: Mapping[str, Any]) -> Failure:
    """A reference by name leads nowhere."""
    shown = lua.table(key, compact=True)
    why = f"the foreign key cannot be resolved with '{shown}' for an existing '{kind.name}' entity"
    fields = {field: dict.fromkeys(key, why)}
    texts = "; ".join(f"{field}.{name}: {text}" for name, text in fields[field].items())
    return coded(400, 13, "foreign keys unresolved", f"foreign key unresolved ({texts})", fields=fields)


def invalid_unique(field: str, problem: str) -> Failure:
    """What an entity is called by in a path is nothing that one can be called."""
    return coded(400, 10, f"invalid unique {field}", problem)


def invalid_option(name: str, problem: str) -> Failure:
    """A query argument that cannot be heeded."""
    text = f"invalid option ({name}: {problem})"
    return coded(400, 11, "invalid options", text, options={name: problem})


def of_store(error: StoreError, verb: str, kind: Kind, by: str | None = None) -> Failure:
    """What a store said. `verb` is what was tried, `by` the field by which the entity was called."""
    match error:
        case ReadOnly():
            how = f" by '{by}'" if by is not None else ""
            text = f"cannot {verb} '{kind.name}' entities{how} when not using a database"
            return coded(405, 12, "operation unsupported", text)
        case UniqueViolation():
            fields = {name: value for name, value in error.fields.items() if _is_shown(kind, name, value)}
            if set(fields) == {"id"}:
                text = f"primary key violation on key '{lua.table(fields, compact=True)}'"
                return coded(400, 3, "primary key violation", text, fields=fields)
            text = f"UNIQUE violation detected on '{lua.table(fields, compact=True)}'"
            return coded(409, 5, "unique constraint violation", text, fields=fields)
        case ForeignViolation():
            foreign = {"id": error.id}
            key = lua.table(foreign, compact=True)
            text = f"the foreign key '{key}' does not reference an existing '{error.reference}' entity."
            return coded(400, 4, "foreign key violation", text, fields={error.field: foreign})
        case Referenced():
            referrer = {"@referenced_by": error.referrer}
            return coded(400, 4, "foreign key violation", str(error), fields=referrer)
        case Stale():
            return told(409, "somebody else changed the entity at the same time: try again")
        case Unavailable():
            return coded(503, 8, "database error", f"the database cannot be reached: {error}")
        case _:
            return coded(500, 8, "database error", str(error))


def _is_shown(kind: Kind, name: str, value: object) -> bool:
    return value is not None or name not in kind.hidden


__all__ = [
    "Failure",
    "absent",
    "coded",
    "invalid_option",
    "invalid_unique",
    "of_store",
    "page",
    "told",
    "unfound",
    "unresolved",
    "violation",
]
