"""Which entities have which tags: `/tags`. Rows are made from the entities; they are kept nowhere."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from tollhouse.admin.entities import Entities
from tollhouse.admin.failures import coded, violation
from tollhouse.admin.http import UNREADABLE, Answer, Call, Endpoints
from tollhouse.admin.listing import bad_offset, page_body, page_size
from tollhouse.model.entities import ENTITIES, Kind
from tollhouse.model.validators import tag
from tollhouse.stores.served import read_offset, write_offset
from tollhouse.stores.store import Reader, Tagged

_PAGE: Final = 1000
_READ_ONLY: Final = {"tags": "does not support insert/upsert/update/delete operations"}


def tag_endpoints(entities: Entities) -> Endpoints:
    """All tags, and those of one name."""
    tags = _Tags(entities)
    every = {"GET": tags.all, "POST": tags.refuse, "PUT": tags.refuse, "DELETE": tags.refuse}
    return {"/tags": every, "/tags/{tags}": {"GET": tags.one}}


class _Tags:
    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    async def refuse(self, call: Call) -> Answer:
        raise violation(_READ_ONLY)

    async def all(self, call: Call) -> Answer:
        return await self._listed(call, None)

    async def one(self, call: Call) -> Answer:
        name = call.parameters["tags"]
        problem = _utf8_problem(name) or tag(name)
        if problem is not None:
            raise coded(400, 10, "invalid unique tag", problem)
        return await self._listed(call, name)

    async def _listed(self, call: Call, name: str | None) -> Answer:
        size, offset = page_size(call), call.argument("offset")
        try:
            kind, place, skipped = _start(offset)
        except ValueError:
            raise bad_offset(offset) from None
        rows: list[dict[str, Any]] = []
        after: str | None = None
        async with self._entities.reading() as reader:
            async for row, here in _rows(reader, name, kind, place, skipped):
                if len(rows) == size:
                    after = write_offset(here)
                    break
                rows.append(row)
        return Answer(body=page_body(call, rows, after))


def _utf8_problem(text: str) -> str | None:
    """Where a path has bytes that are no UTF-8: they have been read as the character that stands for such."""
    before, found, _ = text.partition(UNREADABLE)
    place = len(before.encode()) + 1
    return f"invalid utf-8 character sequence detected at position {place}" if found else None


def _start(offset: str | None) -> tuple[str | None, str | None, int]:
    """Kind, offset of its page, and rows to leave out. Raises `ValueError`."""
    if offset is None:
        return None, None, 0
    kind, place, skipped = read_offset(offset).split("|")
    if kind not in ENTITIES:
        raise ValueError(f"there is no kind '{kind}'")
    return kind, place or None, int(skipped)


async def _rows(
    reader: Reader, name: str | None, first: str | None, place: str | None, skipped: int
) -> AsyncIterator[tuple[dict[str, Any], str]]:
    """Rows from a place on, each with its own place."""
    for kind in _kinds_from(first):
        offset = place if kind.name == first else None
        while True:
            tagged = Tagged((name,)) if name is not None else None
            page = await reader.page(kind, size=_PAGE, offset=offset, tagged=tagged)
            shown = [_row(kind, row["id"], each) for row in page.rows for each in row["tags"] or ()]
            wanted = [row for row in shown if name is None or row["tag"] == name]
            for number in range(skipped, len(wanted)):
                yield wanted[number], f"{kind.name}|{offset or ''}|{number}"
            skipped, offset = 0, page.offset
            if offset is None:
                break


def _kinds_from(first: str | None) -> Iterator[Kind]:
    reached = first is None
    for kind in ENTITIES.values():
        reached = reached or kind.name == first
        if reached and "tags" in kind.schema.fields:
            yield kind


def _row(kind: Kind, id_: str, name: str) -> dict[str, Any]:
    return {"entity_name": kind.name, "entity_id": id_, "tag": name}
