"""Requests of the past, as logs tell of them.

Read are log objects of Kong's logging plugins (file-log, http-log and their like: JSON, one or a list of
them in a line) and access logs in nginx's combined format, which know neither headers nor who called.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from tollhouse.errors import BadRequest
from tollhouse.pdk.usage import Usage
from tollhouse.wire.headers import Headers
from tollhouse.wire.uri import Target

#: what the log objects put in place of a secret
REDACTED: Final = "REDACTED"
_COMBINED: Final = re.compile(
    r'(?P<ip>\S+) \S+ (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<line>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) '
)
_ESCAPED: Final = re.compile(r"\\x([0-9A-Fa-f]{2})")
_TIME: Final = "%d/%b/%Y:%H:%M:%S %z"
_PORTS: Final = {"http": 80, "https": 443}
#: what the gateway itself answers where a request is not for it to pass on
_REFUSALS: Final = frozenset({301, 302, 303, 307, 308, 401, 403, 405, 410, 411, 413, 415, 417, 426, 429})
_NOT_FOUND: Final = 404


class Unreadable(ValueError):
    """A line that tells of no request."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a model; what it cost in billionths of a dollar, `None` if nobody knows."""

    provider: str
    model: str
    usage: Usage
    cost_nano_usd: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One request and how it ended. What the log does not tell is `None`."""

    line: int
    #: seconds since the epoch
    at: float
    method: str
    target: Target
    scheme: str
    host: str
    port: int
    client_ip: str
    status: int
    headers: Headers | None = None
    #: names and ids of the consumer; empty if there was none
    consumer: tuple[str, ...] | None = None
    #: the name in basic credentials
    user: str | None = None
    #: names and ids of the route; empty if none matched
    route: tuple[str, ...] | None = None
    #: where it was sent: scheme, host and port of the service, and the path without its query
    upstream: str | None = None
    #: whether the gateway itself refused it
    refused: bool | None = None
    answer: Headers | None = None
    call: Call | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where requests arrived, for logs that do not tell."""

    scheme: str = "http"
    host: str = "localhost"


def read(lines: Iterable[str], place: Place) -> Iterator[Recorded | Unreadable]:
    """The requests, and what is wrong with lines that hold none."""
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        try:
            yield from _of_line(text, number, place)
        except (Unreadable, BadRequest, IndexError) as error:
            yield Unreadable(f"line {number}: {error}")


def _of_line(text: str, number: int, place: Place) -> list[Recorded]:
    if text[0] not in "{[":
        return [_combined(text, number, place)]
    try:
        found = msgspec.json.decode(text)
        return [_log_object(each, number, place) for each in (found if isinstance(found, list) else [found])]
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise Unreadable(f"no log object of Kong's: {error}") from None


def _combined(text: str, number: int, place: Place) -> Recorded:
    found = _COMBINED.match(text)
    words = found["line"].split(" ") if found else []
    if found is None or len(words) < 2:
        raise Unreadable("neither a log object nor a line of an access log that holds a request")
    try:
        at = datetime.strptime(found["time"], _TIME).timestamp()
    except ValueError as error:
        raise Unreadable(str(error)) from None
    status = int(found["status"])
    return Recorded(
        line=number,
        at=at,
        method=words[0],
        target=Target(_ESCAPED.sub(lambda code: chr(int(code[1], 16)), words[1])),
        scheme=place.scheme,
        host=place.host,
        port=_PORTS.get(place.scheme, 80),
        client_ip=found["ip"],
        status=status,
        user=found["user"] if found["user"] != "-" else None,
        # A status of refusal may as well be the upstream's.
        refused=None if status in _REFUSALS or status == _NOT_FOUND else False,
    )


def _log_object(record: Mapping[str, Any], number: int, place: Place) -> Recorded:
    request, answer = record["request"], record.get("response", {})
    url = urlsplit(request.get("url") or f"{place.scheme}://{place.host}")
    headers = _headers(request.get("headers"))
    status = int(answer.get("status") or 0)
    upstream = record.get("source") == "upstream" or bool(record.get("upstream_status"))
    route = record.get("route")
    return Recorded(
        line=number,
        at=record["started_at"] / 1000,
        method=request["method"],
        target=Target(request.get("uri") or url.path or "/"),
        scheme=url.scheme or place.scheme,
        host=(headers.get("host") if headers else None) or url.netloc or place.host,
        port=url.port or _PORTS.get(url.scheme, 80),
        client_ip=record.get("client_ip") or "127.0.0.1",
        status=status,
        headers=headers,
        consumer=_called(record.get("consumer"), "id", "username", "custom_id"),
        route=_called(route, "name", "id"),
        upstream=_upstream(record),
        refused=not upstream and (status in _REFUSALS or (status == _NOT_FOUND and not route)),
        answer=_headers(answer.get("headers")),
        call=_call(record.get("ai")),
    )


def _upstream(record: Mapping[str, Any]) -> str | None:
    """Where the service is, as the log names it; not what a balancer made of that."""
    service, uri = record.get("service"), record.get("upstream_uri")
    if not isinstance(service, dict) or not uri or not record.get("upstream_status"):
        return None
    protocol, host, port = (service.get(name) for name in ("protocol", "host", "port"))
    return f"{protocol}://{host}:{port}{uri.partition('?')[0]}" if protocol and host and port else None


def _called(entity: Any, *names: str) -> tuple[str, ...]:
    return tuple(str(entity[name]) for name in names if entity.get(name)) if isinstance(entity, dict) else ()


def _headers(fields: Any) -> Headers | None:
    if not isinstance(fields, dict):
        return None
    return Headers.new(
        (name, str(one))
        for name, value in fields.items()
        for one in (value if isinstance(value, list) else [value])
    )


def _call(ai: Any) -> Call | None:
    """What was asked of a model: `ai.proxy` as Kong writes it, and what is told in more detail beside it."""
    block = ai.get("proxy") if isinstance(ai, dict) else None
    if not isinstance(block, dict) or "usage" not in block:
        return None
    meta, usage = block.get("meta", {}), block["usage"]
    detailed = ai.get("call", {})
    tokens = {name: int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")}
    counted = msgspec.convert({**tokens, **detailed.get("tokens", {})}, type=Usage)
    cost = detailed["cost_nano_usd"] if detailed else round(float(usage.get("cost") or 0) * 1e9) or None
    return Call(
        str(meta.get("provider_name", "")),
        str(meta.get("response_model") or meta.get("request_model") or ""),
        counted,
        cost,
    )
