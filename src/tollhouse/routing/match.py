"""What a router is asked and what it answers.

Text off the wire is `str` with one character per byte (latin-1); what a configuration says is
Unicode and is brought to that form once, by `wire`, so that comparing costs nothing per request.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from tollhouse.wire.headers import Headers

Flavour: TypeAlias = Literal["traditional_compatible", "traditional", "expressions"]
#: what a regex captured: by name, and by position (`None` for a group that took no part)
Captures: TypeAlias = tuple[Mapping[str, str], tuple[str | None, ...]]


class RouteLike(Protocol):
    """What a router reads of a route, named as in Kong."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str | None: ...
    @property
    def protocols(self) -> tuple[str, ...]: ...
    @property
    def methods(self) -> tuple[str, ...] | None: ...
    @property
    def hosts(self) -> tuple[str, ...] | None: ...
    @property
    def paths(self) -> tuple[str, ...] | None: ...
    @property
    def headers(self) -> Mapping[str, tuple[str, ...]] | None: ...
    @property
    def snis(self) -> tuple[str, ...] | None: ...
    @property
    def strip_path(self) -> bool: ...
    @property
    def preserve_host(self) -> bool: ...
    @property
    def path_handling(self) -> str | None: ...
    @property
    def regex_priority(self) -> int | None: ...
    @property
    def created_at(self) -> int | None: ...
    @property
    def expression(self) -> str | None: ...
    @property
    def priority(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Match:
    """The winning route. `prefix` is the part of the normal path that the route's path stands for."""

    route: RouteLike
    prefix: str
    captures: Captures | None


class Router(Protocol):
    def find(
        self,
        method: str,
        path: str,
        host: str,
        headers: Headers,
        scheme: str,
        port: int,
        sni: str | None,
        raw_query: str | None = None,
        source: tuple[str, int] | None = None,
        local_ip: str | None = None,
    ) -> Match | None:
        """The route of a request, if any.

        `path` is the normal path, `host` the Host header as it came (`""` without one), `port` the
        listener's. The last three are read by expressions alone: the query without its `?`, the
        client's address and port, the address the connection arrived at.
        """

    def dismantling(self) -> Generator[None]:
        """Lets go of everything in small steps; nothing is found afterwards."""


def wire(text: str) -> str:
    """Configured text as it looks on the wire: its UTF-8 bytes, one character each."""
    return text if text.isascii() else text.encode().decode("latin-1")


def lowered(text: str) -> str:
    """Wire text with ASCII letters in lower case; other bytes are parts of characters and stay."""
    return text.lower() if text.isascii() else text.encode("latin-1").lower().decode("latin-1")


def is_utf8(text: str) -> bool:
    """Whether wire text holds well-formed UTF-8."""
    if text.isascii():
        return True
    try:
        text.encode("latin-1").decode()
    except UnicodeDecodeError:
        return False
    return True
