"""Answers that the gateway gives itself, in Kong's shapes."""

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

import msgspec

from tollhouse.errors import Reject
from tollhouse.pdk.messages import JSON_UTF8, Http2Request, Request, Response

#: Kong's words where they differ from the status' own phrase.
_MESSAGES: Final[Mapping[int, str]] = MappingProxyType(
    {
        413: "Payload too large",
        414: "URI too long",
        416: "Range not satisfiable",
        494: "Request header or cookie too large",
        500: "An unexpected error occurred",
        502: "An invalid response was received from the upstream server",
        503: "The upstream server is currently unavailable",
        504: "The upstream server is timing out",
        505: "HTTP version not supported",
    }
)

_PAGES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "json": (
            JSON_UTF8,
            '{{\n  "message":"{message}",\n  "request_id":"{request_id}"\n}}',
        ),
        "plain": ("text/plain; charset=utf-8", "{message}\nrequest_id: {request_id}\n"),
        "html": (
            "text/html; charset=utf-8",
            '<!doctype html>\n<html>\n  <head>\n    <meta charset="utf-8">\n    <title>Error</title>\n'
            "  </head>\n  <body>\n    <h1>Error</h1>\n    <p>{message}.</p>\n"
            "    <p>request_id: {request_id}</p>\n  </body>\n</html>\n",
        ),
        "xml": (
            "application/xml; charset=utf-8",
            '<?xml version="1.0" encoding="UTF-8"?>\n<error>\n  <message>{message}</message>\n'
            "  <requestid>{request_id}</requestid>\n</error>\n",
        ),
    }
)
_KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "application/json": "json",
        "text/plain": "plain",
        "text/html": "html",
        "application/xml": "xml",
        "*/*": "json",
        "application/*": "json",
        "text/*": "plain",
    }
)
#: Statuses that nginx answers with its error page, whose type also follows the request's content type.
PAGE_STATUSES: Final = frozenset({400, 404, 405, 408, 411, 412, 413, 414, 417, 494, 500, 502, 503, 504})
#: HTTP to gRPC, as Kong has it; other 4xx are 3, other 5xx 13
_GRPC_STATUS: Final[Mapping[int, int]] = MappingProxyType(
    {200: 0, 400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 499: 1, 500: 13, 501: 12, 503: 14, 504: 4}
)
#: what stands for itself in `grpc-message`: what is printable, but for the percent sign
_GRPC_SAFE: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_NGINX_PAGE_STATUSES: Final = frozenset(
    {301, 302, 303, 307, 308, 401, 402, 403, 406, 409, 410, 415, 416, 421, 429, 501, 505, 507}
)


def message_of(status: int) -> str:
    """Kong's message for a status that came without one."""
    known = _MESSAGES.get(status)
    if known is not None:
        return known
    try:
        return HTTPStatus(status).phrase.capitalize()
    except ValueError:
        return f"The upstream server responded with {status}"


def reason(status: int) -> str:
    """The reason phrase of a status line, empty for a status that has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def negotiate(accept: str | None, initial: str = "json") -> str:
    """Which page an `Accept` value asks for: the first of the highest q, unknown types are passed over."""
    chosen, best = initial, 0.0
    for entry in (accept or "").split(","):
        media, _, parameters = entry.partition(";")
        kind = _KINDS.get(media.strip())
        quality = _quality(parameters)
        if kind is not None and quality > best:
            chosen, best = kind, quality
    return chosen


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0


@dataclass(frozen=True, slots=True)
class ErrorPages:
    """The pages of this node: what they look like, by kind, and the kind for requests that ask for none."""

    default_kind: str = "plain"
    #: content type and text
    by_kind: Mapping[str, tuple[str, str]] = field(default_factory=lambda: _PAGES)

    @classmethod
    def of(cls, default_kind: str, templates: Mapping[str, str | None]) -> "ErrorPages":
        """With templates as Kong writes them: `%s` for the message, and another for the request id."""
        own = {kind: (_PAGES[kind][0], _written(text)) for kind, text in templates.items() if text}
        return cls(default_kind, MappingProxyType({**_PAGES, **own}))

    def page(self, message: str, request_id: str, kind: str) -> tuple[str, bytes]:
        """Content type and body of an error page. The message is inserted as it is, as Kong does, but
        for HTML and XML, where client text could become markup."""
        content_type, template = self.by_kind[kind]
        if kind in ("html", "xml"):
            message = html.escape(message, quote=False)
        return content_type, template.format(message=message, request_id=request_id).encode()


def _written(template: str) -> str:
    braced = template.replace("{", "{{").replace("}", "}}")
    return braced.replace("%s", "{message}", 1).replace("%s", "{request_id}", 1)


def has_grpc_content(request: Request) -> bool:
    """Whether a request says that its body is of gRPC."""
    return request.headers.values.get("content-type", "").startswith("application/grpc")


def is_grpc(request: Request) -> bool:
    """Whether a request is a call of gRPC. In HTTP/1.1 Kong answers such content as any other."""
    return isinstance(request, Http2Request) and has_grpc_content(request)


def _grpc_answer(status: int, message: str) -> Response:
    """How a gRPC client is told: no body, but a status and a message among the fields."""
    response = Response.own(status, b"", "application/grpc")
    usual = 0 if status < 400 else 3 if status < 500 else 13
    response.headers.set("grpc-status", str(_GRPC_STATUS.get(status, usual)))
    response.headers.set("grpc-message", quote(message, safe=_GRPC_SAFE))
    return response


def error_page(request: Request | None, status: int, request_id: str, *, pages: ErrorPages) -> Response:
    """The answer where nginx would show its error page: an upstream failed, a request was malformed."""
    kind = pages.default_kind
    shown = 400 if status == 494 else status
    if request is not None:
        if is_grpc(request):
            return _grpc_answer(shown, message_of(status))
        values = request.headers.values
        accept = values.get("accept") or values.get("content-type")
        kind = _page_kind(accept, pages.default_kind)
    content_type, body = pages.page(message_of(status), request_id, kind)
    return Response.own(shown, body, content_type)


def _page_kind(accept: str | None, default_kind: str) -> str:
    return default_kind if accept is None else negotiate(accept)


def of_reject(reject: Reject, request: Request, request_id: str, *, pages: ErrorPages) -> Response:
    """The answer that a `Reject` asks for."""
    if reject.exact:
        response = _exact(reject, request, request_id, pages)
    else:
        message = reject.message if reject.message is not None else message_of(reject.status)
        response = _page_or_grpc(reject.status, message, request, request_id, pages)
    for name, value in (reject.headers or {}).items():
        response.headers.set(name, value)
    for name, value in reject.fields or ():
        response.headers.add(name, value)
    return response


def _page_or_grpc(
    status: int, message: str, request: Request, request_id: str, pages: ErrorPages
) -> Response:
    if is_grpc(request):
        return _grpc_answer(status, message)
    kind = negotiate(request.headers.values.get("accept"))
    content_type, body = pages.page(message, request_id, kind)
    return Response.own(status, body, content_type)


def _exact(reject: Reject, request: Request, request_id: str, pages: ErrorPages) -> Response:
    body: Any = reject.body
    if body is None:
        if reject.status in PAGE_STATUSES:
            return error_page(request, reject.status, request_id, pages=pages)
        if reject.status in _NGINX_PAGE_STATUSES:
            return nginx_page(reject.status)
        return Response.own(reject.status)
    message = body.get("message") if isinstance(body, Mapping) else None
    if isinstance(message, str) and is_grpc(request):
        return _grpc_answer(reject.status, message)
    if isinstance(body, bytes | str):
        return Response.own(reject.status, body.encode() if isinstance(body, str) else body)
    return Response.own(reject.status, msgspec.json.encode(body), JSON_UTF8)


def nginx_page(status: int) -> Response:
    """The small page that nginx itself writes for an empty answer with that status."""
    return Response.own(status, nginx_html(status).encode(), "text/html")


def nginx_html(status: int) -> str:
    """The text of that page."""
    title = f"{status} {HTTPStatus(status).phrase}"
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
