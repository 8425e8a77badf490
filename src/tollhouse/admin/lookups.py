"""Finding entities by what paths and bodies call them: an id, a name, a name among those of a parent."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from tollhouse.admin.failures import Failure, absent, told, unresolved
from tollhouse.model.constraints import UUID
from tollhouse.model.entities import ENTITIES, Kind
from tollhouse.stores.store import Reader, Row

_PAGE: Final = 1000

#: what a path says above an entity: the field that points there, the kind, and how that one is called
Parents = Sequence[tuple[str, Kind, str]]


def field_of(kind: Kind, text: str, above: Sequence[str]) -> str | None:
    """The field by which this text calls an entity: its id, the field it is looked up by, or what is
    unique together with fields that point above."""
    if UUID.fullmatch(text):
        return "id"
    if kind.lookup is not None:
        return kind.lookup
    rest = [name for name in kind.composite if name not in above]
    return rest[0] if above and len(rest) == 1 and rest[0] not in kind.references else None


async def find(reader: Reader, kind: Kind, text: str, where: Mapping[str, str]) -> Row | None:
    """The entity that is called so, if it points to all of `where`."""
    field = field_of(kind, text, tuple(where))
    if field is None:
        return await _by_sni(reader, kind, text)
    if field == "id":
        row = await reader.find(kind, "id", text.lower())
    elif field == kind.lookup:
        row = await reader.find(kind, field, text)
    else:
        return await _among(reader, kind, field, text, where)
    return row if row is not None and points_to(row, where) else None


def points_to(row: Row, where: Mapping[str, str]) -> bool:
    """Whether an entity points to all of these."""
    return all(row[field] is not None and row[field]["id"] == id_ for field, id_ in where.items())


async def _among(reader: Reader, kind: Kind, field: str, text: str, where: Mapping[str, str]) -> Row | None:
    wanted = {text, _kept(kind, field, text)}
    async for row in every(reader, kind, where):
        if row[field] in wanted:
            return row
    return None


def _kept(kind: Kind, field: str, text: str) -> Any:
    """The text as such entities keep it: a target without a port has one."""
    try:
        return kind.kept({field: text}).get(field)
    except (KeyError, ValueError):
        return text


async def _by_sni(reader: Reader, kind: Kind, text: str) -> Row | None:
    if kind.name != "certificates":
        return None
    sni = await reader.find(ENTITIES["snis"], "name", text)
    return await reader.find(kind, "id", sni["certificate"]["id"]) if sni is not None else None


def missing(kind: Kind, text: str) -> Failure:
    """Nothing is called so."""
    by_name = kind.name == "certificates" and not UUID.fullmatch(text)
    return told(404, "SNI not found") if by_name else absent()


async def every(reader: Reader, kind: Kind, where: Mapping[str, str]) -> AsyncIterator[Row]:
    """All entities that point to all of `where`."""
    offset: str | None = None
    while True:
        page = await reader.page(kind, size=_PAGE, offset=offset, where=where or None)
        for row in page.rows:
            yield row
        if page.offset is None:
            return
        offset = page.offset


async def ids_of(reader: Reader, parents: Parents) -> dict[str, str]:
    """The ids of parents by the fields that point to them. Raises `Failure` if one does not exist."""
    ids: dict[str, str] = {}
    for field, kind, text in parents:
        row = await find(reader, kind, text, {})
        if row is None:
            raise missing(kind, text)
        ids[field] = row["id"]
    return ids


async def resolved(reader: Reader, kind: Kind, values: Mapping[str, Any]) -> dict[str, Any]:
    """The input with ids in place of the names it refers to. Raises `Failure`."""
    found = dict(values)
    for field, reference in kind.references.items():
        parent = ENTITIES[reference]
        value = values.get(field)
        if not isinstance(value, Mapping) or parent.lookup is None or parent.lookup not in value:
            continue
        name = value[parent.lookup]
        if "id" in value or not isinstance(name, str) or not name:
            continue
        row = await reader.find(parent, parent.lookup, name)
        if row is None:
            raise unresolved(field, parent, {parent.lookup: name})
        found[field] = {"id": row["id"]}
    return found
