"""Request targets: splitting, Kong's path normalisation, escaping, query arguments.

Text that came off the wire is `str` holding one character per byte (latin-1), so that it goes back
out as the very bytes that came in.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from tollhouse.errors import BadRequest

_PERCENT: Final = re.compile(r"%(..)?", re.DOTALL)
_HEX_PAIR: Final = re.compile(r"[0-9A-Fa-f]{2}\Z")
# RFC 3986 2.2: decoding one of these would change what the path means, so Kong leaves them encoded.
_RESERVED: Final = frozenset("!*'();:@&=+$,/?%#[]")
_SLASHES: Final = re.compile(r"/{2,}")
_UNSAFE: Final = re.compile(r"[^!#$&'()*+,/:;=?@\[\]A-Za-z0-9\-_.~%]")
_DOT_SEGMENT: Final = re.compile(r"/\.{1,2}(?:/|\Z)")
_ABSOLUTE: Final = re.compile(r"https?://([^/?]*)", re.IGNORECASE)


class Target:
    """A request target, taken apart once.

    `raw` is what the client sent in origin-form, `path` the same without its query, `query` what
    follows the first `?` (`None` without one), and `normal` the path as the router sees it.
    """

    __slots__ = ("normal", "path", "query", "raw")

    def __init__(self, raw: str) -> None:
        if raw[0] != "/" and raw != "*":
            raw = _origin_form(raw)
        self.raw = raw
        path, mark, query = raw.partition("?")
        self.path = path
        self.query: str | None = query if mark else None
        self.normal = normalise(path) if raw != "*" else raw


def _origin_form(raw: str) -> str:
    absolute = _ABSOLUTE.match(raw)
    if absolute is None or not absolute[1] or "@" in absolute[1]:
        raise BadRequest("the request target is neither origin-form nor absolute-form")
    rest = raw[absolute.end() :]
    return rest if rest.startswith("/") else "/" + rest


def normalise(path: str) -> str:
    """The path that routes are matched against: decoded but for reserved characters, without dot
    segments and repeated slashes.

    Raises `BadRequest` for a malformed escape, an encoded NUL and a path that climbs above `/`;
    nginx refuses the same three before Kong sees them.
    """
    if "%" in path:
        path = _PERCENT.sub(_decode, path)
    if "//" in path:
        path = _SLASHES.sub("/", path)
    if "/." in path and _DOT_SEGMENT.search(path):
        path = _remove_dots(path)
    return path


def _decode(escape: re.Match[str]) -> str:
    digits = escape[1] or ""
    if not _HEX_PAIR.match(digits) or digits == "00":
        raise BadRequest("malformed percent-encoding in the request target")
    character = chr(int(digits, 16))
    return "%" + digits.upper() if character in _RESERVED else character


def _remove_dots(path: str) -> str:
    segments: list[str] = []
    parts = path[1:].split("/")
    for part in parts:
        if part == "..":
            if not segments:
                raise BadRequest("the request target climbs above the root")
            segments.pop()
        elif part != ".":
            segments.append(part)
    if parts[-1] in (".", ".."):
        segments.append("")
    return "/" + "/".join(segments)


def escape(path: str) -> str:
    """Percent-encodes what may not stand in a request line; `%` itself is left alone, as by Kong."""
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", path) if _UNSAFE.search(path) else path


def unquote(text: str) -> str:
    """Decodes a query component: `+` is a blank, then percent-escapes; a malformed one stays."""
    if "+" in text:
        text = text.replace("+", " ")
    return unquote_to_bytes(text.encode("latin-1")).decode("latin-1") if "%" in text else text


def arguments(query: str | None) -> Iterator[tuple[str, str | bool]]:
    """Name and value of each query argument in order; an argument without `=` is `True`."""
    for piece in (query or "").split("&"):
        name, mark, value = piece.partition("=")
        if name or mark:
            yield unquote(name), (unquote(value) if mark else True)


def without_arguments(query: str, names: frozenset[str]) -> str:
    """The query without the arguments of these names, every other byte unchanged."""
    return "&".join(p for p in query.split("&") if unquote(p.partition("=")[0]) not in names)


def without_argument(query: str, name: str) -> str:
    """The query without the arguments of this name, the others in their order and written anew, as Kong
    sends a query that it has cleared of a credential: https://url.spec.whatwg.org/#urlencoded-serializing
    but with `%20` for a blank."""
    pieces = (piece.partition("=") for piece in query.split("&") if piece)
    pairs = ((unquote(before), unquote(after)) for before, _, after in pieces)
    return "&".join(f"{_form(before)}={_form(after)}" for before, after in pairs if before != name)


def _form(text: str) -> str:
    return quote(text.encode("latin-1"), safe="*").replace("~", "%7E")


def encoded_arguments(arguments: Mapping[str, object]) -> str:
    """A query of these arguments, by name in alphabetical order as Kong writes one: a list is repeated,
    `True` has no `=`, `False` and `None` are left out."""
    pieces = []
    for name in sorted(arguments):
        value = arguments[name]
        for one in value if isinstance(value, list) else (value,):
            if one is True:
                pieces.append(component(name))
            elif one is not None and one is not False:
                pieces.append(f"{component(name)}={component(str(one))}")
    return "&".join(pieces)


def component(text: str) -> str:
    """A name or value for a query: everything but RFC 3986's unreserved characters percent-encoded."""
    return quote(text.encode("latin-1", "replace"), safe="")
