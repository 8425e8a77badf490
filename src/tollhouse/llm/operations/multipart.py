"""Fields of multipart forms, found and replaced with all other bytes left as they are. RFC 7578."""

import re
from typing import Final, NamedTuple

_BOUNDARY: Final = re.compile(r'boundary="?([^";,]{1,200})"?', re.IGNORECASE)
_FILE: Final = re.compile(rb"[;\s]filename\*?=", re.IGNORECASE)


class Place(NamedTuple):
    """Where a field's value is in the body."""

    start: int
    end: int


def field_of(content: bytes, content_type: str, name: str) -> Place | None:
    """The first field of that name that is no file."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        return None
    delimiter = b"--" + boundary[1].encode("latin-1")
    named = re.compile(rb'[;\s]name="?' + re.escape(name.encode()) + rb'"?\s*(?:;|\r|$)', re.IGNORECASE)
    start = content.find(delimiter)
    while start >= 0:
        start += len(delimiter)
        end = content.find(b"\r\n" + delimiter, start)
        head_end = content.find(b"\r\n\r\n", start)
        if end < 0 or head_end < 0:
            return None
        head = content[start:head_end]
        if head_end < end and named.search(head) and not _FILE.search(head):
            return Place(head_end + 4, end)
        start = end + 2
    return None


def with_field(content: bytes, content_type: str, name: str, value: str) -> bytes:
    """The form with that value in the field; a form that has none gets one in front."""
    place = field_of(content, content_type, name)
    if place is not None:
        return content[: place.start] + value.encode() + content[place.end :]
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        return content
    delimiter = b"--" + boundary[1].encode("latin-1")
    head = b'Content-Disposition: form-data; name="' + name.encode() + b'"'
    return delimiter + b"\r\n" + head + b"\r\n\r\n" + value.encode() + b"\r\n" + content
