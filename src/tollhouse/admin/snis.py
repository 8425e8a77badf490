"""The names that go with a certificate: given and shown as its `snis`, kept as entities of their own."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tollhouse.admin.bodies import Given
from tollhouse.admin.changes import instant
from tollhouse.admin.failures import violation
from tollhouse.admin.lookups import every
from tollhouse.model.constraints import UUID
from tollhouse.model.entities import ENTITIES, Kind
from tollhouse.model.judges import Wrong
from tollhouse.stores.store import Reader, Row

if TYPE_CHECKING:
    from tollhouse.admin.entities import Recorded


def is_name(kind: Kind, text: str) -> bool:
    """Whether a certificate is called by one of its names."""
    return kind.name == "certificates" and not UUID.fullmatch(text)


async def names(reader: Reader, certificate: str) -> list[str]:
    """The names of a certificate."""
    found = every(reader, ENTITIES["snis"], {"certificate": certificate})
    return sorted([row["name"] async for row in found])


def taken(kind: Kind, values: dict[str, Any]) -> list[str] | None:
    """Takes the names out of the input for a certificate; None if it names none. Raises `Failure`."""
    if kind.name != "certificates" or "snis" not in values:
        return None
    given = values.pop("snis")
    if given is None:
        return []
    given = [given] if isinstance(given, str) else given
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise violation({"snis": "expected an array"})
    for name in given:
        if given.count(name) > 1:
            raise violation({"snis": f"{name} is duplicated"})
    return list(given)


def problems(wanted: Iterable[str]) -> list[str | None]:
    """What is wrong with each name, up to the last that cannot be one; empty if all can."""
    judge = ENTITIES["snis"].schema.fields["name"].judge
    judged = [judge(name) for name in wanted]
    found = [str(each.error) if isinstance(each, Wrong) else None for each in judged]
    while found and found[-1] is None:
        found.pop()
    return found


def replaced(kind: Kind, wanted: list[str] | None, text: str) -> list[str] | None:
    """The names of a certificate that is put as a whole: those it does not have any more, it loses, but for
    the one that it is called by."""
    if kind.name != "certificates":
        return None
    if is_name(kind, text):
        return [*(name for name in wanted or () if name != text), text]
    return wanted or []


def none_of(kind: Kind) -> list[str] | None:
    """What is to be left of the names of an entity that goes."""
    return [] if kind.name == "certificates" else None


async def assign(transaction: "Recorded", certificate: Row, wanted: list[str] | None, now: float) -> None:
    """Lets a certificate have exactly these names; None leaves them. Raises `Failure`."""
    if wanted is None:
        return
    kind = ENTITIES["snis"]
    for name in wanted:
        taken_by = await transaction.find(kind, "name", name)
        if taken_by is not None and taken_by["certificate"]["id"] != certificate["id"]:
            other = taken_by["certificate"]["id"]
            raise violation({"snis": f"{name} already associated with existing certificate '{other}'"})
    held = {row["name"]: row async for row in every(transaction, kind, {"certificate": certificate["id"]})}
    for name, row in held.items():
        if name not in wanted:
            await transaction.delete(kind, row)
    for name in wanted:
        if name not in held:
            await transaction.insert(kind, _sni(kind, name, certificate["id"], now))


def _sni(kind: Kind, name: str, certificate: str, now: float) -> dict[str, Any]:
    given: Mapping[str, Any] = {"name": name, "certificate": {"id": certificate}}
    values, errors = kind.schema.check(Given(given).values)
    if errors:
        raise violation({"snis": errors.get("name", errors)})
    kind.fill_auto(values, instant(kind, now))
    return kind.kept(values)
