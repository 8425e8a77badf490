"""One probe of one address."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from tollhouse import __version__
from tollhouse.balance.health import Outcome


@dataclass(frozen=True, slots=True)
class Probe:
    """What to ask whom: `GET path`, or nothing but a connection where there is no path."""

    ip: str
    port: int
    path: str | None
    host: str
    headers: Sequence[tuple[str, str]]
    seconds: float
    tls: ssl.SSLContext | None
    server_name: str


async def probe(wanted: Probe) -> int | Outcome:
    """The status that was answered; else what went wrong, or `success` if connecting was all."""
    try:
        async with asyncio.timeout(wanted.seconds):
            return await _ask(wanted)
    except TimeoutError:
        return "timeout"
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        return "tcp_failure"


async def _ask(wanted: Probe) -> int | Outcome:
    server_name = wanted.server_name if wanted.tls else None
    reader, writer = await asyncio.open_connection(
        wanted.ip, wanted.port, ssl=wanted.tls, server_hostname=server_name
    )
    try:
        if wanted.path is None:
            return "success"
        lines = [f"GET {wanted.path} HTTP/1.1", f"Host: {wanted.host}", "Connection: close"]
        lines += [f"User-Agent: tollhouse/{__version__} (health check)"]
        lines += [f"{name}: {value}" for name, value in wanted.headers]
        writer.write("\r\n".join((*lines, "", "")).encode("latin-1", "replace"))
        line = await reader.readuntil(b"\r\n")
        version, status = line.split(None, 2)[:2]
        if not version.startswith(b"HTTP/1."):
            raise ValueError("that is no HTTP")
        return int(status)
    finally:
        writer.close()
