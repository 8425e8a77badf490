"""Pages of a collection: how large, from where, and only of entities with certain tags."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from urllib.parse import quote

from tollhouse.admin.failures import Failure, coded, invalid_option
from tollhouse.admin.http import UNREADABLE, Answer, Call
from tollhouse.model.validators import tag
from tollhouse.stores.served import read_offset, write_offset
from tollhouse.stores.store import Page, Row, Tagged

_DEFAULT_SIZE: Final = 100
LARGEST: Final = 1000
_MOST_TAGS: Final = 5
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")

#: reads a page: its size, where it begins, which tags
Read = Callable[[int, str | None, Tagged | None], Awaitable[Page]]


async def listed(call: Call, read: Read) -> Answer:
    """A page of a collection, and where the next one is. Raises `Failure`."""
    size, offset, tagged = page_size(call), call.argument("offset"), wanted_tags(call)
    try:
        page = await read(size, offset, tagged)
    except ValueError:
        raise bad_offset(offset) from None
    return Answer(body=page_body(call, page.rows, page.offset))


def part_of(call: Call, rows: Sequence[Row]) -> Page:
    """The page asked for of rows that are all at hand and stay in their order. Raises `Failure`."""
    size, offset = page_size(call), call.argument("offset")
    try:
        start = max(0, int(read_offset(offset))) if offset is not None else 0
    except ValueError:
        raise bad_offset(offset) from None
    end = start + size
    return Page(rows[start:end], write_offset(str(end)) if end < len(rows) else None)


def page_body(call: Call, rows: Sequence[Row], offset: str | None) -> dict[str, Any]:
    """Rows in Kong's envelope."""
    if offset is None:
        return {"data": rows, "next": None}
    return {"data": rows, "offset": offset, "next": _next(call, offset)}


def _next(call: Call, offset: str) -> str:
    """Where the next page is. What is inside of an entity is neither filtered by tags nor, as in Kong, asked
    for by size again."""
    arguments = [f"offset={quote(offset, safe='')}"]
    for name in () if call.parameters else ("tags", "size"):
        value = call.argument(name)
        if value is not None:
            arguments.append(f"{name}={quote(value, safe='')}")
    return f"{call.request.target.path}?{'&'.join(arguments)}"


def page_size(call: Call) -> int:
    """The size asked for. Raises `Failure`."""
    text = call.argument("size")
    if text is None:
        return _DEFAULT_SIZE
    if not _NUMBER.fullmatch(text):
        raise coded(400, 9, "invalid size", "size must be a number")
    size = float(text)
    if not size.is_integer() or not 1 <= size <= LARGEST:
        raise coded(400, 9, "invalid size", f"size must be an integer between 1 and {LARGEST}")
    return int(size)


def bad_offset(offset: str | None) -> Failure:
    """The offset is none that a page ended with."""
    return coded(400, 7, "invalid offset", f"'{offset}' is not a valid offset: bad base64 encoding")


def wanted_tags(call: Call) -> Tagged | None:
    """The tags asked for. Raises `Failure`."""
    text = call.argument("tags")
    if text is None:
        return None
    if not text:
        raise invalid_option("tags", "cannot be null")
    if ("," in text and "/" in text) or UNREADABLE in text:
        raise invalid_option("tags", "invalid filter syntax")
    tags = tuple(re.split("[,/]", text))
    if not all(tags):
        raise invalid_option("tags", "invalid filter syntax")
    for each in tags:
        problem = tag(each)
        if problem is not None:
            raise invalid_option("tags", problem)
    if len(tags) > _MOST_TAGS:
        raise invalid_option("tags", f"cannot query more than {_MOST_TAGS} tags")
    return Tagged(tags, every="/" not in text)
