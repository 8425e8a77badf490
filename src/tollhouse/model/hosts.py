"""Host names and IP addresses with an optional port, read exactly as leniently as Kong reads them."""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, Literal

_NAME: Final = re.compile(r"[0-9A-Za-z\-._]+")
_PORT: Final = re.compile(r":([0-9]+)\Z")
_IPV4: Final = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})(?::([0-9]+))?")
_BRACKETED: Final = re.compile(r"\[([^\[\]]*)\](?::([0-9]*))?")
_IPV6_GROUP: Final = re.compile(r"[0-9A-Fa-f]{1,4}")
_MAX_PORT: Final = 65535


class BadPort(ValueError):
    """The port is above 65535; Kong words this differently from a bad host."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host in normal form: IPv4 without leading zeros, IPv6 in full, a name as it was written."""

    kind: Literal["name", "ipv4", "ipv6"]
    host: str
    port: int | None

    def with_port(self, default: int) -> str:
        """As `host:port`, IPv6 in brackets."""
        host = f"[{self.host}]" if self.kind == "ipv6" else self.host
        return f"{host}:{self.port if self.port is not None else default}"


def parse(text: str) -> Host:
    """Reads `name`, `name:port`, `1.2.3.4:port`, `::1` or `[::1]:port`; raises `ValueError`."""
    if text.count(":") > 1:
        return _ipv6(text)
    bare = text.replace(":", "")
    if bare and not bare.strip("0123456789."):
        return _ipv4(text)
    return _name(text)


def _port(digits: str | None) -> int | None:
    if not digits:
        return None
    if len(digits.lstrip("0")) > 5 or int(digits) > _MAX_PORT:
        raise BadPort("invalid port number")
    return int(digits)


def _ipv4(text: str) -> Host:
    found = _IPV4.fullmatch(text)
    if not found or any(int(part) > 255 for part in found.groups()[:4]):
        raise ValueError(f"invalid ipv4 address: {text}")
    return Host("ipv4", ".".join(str(int(part)) for part in found.groups()[:4]), _port(found[5]))


def _ipv6(text: str) -> Host:
    port: int | None = None
    address = text
    if text.startswith("["):
        found = _BRACKETED.fullmatch(text)
        if not found:
            raise ValueError("invalid ipv6 address")
        address, port = found[1], _port(found[2])
    head, gap, tail = address.partition("::")
    before = head.split(":") if head else []
    after = tail.split(":") if tail else []
    missing = 8 - len(before) - len(after)
    groups = [*before, *["0"] * (missing if gap else 0), *after]
    if len(groups) != 8 or not all(_IPV6_GROUP.fullmatch(group) for group in groups):
        raise ValueError(f"invalid ipv6 address: {text}")
    return Host("ipv6", ":".join(group.lower().zfill(4) for group in groups), port)


def _name(text: str) -> Host:
    found = _PORT.search(text)
    name = text[: found.start()] if found else text
    port = _port(found[1]) if found else None
    segments = name.split(".")
    # A name may end in a dot (fully qualified); a label may not be empty or end in a dash.
    labels = segments[:-1] if segments[-1] == "" and len(segments) > 1 else segments
    if not _NAME.fullmatch(name) or any(not label or label.endswith("-") for label in labels):
        raise ValueError(f"invalid hostname: {text}")
    return Host("name", name, port)


def is_ip(text: str) -> bool:
    """Whether the text is exactly one IPv4 or IPv6 address; IPv6 may stand in brackets."""
    return _is_ipv4(text) or _is_ipv6(text)


def is_ip_or_cidr(text: str) -> bool:
    """Whether the text is an address or a range such as `10.0.0.0/8`."""
    address, slash, prefix = text.partition("/")
    if not slash:
        return is_ip(text)
    if not prefix.isascii() or not prefix.isdigit() or len(prefix) > 3 or prefix != str(int(prefix)):
        return False
    return (int(prefix) <= 32 and _is_ipv4(address)) or (int(prefix) <= 128 and _is_ipv6(address))


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return "%" not in text
