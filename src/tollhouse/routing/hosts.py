"""Which configured hosts a Host header stands for, and which SNIs a client's.

A configured host is a key as it is written: `one.test`, `one.test:8000`, `*.one.test`, `one.*`. From
a Host header follows the short list of keys that would match it, so that ten thousand hosts cost one
dictionary look-up per key. The two routers of Kong disagree about ports only.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from tollhouse.routing.match import wire

#: keys without wildcards, then the name and the port to look for wildcards with
Parts: TypeAlias = tuple[tuple[str, ...], str, str]
#: takes the Host header, the scheme and the listener's port
Splitter: TypeAlias = Callable[[str, str, int], Parts]

_LONGEST_NUMBER: Final = 20


def split_port(host: str) -> tuple[str, str]:
    """Name and port as the compatible router tells them apart: only a number is a port."""
    name, _, digits = host.partition(":")
    if _is_number(digits) and len(digits) < _LONGEST_NUMBER:
        return name, digits.lstrip("0") or "0"
    return host, ""


def compatible_key(host: str) -> str:
    name, port = split_port(host)
    return f"{name}:{port}" if port else name


def sni_key(sni: str) -> str:
    """The dot at the end of a fully qualified name takes no part in routing."""
    return wire(sni[:-1] if len(sni) > 1 and sni.endswith(".") else sni)


def compatible_parts(host: str, _scheme: str, port: int) -> Parts:
    """Without a port in the Host header, the port that the request arrived at counts."""
    name, number = split_port(host)
    number = number or str(port)
    return (name, f"{name}:{number}"), name, number


def traditional_parts(host: str, scheme: str, _port: int) -> Parts:
    """A plain host with a port must be written so in the Host header; for wildcards the scheme's
    default port is filled in."""
    bare, with_port, explicit = _traditional_split(host, "443" if scheme == "https" else "80")
    name, _, number = with_port.rpartition(":")
    return (bare, with_port) if explicit else (bare,), name, number


def _traditional_split(host: str, default: str) -> tuple[str, str, bool]:
    """The name without port (and brackets), the name with port, and whether the port was given."""
    if host.startswith("["):
        if host.endswith("]"):
            return host[1:-1], f"{host}:{default}", False
        address, colon, digits = host[1:].partition("]:")
        if colon and not digits:
            return address, host + default, False
        if _is_number(digits):
            return address, host, True
        return host, f"{host}:{default}", False
    name, _, digits = host.partition(":")
    if not digits:
        return name, f"{name}:{default}", False
    if _is_number(digits):
        return name, host, True
    return host, f"[{host}]:{default}", False


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


class HostKeys:
    """The keys that a Host header stands for; `wild` and `ported` say which kinds are configured."""

    __slots__ = ("_ported", "_split", "_wild")

    def __init__(self, split: Splitter, *, wild: bool, ported: bool) -> None:
        self._split = split
        self._wild = wild
        self._ported = ported

    def __call__(self, host: str, scheme: str, port: int) -> Sequence[str]:
        if not self._ported and ":" not in host:
            return (host, *wildcards(host)) if self._wild else (host,)
        keys, name, number = self._split(host, scheme, port)
        return (*keys, *wildcards(name, number if self._ported else "")) if self._wild else keys


def wildcards(name: str, port: str = "") -> list[str]:
    """The wildcard keys that a name stands for: one label open on the left or on the right."""
    keys = []
    dot = name.find(".")
    while dot >= 0:
        keys.append("*" + name[dot:])
        keys.append(name[: dot + 1] + "*")
        dot = name.find(".", dot + 1)
    return keys + [f"{key}:{port}" for key in keys] if port else keys
