"""Requests that plugins make themselves: whole, bounded, over the node's own connections."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

#: largest answer that is taken unless told otherwise, in bytes
ANSWER_LIMIT_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer, whatever its status; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient(Protocol):
    """Connections are kept and shared with those of services; redirects are not followed."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        timeout_seconds: float = 10.0,
        limit_bytes: int = ANSWER_LIMIT_BYTES,
        verify: bool = True,
        public_only: bool = False,
        keepalive_seconds: float | None = None,
        connect_seconds: float | None = None,
    ) -> HttpAnswer:
        """The answer, within that time and size. `public_only` is for addresses that strangers chose:
        none that is not on the public internet is connected to, whatever a name resolves to. With
        `keepalive_seconds` a connection that was idle for no longer is used again by every method: the
        request may then reach the server twice. `connect_seconds` is for connecting alone. A header with
        an empty value is not sent, nor what would be sent of itself under its name.

        Raises `ValueError` for what is no URL, and `UpstreamFault` where there is no answer.
        """
        ...
