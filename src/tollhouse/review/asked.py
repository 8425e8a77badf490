"""A request as people write it down: a method and a URL, or a line of curl."""

import base64
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from tollhouse.errors import BadRequest
from tollhouse.routing.match import wire
from tollhouse.wire.headers import Headers
from tollhouse.wire.uri import Target

_PORTS: Final = {"http": 80, "https": 443, "grpc": 80, "grpcs": 443}
#: options of curl that take a value, by what they mean here; None: nothing for routing
_VALUED: Final = {
    **dict.fromkeys(("-X", "--request"), "method"),
    **dict.fromkeys(("-H", "--header"), "header"),
    **dict.fromkeys(("-u", "--user"), "user"),
    **dict.fromkeys(("-A", "--user-agent"), "agent"),
    **dict.fromkeys(("-b", "--cookie"), "cookie"),
    **dict.fromkeys(("--url",), "url"),
    **dict.fromkeys(("-d", "--data", "--data-raw", "--data-binary", "--data-urlencode", "--json"), "body"),
    **dict.fromkeys(("-F", "--form", "-T", "--upload-file"), "body"),
    **dict.fromkeys(("-o", "--output", "-m", "--max-time", "--connect-timeout", "--resolve", "-w"), None),
    **dict.fromkeys(
        ("--cacert", "--cert", "-E", "--key", "-x", "--proxy", "--retry", "-e", "--referer"), None
    ),
}


class Unreadable(ValueError):
    """The words are no request; the text says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as far as routing and plugins depend on it. Text is as on the wire."""

    method: str
    scheme: str
    port: int
    host: str
    target: Target
    headers: Headers
    sni: str | None = None
    #: the client's address, for expressions and lists of addresses
    client_ip: str = "127.0.0.1"


def asked(words: Sequence[str]) -> Asked:
    """The request that the words describe. Raises `Unreadable`."""
    if len(words) == 1 and words[0].startswith("curl "):
        words = shlex.split(words[0].replace("\\\n", " "))
    parts = _Parts()
    for name, value in _meanings(words[1:] if words and words[0] == "curl" else words):
        parts.take(name, value)
    return parts.request()


def _meanings(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word in _VALUED or (equals and name in _VALUED):
            if not equals:
                value = next(rest, "")
            meaning = _VALUED[name]
            if meaning is not None:
                yield meaning, value
        elif word[:2] in _VALUED and not word.startswith("--") and len(word) > 2:
            meaning = _VALUED[word[:2]]
            if meaning is not None:
                yield meaning, word[2:]
        elif word in ("-I", "--head"):
            yield "method", "HEAD"
        elif not word.startswith("-"):
            yield ("method" if word.isupper() and word.isalpha() else "url"), word


class _Parts:
    def __init__(self) -> None:
        self._method: str | None = None
        self._url: str | None = None
        self._has_body = False
        self._fields: list[tuple[str, str]] = []

    def take(self, meaning: str, value: str) -> None:
        match meaning:
            case "method":
                self._method = value
            case "url":
                self._url = value
            case "body":
                self._has_body = True
            case "user":
                encoded = base64.b64encode(value.encode()).decode()
                self._fields.append(("Authorization", f"Basic {encoded}"))
            case "agent":
                self._fields.append(("User-Agent", value))
            case "cookie":
                self._fields.append(("Cookie", value))
            case _:
                name, colon, text = value.partition(":")
                if not colon:
                    raise Unreadable(f"'{value}' is no header like 'Name: value'")
                self._fields.append((name.strip(), text.strip()))

    def request(self) -> Asked:
        if self._url is None:
            raise Unreadable("there is no URL: write `GET http://host/path`, or a line of curl")
        url = f"localhost{self._url}" if self._url.startswith("/") else self._url
        url = url if "://" in url else f"http://{url}"
        parts = urlsplit(url)
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        if scheme not in _PORTS or not parts.hostname:
            raise Unreadable(f"'{self._url}' is no http:// or https:// URL")
        given = {name.lower(): value for name, value in self._fields}
        host = given.get("host", parts.netloc.rpartition("@")[2])
        fields = self._fields if "host" in given else [("Host", host), *self._fields]
        try:
            target = Target(wire((parts.path or "/") + (f"?{parts.query}" if parts.query else "")))
        except BadRequest as error:
            raise Unreadable(f"'{self._url}': {error.reason}") from error
        return Asked(
            self._method or ("POST" if self._has_body else "GET"),
            scheme,
            parts.port or _PORTS[scheme],
            wire(host),
            target,
            Headers.new([(name, wire(value)) for name, value in fields]),
            parts.hostname if scheme in ("https", "grpcs") else None,
        )
