"""Listening addresses as Kong writes them: `0.0.0.0:8000 reuseport backlog=16384, [::]:8443 ssl`."""

from dataclasses import dataclass, replace
from typing import Final

_PLAIN: Final = frozenset({"ssl", "reuseport", "deferred", "bind"})
_HTTP: Final = _PLAIN | {"http2"}
_PROXY: Final = _HTTP | {"proxy_protocol"}
_STREAM: Final = _PLAIN | {"udp"}


@dataclass(frozen=True, slots=True)
class Listen:
    """One address to listen on; `path` instead of host and port for a Unix socket."""

    host: str
    port: int
    tls: bool = False
    backlog: int = 16384
    path: str | None = None
    http2: bool = False
    #: for connections without HTTP
    stream: bool = False
    #: datagrams in place of connections
    udp: bool = False
    #: connections begin with who the client is, as a balancer in front knows it
    proxy_protocol: bool = False

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_listens(text: str) -> tuple[Listen, ...]:
    """The addresses of a setting, none for `off`. Raises `ValueError` saying what is wrong."""
    if text == "off":
        return ()
    return tuple(_parse(part.strip(), _HTTP) for part in text.split(",") if part.strip())


def parse_proxy_listens(text: str) -> tuple[Listen, ...]:
    """The same for the proxy, where balancers in front may name the clients."""
    if text == "off":
        return ()
    return tuple(_parse(part.strip(), _PROXY) for part in text.split(",") if part.strip())


def parse_stream_listens(text: str) -> tuple[Listen, ...]:
    """The same for connections without HTTP."""
    if text == "off":
        return ()
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return tuple(replace(_parse(part, _STREAM), stream=True) for part in parts)


def _parse(text: str, flags_known: frozenset[str]) -> Listen:
    address, *flags = text.split()
    backlog = 16384
    tls = http2 = udp = proxied = False
    for flag in flags:
        name, _, value = flag.partition("=")
        if name == "proxy_protocol" and name not in flags_known:
            raise ValueError("only listeners of the proxy take the PROXY protocol")
        if name == "backlog" and value.isdigit():
            backlog = int(value)
        elif name in flags_known or name.startswith(("so_keepalive", "ipv6only")):
            tls |= name == "ssl"
            http2 |= name == "http2"
            udp |= name == "udp"
            proxied |= name == "proxy_protocol"
        else:
            raise ValueError(f"unknown listen flag '{flag}'")
    if udp and (tls or address.startswith("unix:")):
        raise ValueError("`udp` goes neither with `ssl` nor with a Unix socket")
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        return Listen("", 0, tls, backlog, path, http2, proxy_protocol=proxied)
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"'{address}' is not an address like 0.0.0.0:8000")
    return Listen(host.strip("[]"), int(port), tls, backlog, None, http2, udp=udp, proxy_protocol=proxied)
