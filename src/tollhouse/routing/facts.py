"""What an expression can ask about a request: Kong's fields, their types and their values."""

import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, Literal, TypeAlias

from tollhouse.routing.rules import header_names
from tollhouse.wire.headers import Headers
from tollhouse.wire.uri import arguments

FieldType: TypeAlias = Literal["String", "Int", "IpAddr"]
Address: TypeAlias = IPv4Address | IPv6Address
#: the values of a field in a request; none if the request has no such thing
Reader: TypeAlias = Callable[["Facts"], Sequence[Any]]

_SEGMENTS: Final = re.compile(r"(0|[1-9]\d*)(?:_([1-9]\d*))?", re.ASCII)


class Facts:
    """One request, and what the expression under trial has matched of it so far."""

    __slots__ = (
        "_queries", "_segments", "captured", "headers", "host", "local_ip", "method", "path", "port",
        "prefix", "raw_query", "scheme", "sni", "source",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        path: str,
        host: str,
        headers: Headers,
        scheme: str,
        port: int,
        sni: str | None,
        raw_query: str | None,
        source: tuple[str, int] | None,
        local_ip: str | None,
    ) -> None:
        self.method = method
        self.path = path
        self.host = host
        self.headers = headers
        self.scheme = scheme
        self.port = port
        self.sni = sni
        self.raw_query = raw_query
        self.source = source
        self.local_ip = local_ip
        #: what the last condition on the path matched
        self.prefix = ""
        self.captured: dict[int | str, str] = {}
        self._segments: list[str] | None = None
        self._queries: dict[str, list[str]] | None = None

    def begin(self) -> None:
        self.prefix = ""
        self.captured = {}

    @property
    def segments(self) -> list[str]:
        if self._segments is None:
            self._segments = self.path[1:].rstrip("/").split("/") if self.path.strip("/") else []
        return self._segments

    @property
    def queries(self) -> dict[str, list[str]]:
        """A query argument without a value counts as empty."""
        if self._queries is None:
            self._queries = {}
            for name, value in arguments(self.raw_query):
                self._queries.setdefault(name, []).append("" if value is True else str(value))
        return self._queries


def field_type(name: str) -> FieldType | None:
    """The type of a field, `None` if there is no such field."""
    family, _, _ = name.rpartition(".")
    return _TYPES.get(name) or _TYPES.get(family + ".*")


def complaint(name: str) -> str | None:
    """What is wrong with a field of a known type."""
    if not name.startswith("http.path.segments.") or name == "http.path.segments.len":
        return None
    found = _SEGMENTS.fullmatch(name.removeprefix("http.path.segments."))
    if not found or (found[2] and int(found[1]) >= int(found[2])):
        return "illformed http.path.segments.* field"
    return None


def reader(name: str) -> Reader:
    """How to read a field of a known type."""
    family, _, key = name.rpartition(".")
    return _READERS[name] if name in _READERS else _FAMILIES[family](key)


def _address(text: str | None) -> Sequence[Address]:
    try:
        return (ip_address(text),) if text else ()
    except ValueError:
        return ()


def _header(key: str) -> Reader:
    names = header_names(key, underscored=False)

    def read(facts: Facts) -> Sequence[str]:
        for name in names:
            if name in facts.headers.values:
                return facts.headers.get_all(name)
        return ()

    return read


def _query(key: str) -> Reader:
    return lambda facts: facts.queries.get(key, ())


def _segment(key: str) -> Reader:
    """One segment, or a range of them joined; a range that reaches too far is not there."""
    found = _SEGMENTS.fullmatch(key)
    if not found:
        return lambda _: ()
    first = int(found[1])
    end = int(found[2] or first) + 1

    def read(facts: Facts) -> Sequence[str]:
        segments = facts.segments
        return ("/".join(segments[first:end]),) if end <= len(segments) else ()

    return read


_TYPES: Final[dict[str, FieldType]] = {
    "net.protocol": "String",
    "tls.sni": "String",
    "http.method": "String",
    "http.host": "String",
    "http.path": "String",
    "http.path.segments.*": "String",
    "http.headers.*": "String",
    "http.queries.*": "String",
    "net.src.port": "Int",
    "net.dst.port": "Int",
    "http.path.segments.len": "Int",
    "net.src.ip": "IpAddr",
    "net.dst.ip": "IpAddr",
}
_READERS: Final[dict[str, Reader]] = {
    "net.protocol": lambda facts: (facts.scheme,),
    "tls.sni": lambda facts: (facts.sni,) if facts.sni else (),
    "http.method": lambda facts: (facts.method,),
    "http.host": lambda facts: (facts.host,) if facts.host else (),
    "http.path": lambda facts: (facts.path,),
    "http.path.segments.len": lambda facts: (len(facts.segments),),
    "net.src.ip": lambda facts: _address(facts.source and facts.source[0]),
    "net.src.port": lambda facts: (facts.source[1],) if facts.source else (),
    "net.dst.ip": lambda facts: _address(facts.local_ip),
    "net.dst.port": lambda facts: (facts.port,),
}
_FAMILIES: Final[dict[str, Callable[[str], Reader]]] = {
    "http.headers": _header,
    "http.queries": _query,
    "http.path.segments": _segment,
}
