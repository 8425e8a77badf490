"""Refuses requests that a route matches but does not serve: wrong scheme, gRPC or not."""

from collections.abc import Callable
from typing import Final

from tollhouse.errors import Reject
from tollhouse.flow.answers import has_grpc_content
from tollhouse.flow.drive import DrivenExchange
from tollhouse.flow.forwarded import host_without_port
from tollhouse.model.entities import Route

_UPGRADE_REQUIRED: Final = 426


def guard_of(route: Route) -> Callable[[DrivenExchange], None] | None:
    """The check that a route's protocols ask for, `None` if they ask for none."""
    protocols = set(route.protocols)
    if protocols & {"grpc", "grpcs"}:
        return _OnlyGrpc(only_secure="grpc" not in protocols)
    if protocols == {"https"}:
        return _OnlyHttps(route.https_redirect_status_code)
    return None


class _OnlyHttps:
    """Sends plain HTTP to HTTPS, by redirect or by 426."""

    def __init__(self, status: int) -> None:
        self._status = status

    def __call__(self, ex: DrivenExchange) -> None:
        values = ex.request.headers.values
        if _scheme(ex) == "https":
            return
        if self._status == _UPGRADE_REQUIRED:
            headers = {"Connection": "Upgrade", "Upgrade": "TLS/1.2, HTTP/1.1"}
            raise Reject(426, "Please use HTTPS protocol", headers=headers)
        host = values.get("host", "")
        if ex.peer_trusted:
            host = values.get("x-forwarded-host") or host
        location = f"https://{host_without_port(host.lower())}{ex.request.target.raw}"
        raise Reject(self._status, headers={"Location": location}, exact=True)


class _OnlyGrpc:
    """Lets gRPC pass, which needs HTTP/2, and TLS if the route is for that alone."""

    def __init__(self, *, only_secure: bool) -> None:
        self._only_secure = only_secure

    def __call__(self, ex: DrivenExchange) -> None:
        if not has_grpc_content(ex.request):
            raise Reject(415, "Non-gRPC request matched gRPC route")
        if ex.client.protocol_version != "2":
            headers = {"connection": "Upgrade", "upgrade": "HTTP/2"}
            raise Reject(426, "Please use HTTP2 protocol", headers=headers)
        if self._only_secure and _scheme(ex) != "https":
            headers = {
                "content-type": "application/grpc",
                "grpc-status": "1",
                "grpc-message": "gRPC request matched gRPCs route",
            }
            raise Reject(200, headers=headers, exact=True)


def _scheme(ex: DrivenExchange) -> str:
    """The client's own, or what a trusted proxy tells of it."""
    told = ex.request.headers.values.get("x-forwarded-proto") if ex.peer_trusted else None
    return told or ex.client.scheme
