"""Refuses requests that a route matches but does not serve: wrong scheme, gRPC or not."""

from collections.abc import Callable
from typing import Final

from tollhouse.errors import Reject
from tollhouse.flow.drive import DrivenExchange
from tollhouse.flow.forwarded import host_without_port
from tollhouse.model.entities import Route

_UPGRADE_REQUIRED: Final = 426


def guard_of(route: Route) -> Callable[[DrivenExchange], None] | None:
    """The check that a route's protocols ask for, `None` if they ask for none."""
    protocols = set(route.protocols)
    if protocols & {"grpc", "grpcs"}:
        return _only_grpc
    if protocols == {"https"}:
        return _OnlyHttps(route.https_redirect_status_code)
    return None


class _OnlyHttps:
    """Sends plain HTTP to HTTPS, by redirect or by 426."""

    def __init__(self, status: int) -> None:
        self._status = status

    def __call__(self, ex: DrivenExchange) -> None:
        client = ex.client
        scheme = client.scheme
        values = ex.request.headers.values
        if ex.peer_trusted:
            scheme = values.get("x-forwarded-proto") or scheme
        if scheme == "https":
            return
        if self._status == _UPGRADE_REQUIRED:
            headers = {"Connection": "Upgrade", "Upgrade": "TLS/1.2, HTTP/1.1"}
            raise Reject(426, "Please use HTTPS protocol", headers=headers)
        host = values.get("host", "")
        if ex.peer_trusted:
            host = values.get("x-forwarded-host") or host
        location = f"https://{host_without_port(host.lower())}{ex.request.target.raw}"
        raise Reject(self._status, headers={"Location": location}, exact=True)


def _only_grpc(ex: DrivenExchange) -> None:
    content_type = ex.request.headers.values.get("content-type", "")
    if not content_type.startswith("application/grpc"):
        raise Reject(415, "Non-gRPC request matched gRPC route")
    raise Reject(426, "Please use HTTP2 protocol", headers={"connection": "Upgrade", "upgrade": "HTTP/2"})
