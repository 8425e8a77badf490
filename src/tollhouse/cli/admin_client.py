"""Talks to the Admin API of a node, from commands."""

import http.client
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

_SECONDS: Final = 60.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self._path)


@dataclass(frozen=True, slots=True)
class AdminClient:
    """One Admin API. `url` is `http://host:port`, `https://host:port` or `unix:/path`."""

    url: str
    headers: Mapping[str, str]

    @classmethod
    def at(cls, address: str) -> "AdminClient":
        """The API at a URL, or at a listening address; TOLLHOUSE_ADMIN_TOKEN is sent if it is set."""
        url = address if "://" in address or address.startswith("unix:") else f"http://{address}"
        url = url.replace("://0.0.0.0", "://127.0.0.1").replace("://[::]", "://[::1]").rstrip("/")
        token = os.environ.get("TOLLHOUSE_ADMIN_TOKEN")
        return cls(url, {"Kong-Admin-Token": token} if token else {})

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of an answer. Raises `OSError` if there is none."""
        connection = self._connection()
        content = msgspec.json.encode(body) if body is not None else None
        headers = {**self.headers, **({"Content-Type": "application/json"} if content is not None else {})}
        try:
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            text = response.read()
        except http.client.HTTPException as error:
            raise OSError(f"it does not speak HTTP: {error!r}") from error
        finally:
            connection.close()
        try:
            return response.status, msgspec.json.decode(text) if text else None
        except msgspec.DecodeError:
            return response.status, text.decode(errors="replace")

    def _connection(self) -> http.client.HTTPConnection:
        if self.url.startswith("unix:"):
            return _UnixConnection(self.url.removeprefix("unix:"))
        parts = urlsplit(self.url)
        if parts.scheme == "https":
            return http.client.HTTPSConnection(parts.hostname or "", parts.port or 8444, timeout=_SECONDS)
        return http.client.HTTPConnection(parts.hostname or "", parts.port or 8001, timeout=_SECONDS)
