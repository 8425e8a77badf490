"""Access logs: a line for each request, in nginx's combined format as Kong extends it, or for each connection
without HTTP.

Lines go to a sink, which writes them in batches; making one is the only cost that a request has. Without
an access log a request has none.
"""

import re
import time
from base64 import b64decode
from binascii import Error as NotBase64Error
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from tollhouse.pdk.exchange import Exchange
from tollhouse.pdk.messages import Request
from tollhouse.pdk.services import Sink, Sinks
from tollhouse.pdk.session import StreamSession

_CLIENT_CLOSED: Final = 499
#: nginx writes these as `\xHH`, so that no client can forge a line
_UNSAFE: Final = re.compile(r"[^ !#-\[\]-~]")
_LATIN_1: Final = 0x100
_VALUE: Final = '%s - %s [%s] "%s" %d %d "%s" "%s"'


class AccessLog:
    """Writes lines about requests to one file."""

    def __init__(self, sink: Sink, wall_clock: Callable[[], float]) -> None:
        self._sink = sink
        self._wall_clock = wall_clock
        self._second = 0
        self._time = ""

    @classmethod
    def to(cls, path: str | None, sinks: Sinks, wall_clock: Callable[[], float]) -> "AccessLog | None":
        """The log in that file, which may be moved away at any time; `None` without one."""
        if path is None:
            return None
        with suppress(OSError):  # the sink will tell that it cannot write, and go on trying
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        return cls(sinks.file(path, reopen=True), wall_clock)

    def exchange(self, ex: Exchange) -> None:
        """A line about an exchange that has ended."""
        status = ex.response.status if ex.response is not None else _CLIENT_CLOSED
        line = self._line(ex.client_ip, ex.request, status, ex.bytes_out - ex.head_bytes)
        self._sink.write(f'{line} kong_request_id: "{ex.request_id}"\n'.encode("latin-1"))

    def refused(
        self, client_ip: str, status: int, size: int, request_id: str, request: Request | None
    ) -> None:
        """A line about bytes that were no request, or one that was not read to its end."""
        if request is not None:
            line = self._line(client_ip, request, status, size)
        else:
            line = _VALUE % (client_ip, "-", self._now(), "-", status, size, "-", "-")
        self._sink.write(f'{line} kong_request_id: "{request_id}"\n'.encode("latin-1"))

    def call(self, client_ip: str, request: Request, status: int, size: int) -> None:
        """A line about a call of the Admin API."""
        self._sink.write(f"{self._line(client_ip, request, status, size)}\n".encode("latin-1"))

    def session(self, session: StreamSession) -> None:
        """A line about a connection of a stream route that has ended, in nginx's format `basic`."""
        line = (
            f"{session.client_ip} [{self._now()}] {session.transport} {session.status} "
            f"{session.sent} {session.received} {session.session_ms / 1000:.3f}\n"
        )
        self._sink.write(line.encode("latin-1"))

    def _line(self, client_ip: str, request: Request, status: int, size: int) -> str:
        values = request.headers.values
        parts = [
            _user(values["authorization"]) if "authorization" in values else "-",
            f"{request.method} {request.target.raw} HTTP/{request.versions[request.minor]}",
            values.get("referer") or "-",
            values.get("user-agent") or "-",
        ]
        text = "".join(parts)
        # Nearly always nothing is to be escaped, and this tells at once.
        if not (text.isascii() and text.isprintable()) or '"' in text or "\\" in text:
            parts = [_UNSAFE.sub(_escaped, part) for part in parts]
        user, line, referer, agent = parts
        return _VALUE % (client_ip, user, self._now(), line, status, size, referer, agent)

    def _now(self) -> str:
        now = self._wall_clock()
        if int(now) != self._second:
            self._second = int(now)
            self._time = time.strftime("%d/%b/%Y:%H:%M:%S %z", time.localtime(now))
        return self._time


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02X}" if code < _LATIN_1 else "?"


def _user(authorization: str) -> str:
    """The name in basic credentials, as nginx's `$remote_user`."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "-"
    try:
        name, colon, _ = b64decode(credentials.strip(), validate=True).decode("latin-1").partition(":")
    except NotBase64Error:
        return "-"
    return name if name and colon else "-"
