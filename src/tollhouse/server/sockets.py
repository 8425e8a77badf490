"""Binding listening sockets."""

import asyncio
import errno
import socket
from dataclasses import replace
from pathlib import Path

from tollhouse.config.listen import Listen
from tollhouse.errors import ConfigError, ConfigErrors

Bound = tuple[Listen, list[socket.socket]]


def bind(listen: Listen, variable: str, copies: int = 1) -> Bound:
    """Listening sockets on one address, and that address with the port that port 0 became.

    Over several copies the kernel spreads connections. Raises `ConfigErrors` naming the setting if the
    address cannot be had.
    """
    try:
        if listen.path is not None:
            return listen, [_bind_path(listen)]
        if listen.port:
            # With SO_REUSEPORT alone, the sockets of another node on this address would be joined.
            _bind_port(listen, shared=False).close()
        first = _bind_port(listen, shared=copies > 1)
        listen = replace(listen, port=first.getsockname()[1])
        return listen, [first, *(_bind_port(listen, shared=True) for _ in range(copies - 1))]
    except OSError as error:
        reason = {
            errno.EADDRINUSE: "the address is in use",
            errno.EACCES: "not allowed to listen there",
            errno.EADDRNOTAVAIL: "this machine does not have that address",
        }.get(error.errno or 0, error.strerror or str(error))
        raise ConfigErrors([ConfigError(variable, f"cannot listen on {listen}: {reason}")]) from error


def _bind_port(listen: Listen, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM if listen.udp else socket.SOCK_STREAM)
    try:
        if not listen.udp:  # which would let two nodes have one port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # As in nginx: `[::]:8000` stands beside `0.0.0.0:8000`, and no peer is IPv4 in disguise.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if shared and hasattr(socket, "SO_REUSEPORT"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((listen.host, listen.port))
        if not listen.udp:
            sock.listen(listen.backlog)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_path(listen: Listen) -> socket.socket:
    path = Path(listen.path or "")
    if path.is_socket():
        path.unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    sock.listen(listen.backlog)
    sock.setblocking(False)
    return sock


def address_of(transport: asyncio.Transport | None) -> str | None:
    """The node's end of a connection; `None` for a Unix socket, and for a connection that has ended."""
    end = transport.get_extra_info("sockname") if transport is not None else None
    return str(end[0]) if isinstance(end, tuple) else None
