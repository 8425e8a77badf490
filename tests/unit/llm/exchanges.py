"""Requests for tests of what is filled in from a request."""

from typing import Any, cast

from tollhouse.pdk.exchange import Exchange, Matched
from tollhouse.pdk.messages import Request
from tollhouse.wire.headers import Headers
from tollhouse.wire.uri import Target


def exchange(
    target: str = "/chat",
    headers: dict[str, str] | None = None,
    captures: dict[str, str] | None = None,
) -> Exchange:
    """An exchange whose request has come; `captures` is what its route's regex found, by name."""
    request = Request()
    request.target = Target(target)
    request.headers = Headers.new((headers or {}).items())
    ex = Exchange(cast(Any, _Client), request, "0" * 32, 0.0)
    if captures is not None:
        found = (captures, tuple(captures.values()))
        ex.matched = Matched(cast(Any, None), None, None, request.target, target, "", found)
    return ex


class _Client:
    peer_ip = "127.0.0.1"
