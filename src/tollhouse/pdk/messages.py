"""A request and its answer, as they pass through the gateway."""

from collections.abc import Awaitable
from typing import Final, Protocol

from tollhouse.errors import BadRequest
from tollhouse.wire.headers import Headers
from tollhouse.wire.http1 import CHUNKED, NO_BODY, RequestHead, ResponseHead
from tollhouse.wire.uri import Target, arguments

JSON_UTF8: Final = "application/json; charset=utf-8"
#: the longest target that is kept of a head that is refused
_SALVAGED_CHARACTERS: Final = 8192


class ArrivingBody(Protocol):
    """A request body of which not all is here yet."""

    def collect(self, limit: int) -> Awaitable[None] | None:
        """Reads it into the request's `content`, up to so many bytes; await what is returned."""
        ...

    def cap(self, limit: int, refusal: Exception) -> None:
        """Ends the exchange with `refusal` once more than `limit` bytes have come."""
        ...

    def invite(self) -> None:
        """Tells a client that waits for it (`Expect: 100-continue`) to send the body."""
        ...


class Request(RequestHead):
    """The client's request. Header changes made here are what the upstream gets, as in Kong."""

    __slots__ = ("content", "received")

    #: of HTTP, by `minor`, as logs show it
    versions = ("1.0", "1.1")
    #: the whole body; `None` while it is still arriving
    content: bytes | None
    #: body bytes that have arrived
    received: int

    @property
    def path(self) -> str:
        """The path as the client sent it, without the query."""
        return self.target.path

    @property
    def content_length(self) -> int | None:
        """The declared length in bytes; `None` if the body is chunked."""
        return None if self.body == CHUNKED else self.body

    @property
    def chunked(self) -> bool:
        return self.body == CHUNKED

    @property
    def media_type(self) -> str:
        """The content type in lower case without parameters, empty if there is none."""
        return self.headers.values.get("content-type", "").partition(";")[0].strip().lower()

    def replace_content(self, content: bytes) -> None:
        """Puts another body in place of the client's; it must have been read before."""
        self.content = content
        length = self.body = len(content)
        self.framing = f"Content-Length: {length}\r\n"

    def arguments(self) -> dict[str, str | bool | list[str | bool]]:
        """Query arguments by name; a repeated one has a list, one without `=` is `True`."""
        return grouped_arguments(self.target.query)


class Http2Request(Request):
    """A request that came by HTTP/2; it is passed on as if it were one of HTTP/1.1."""

    __slots__ = ()
    versions = ("2.0", "2.0")


def salvaged(kind: type[Request], text: bytes) -> Request:
    """What can be said of a request whose head is refused: method and target if its first line has them, and
    no fields."""
    method, _, rest = text.lstrip(b"\r\n").partition(b"\r\n")[0].partition(b" ")
    raw = rest.partition(b" ")[0].decode("latin-1")
    request = kind()
    request.method = method.decode("ascii") if rest and method.isalpha() and method.isupper() else ""
    try:
        request.target = Target(raw if len(raw) <= _SALVAGED_CHARACTERS else "/")
    except (BadRequest, IndexError):  # there is none, or none that can be taken apart
        request.target = Target("/")
    request.minor = 1
    request.head_bytes = len(text)
    request.headers = Headers.new()
    request.body = request.received = NO_BODY
    request.framing, request.content = "", b""
    request.keep_alive = request.expects_continue = False
    return request


def grouped_arguments(query: str | None) -> dict[str, str | bool | list[str | bool]]:
    """Arguments of a query by name; a repeated one has a list, one without `=` is `True`."""
    found: dict[str, str | bool | list[str | bool]] = {}
    for name, value in arguments(query):
        if name not in found:
            found[name] = value
            continue
        earlier = found[name]
        if isinstance(earlier, list):
            earlier.append(value)
        else:
            found[name] = [earlier, value]
    return found


class Response(ResponseHead):
    """The answer on its way to the client, the upstream's or the gateway's own."""

    __slots__ = ("content", "from_upstream")

    #: of HTTP, as `Via` names it
    version = "1.1"
    #: the whole body if it is known; `None` while it streams
    content: bytes | None
    from_upstream: bool

    @classmethod
    def own(cls, status: int, content: bytes = b"", content_type: str | None = None) -> "Response":
        """An answer that the gateway gives itself."""
        response = cls()
        response.status = status
        response.line = b""
        response.headers = Headers.new((("Content-Type", content_type),) if content_type else ())
        response.body = len(content)
        response.keep_alive = True
        response.content = content
        response.from_upstream = False
        return response


class Http2Response(Response):
    """An answer that came by HTTP/2."""

    __slots__ = ()
    version = "2"
