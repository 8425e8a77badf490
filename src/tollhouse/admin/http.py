"""Requests of operators: reads the body, finds the endpoint, writes a JSON answer in Kong's shape."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final

import msgspec

from tollhouse.errors import BadRequest, ClientGone
from tollhouse.flow.advertise import PRODUCT
from tollhouse.flow.client import Client
from tollhouse.pdk.body import body_arguments
from tollhouse.pdk.exchange import JSON_UTF8, Request
from tollhouse.pdk.tasks import Tasks
from tollhouse.telemetry.access_log import AccessLog

log = logging.getLogger("tollhouse.admin")

BODY_LIMIT_BYTES: Final = 256 * 1024 * 1024


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

    @property
    def arguments(self) -> Mapping[str, Any]:
        """Query arguments."""
        return self.request.arguments()

    def form(self) -> Mapping[str, Any]:
        """Arguments in the body."""
        return body_arguments(self.request)


Endpoint = Callable[[Call], Awaitable[Answer]]
#: endpoints by path, then by method
Endpoints = Mapping[str, Mapping[str, Endpoint]]

NOT_FOUND: Final = Answer(404, {"message": "Not found"})
NOT_ALLOWED: Final = Answer(405, {"message": "Method not allowed"})


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

    def __init__(self, endpoints: Endpoints, tasks: Tasks, access_log: AccessLog | None = None) -> None:
        self._endpoints = endpoints
        self._tasks = tasks
        self._access_log = access_log

    def begin(self, client: Client, request: Request) -> None:
        """Starts answering a request that has just arrived."""
        waiting = client.flow = _Waiting()
        self._tasks.spawn(self._answer(client, request, waiting), f"admin {request.target.path}")

    def refuse(self, client: Client, error: BadRequest, request: Request | None = None) -> None:
        """Answers bytes that are no request."""
        client.write(
            _encoded(Answer(error.status, {"message": error.reason}), 0, keep_alive=False, head=False)
        )

    async def _answer(self, client: Client, request: Request, waiting: _Waiting) -> None:
        started = perf_counter()
        try:
            answer = await self._dispatch(client, request, waiting)
        except ClientGone:
            client.abort()
            return
        except BadRequest as error:
            answer = Answer(error.status, {"message": error.reason})
        except Exception:  # the last resort of a request: operators get Kong's words, the log the reason
            log.exception("%s %s failed", request.method, request.target.path)
            answer = Answer(500, {"message": "An unexpected error occurred"})
        latency = int((perf_counter() - started) * 1000)
        keep_alive = request.keep_alive
        data = _encoded(answer, latency, keep_alive=keep_alive, head=request.method == "HEAD")
        client.write(data)
        client.finish(keep_alive)
        if self._access_log is not None:
            size = len(data.partition(b"\r\n\r\n")[2])
            self._access_log.call(client.peer_ip, request, answer.status, size)

    async def _dispatch(self, client: Client, request: Request, waiting: _Waiting) -> Answer:
        content = request.content
        if content is None and client.body is not None:
            reading = client.body.collect(BODY_LIMIT_BYTES)
            if reading is not None:
                reading.driver = waiting
                await waiting
            content = request.content
        if content is None:
            raise BadRequest("the request body is too large", 413)
        methods = self._endpoints.get(request.target.normal.rstrip("/") or "/")
        if methods is None:
            return NOT_FOUND
        if request.method == "OPTIONS":
            return _options(methods)
        endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            return NOT_ALLOWED
        return await endpoint(Call(request, content))


def _options(methods: Mapping[str, Endpoint]) -> Answer:
    allowed = sorted({*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])})
    shown = ", ".join(allowed)
    headers = {
        "Allow": shown,
        "Access-Control-Allow-Methods": shown,
        "Access-Control-Allow-Headers": "Content-Type",
    }
    return Answer(204, headers=headers)


def _encoded(answer: Answer, latency: int, *, keep_alive: bool, head: bool) -> bytes:
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
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Credentials": "true",
        "X-Kong-Admin-Latency": str(latency),
        "Server": PRODUCT,
        **answer.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    line = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
    return f"{line}{lines}\r\n".encode("latin-1") + (b"" if head else content)
