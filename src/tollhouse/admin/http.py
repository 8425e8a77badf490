"""Requests of operators: reads the body, finds the endpoint, writes a JSON answer in Kong's shape."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final

import msgspec

from tollhouse.admin.access import ADMIN_HEADER, ANYONE, Actor, Gate, is_allowed
from tollhouse.admin.router import Router
from tollhouse.errors import BadRequest, ClientGone
from tollhouse.flow.advertise import PRODUCT
from tollhouse.flow.answers import nginx_html
from tollhouse.flow.client import Client
from tollhouse.pdk.body import body_arguments
from tollhouse.pdk.messages import JSON_UTF8, Request
from tollhouse.pdk.tasks import Tasks
from tollhouse.telemetry.access_log import AccessLog

log = logging.getLogger("tollhouse.admin")

BODY_LIMIT_BYTES: Final = 256 * 1024 * 1024
_OWN_FIELDS: Final = frozenset({"server", "x-kong-admin-latency"})
#: what bytes that are no UTF-8 are read as
UNREADABLE: Final = "\ufffd"
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
#: how the types of bodies begin that endpoints read
_KINDS: Final = ("application/json", "multipart/form-data", "application/x-www-form-urlencoded")


@dataclass(slots=True)
class Answer:
    """What an endpoint answers: `body` is sent as JSON unless it is text or bytes, `None` is no body."""

    status: int = 200
    body: Any = None
    content_type: str = JSON_UTF8
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """A request to an endpoint, its body read."""

    request: Request
    content: bytes
    #: parameters in the path
    parameters: Mapping[str, str] = field(default_factory=dict)
    actor: Actor = ANYONE

    @property
    def arguments(self) -> Mapping[str, Any]:
        """Query arguments."""
        return self.request.arguments()

    def argument(self, name: str) -> str | None:
        """One query argument as text: the last if it is repeated, empty if it has no value."""
        value = self.arguments.get(name)
        if isinstance(value, list):
            value = value[-1]
        if value is None:
            return None
        return "" if value is True or value is False else as_text(value)

    def form(self) -> Mapping[str, Any]:
        """Arguments in the body."""
        return body_arguments(self.request)


def as_text(value: str) -> str:
    """What came off the wire, one character for a byte, as the text that it is."""
    return value if value.isascii() else value.encode("latin-1").decode("utf-8", "replace")


Endpoint = Callable[[Call], Awaitable[Answer]]
#: endpoints by path, then by method
Endpoints = Mapping[str, Mapping[str, Endpoint]]


#: of a query or a form: Kong refuses more than it would read
MOST_ARGUMENTS: Final = 1000


class Failure(Exception):
    """A call failed; `answer` is what the operator gets."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body)
        self.answer = answer


def _is_readable(request: Request, content: bytes) -> bool:
    """Whether the body, if there is one, is of a kind that endpoints read."""
    if request.target.path == "/config":
        return True  # a whole file, which tools send under many names of its type, curl under a wrong one
    kind = request.headers.values.get("content-type")
    return not content if kind is None else kind.lower().startswith(_KINDS)


class _Waiting:
    """Lets a task wait for what a flow would be driven by."""

    def __init__(self) -> None:
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def advance(self, value: Any = None) -> None:
        if not self._future.done():
            self._future.set_result(None)

    def throw(self, error: BaseException) -> None:
        if not self._future.done():
            self._future.set_exception(error)

    def __await__(self) -> Any:
        return self._future.__await__()


class AdminHandler:
    """Serves endpoints on a listener."""

    def __init__(
        self,
        endpoints: Endpoints,
        tasks: Tasks,
        access_log: AccessLog | None = None,
        origins: Sequence[str] = (),
        gate: Gate | None = None,
        *,
        body_limit: int = BODY_LIMIT_BYTES,
        advertised: Collection[str] = _OWN_FIELDS,
    ) -> None:
        """`advertised` are the fields of its own, in lower case, that answers get."""
        self._router = Router(endpoints)
        self._tasks = tasks
        self._access_log = access_log
        self._origins = origins
        self._gate = gate or Gate()
        self._body_limit = body_limit or sys.maxsize
        self._advertised = advertised

    def begin(self, client: Client, request: Request) -> None:
        """Starts answering a request that has just arrived."""
        waiting = client.flow = _Waiting()
        self._tasks.spawn(self._answer(client, request, waiting), f"admin {request.target.path}")

    def refuse(self, client: Client, error: BadRequest, request: Request | None = None) -> None:
        """Answers bytes that are no request."""
        answer = Answer(error.status, {"message": error.reason})
        client.write(_encoded(answer, self._own_fields(0), keep_alive=False, head=False))

    async def _answer(self, client: Client, request: Request, waiting: _Waiting) -> None:
        started = perf_counter()
        try:
            answer = await self._dispatch(client, request, waiting)
        except ClientGone:
            client.abort()
            return
        except BadRequest as error:
            answer = Answer(error.status, {"message": error.reason})
        except Failure as failure:
            answer = failure.answer
        except Exception:  # the last resort of a request: operators get Kong's words, the log the reason
            log.exception("%s %s failed", request.method, request.target.path)
            answer = Answer(500, {"message": "An unexpected error occurred"})
        latency = int((perf_counter() - started) * 1000)
        keep_alive = request.keep_alive
        answer.headers.setdefault("Access-Control-Allow-Origin", self._origin(request))
        own = self._own_fields(latency)
        data = _encoded(answer, own, keep_alive=keep_alive, head=request.method == "HEAD")
        client.write(data)
        client.finish(keep_alive)
        if self._access_log is not None:
            size = len(data.partition(b"\r\n\r\n")[2])
            self._access_log.call(client.peer_ip, request, answer.status, size)

    def _own_fields(self, latency: int) -> dict[str, str]:
        fields = {"X-Kong-Admin-Latency": str(latency), "Server": PRODUCT}
        return {name: value for name, value in fields.items() if name.lower() in self._advertised}

    def _origin(self, request: Request) -> str:
        """Who may read the answer in a browser: the manager if there is one, else, as in Kong, who asks."""
        origin = request.headers.values.get("origin", "*")
        return origin if not self._origins or origin in self._origins else self._origins[0]

    def _options(self, methods: Mapping[str, Endpoint], wanted: str | None) -> Answer:
        """What may be asked for, with any headers that a browser has in mind."""
        allowed = sorted({*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])})
        shown = ", ".join(allowed)
        own = "Content-Type" if self._gate.is_open else f"Content-Type, {ADMIN_HEADER}"
        headers = {
            "Allow": shown,
            "Access-Control-Allow-Methods": shown,
            "Access-Control-Allow-Headers": wanted or own,
        }
        return Answer(204, headers=headers)

    async def _dispatch(self, client: Client, request: Request, waiting: _Waiting) -> Answer:
        content = request.content
        if content is None and client.body is not None:
            reading = client.body.collect(self._body_limit)
            if reading is not None:
                reading.driver = waiting
                await waiting
            content = request.content
        if content is None or len(content) > self._body_limit:
            raise BadRequest("the request body is too large", 413)
        found = self._router.find(request.target.path)
        if found is None:
            return Answer(404, {"message": "Not found"})
        methods, parameters = found
        if request.method == "OPTIONS":
            return self._options(methods, request.headers.values.get("access-control-request-headers"))
        actor = self._gate.admit(request, client.peer_name or client.peer_ip)
        if actor is None:
            return Answer(401, {"message": "Invalid credentials. Token or User credentials required"})
        if not is_allowed(actor, request):
            return Answer(403, {"message": f"'{actor.name}' may only read"})
        if request.target.query is not None and request.target.query.count("&") >= MOST_ARGUMENTS:
            return Answer(400, {"message": "Too many arguments"})
        if request.method in _WITH_BODY and not _is_readable(request, content):
            return Answer(415, nginx_html(415), "text/html; charset=UTF-8")
        endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            return Answer(405, {"message": "Method not allowed"})
        return await endpoint(Call(request, content, parameters, actor))


def _encoded(answer: Answer, own: Mapping[str, str], *, keep_alive: bool, head: bool) -> bytes:
    body = answer.body
    if body is None:
        content = b""
    elif isinstance(body, str | bytes):
        content = body.encode() if isinstance(body, str) else body
    else:
        content = msgspec.json.encode(body)
    fields = {
        "Date": formatdate(usegmt=True),
        **({"Content-Type": answer.content_type} if body is not None else {}),
        **({"Content-Length": str(len(content))} if answer.status != 204 else {}),
        **({} if keep_alive else {"Connection": "close"}),
        "Access-Control-Allow-Credentials": "true",
        **own,
        **answer.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    line = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
    return f"{line}{lines}\r\n".encode("latin-1") + (b"" if head else content)
