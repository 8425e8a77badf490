"""Arguments in request bodies: forms, JSON objects and multipart forms."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import msgspec

from tollhouse.pdk.messages import Request, grouped_arguments
from tollhouse.wire.uri import arguments, component, without_arguments

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


def body_arguments(request: Request) -> dict[str, Any]:
    """The body's arguments by name, a list where one is repeated; empty for any other kind of body."""
    content, kind = request.content or b"", request.media_type
    found: dict[str, Any] = {}
    if kind == FORM:
        for name, value in arguments(content.decode("latin-1")):
            _add(found, name, value)
    elif kind == "application/json":
        try:
            decoded = msgspec.json.decode(content)
        except msgspec.DecodeError:
            return {}
        return (
            {name: _as_received(value) for name, value in decoded.items()}
            if isinstance(decoded, dict)
            else {}
        )
    elif kind == MULTIPART:
        for part, _, value in _parts(request):
            _add(found, part, value)
    return found


def _as_received(value: Any) -> Any:
    """Text with one character for each byte, as in headers and forms, so that all compare alike."""
    return value.encode().decode("latin-1") if isinstance(value, str) and not value.isascii() else value


def _add(found: dict[str, Any], name: str, value: Any) -> None:
    if name not in found:
        found[name] = value
    elif isinstance(found[name], list):
        found[name].append(value)
    else:
        found[name] = [found[name], value]


def _parts(request: Request) -> list[tuple[str, bytes, str]]:
    """Name, raw part and text of each field of a multipart form."""
    content_type = request.headers.values.get("content-type", "")
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1")
    message = BytesParser(policy=HTTP).parsebytes(head + (request.content or b""))
    if not message.is_multipart():
        return []
    parts = []
    for part in message.iter_parts():
        payload = part.get_payload(decode=True)
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str) and isinstance(payload, bytes):
            parts.append((name, payload, payload.decode("latin-1")))
    return parts


def without_body_arguments(request: Request, names: frozenset[str]) -> bytes:
    """The body without the arguments of these names, all else unchanged."""
    content, kind = request.content or b"", request.media_type
    if kind == FORM:
        return without_arguments(content.decode("latin-1"), names).encode("latin-1")
    if kind == "application/json":
        members = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        return msgspec.json.encode({name: raw for name, raw in members.items() if name not in names})
    if kind == MULTIPART:
        return _without_parts(request, names)
    return content


def _without_parts(request: Request, names: frozenset[str]) -> bytes:
    content_type = request.headers.values.get("content-type", "")
    boundary = content_type.partition("boundary=")[2].partition(";")[0].strip().strip('"')
    delimiter = b"--" + boundary.encode("latin-1")
    unwanted = re.compile(rf'[;\s]name="?(?:{"|".join(map(re.escape, names))})"?\s*(?:;|\r|$)', re.IGNORECASE)
    kept = []
    for piece in (request.content or b"").split(delimiter):
        head = piece.partition(b"\r\n\r\n")[0].decode("latin-1")
        if not unwanted.search(head):
            kept.append(piece)
    return delimiter.join(kept)


@dataclass(slots=True)
class BodyEditor:
    """The arguments of a body, to be changed, and how the changed body is written."""

    values: dict[str, Any]
    encoded: Callable[[], bytes]


def form_arguments(content: bytes) -> dict[str, Any]:
    """The arguments of a form by name, a list where one is repeated."""
    return grouped_arguments(content.decode("latin-1"))


def body_editor(media_type: str) -> Callable[[Request], BodyEditor | None] | None:
    """What makes bodies of this type editable, `None` for types without arguments. It gives `None` for a
    body that is not of its type."""
    if media_type == FORM:
        return _form_editor
    if media_type == "application/json":
        return _json_editor
    return _multipart_editor if media_type == MULTIPART else None


def _form_editor(request: Request) -> BodyEditor:
    values = form_arguments(request.content or b"")

    def encoded() -> bytes:
        return "&".join(
            component(name) if one is True else f"{component(name)}={component(str(one))}"
            for name, one in _each(values)
        ).encode()

    return BodyEditor(values, encoded)


def _json_editor(request: Request) -> BodyEditor | None:
    try:
        values = msgspec.json.decode(request.content or b"{}")
    except msgspec.DecodeError:
        return None
    return BodyEditor(values, lambda: msgspec.json.encode(values)) if isinstance(values, dict) else None


def _multipart_editor(request: Request) -> BodyEditor | None:
    """Parts that stay as they are keep every byte, files among them."""
    content_type = request.headers.values.get("content-type", "")
    found = re.search(r'boundary="?([^";]+)"?', content_type)
    if found is None:
        return None
    delimiter = b"--" + found[1].encode("latin-1")
    values: dict[str, Any] = {}
    for piece in (request.content or b"").split(delimiter)[1:]:
        head = piece.partition(b"\r\n\r\n")[0].decode("latin-1")
        name = re.search(r'[;\s]name="?([^";\r\n]*)"?', head)
        if name is not None:
            values.setdefault(name[1], []).append(piece)

    def encoded() -> bytes:
        pieces = [
            delimiter + (_renamed(one, name) if isinstance(one, bytes) else _part(name, one))
            for name, one in _each(values)
        ]
        return b"".join([*pieces, delimiter, b"--\r\n"])

    return BodyEditor(values, encoded)


def _each(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        for one in value if isinstance(value, list) else (value,):
            yield name, one


def _renamed(piece: bytes, name: str) -> bytes:
    head, gap, rest = piece.partition(b"\r\n\r\n")
    field = b'\\1name="%s"' % name.encode("latin-1").replace(b"\\", b"\\\\")
    return re.sub(rb'([;\s])name="?[^";\r\n]*"?', field, head, count=1) + gap + rest


def _part(name: str, value: Any) -> bytes:
    text = f'\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
    return text.encode("latin-1")
