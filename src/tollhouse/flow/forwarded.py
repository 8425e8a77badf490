"""Who the client is, and what the upstream is told about it: real IP and X-Forwarded-*."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from tollhouse.pdk.exchange import ClientSide
from tollhouse.pdk.messages import Request

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Trust:
    """Kong's `trusted_ips`, `real_ip_header` and `real_ip_recursive`."""

    networks: tuple[Network, ...] = ()
    unix: bool = False
    header: str = "x-real-ip"
    recursive: bool = False

    @classmethod
    def of(cls, trusted: Iterable[str], header: str, *, recursive: bool) -> "Trust":
        """From the settings' text. Raises `ValueError` for what is no address range."""
        ranges = [text for text in trusted if text != "unix:"]
        networks = tuple(ipaddress.ip_network(text, strict=False) for text in ranges)
        return cls(networks, "unix:" in trusted, header.lower(), recursive)

    def trusts(self, address: str) -> bool:
        """Whether forwarded headers from that peer are believed."""
        if address == "unix:":
            return self.unix
        return bool(self.networks) and _contains(self.networks, address)

    def client_ip(self, peer: str, request: Request, told: str | None = None) -> str:
        """The client's address as nginx's real-ip module finds it, walking from the right; `told` is what a
        trusted peer has said by the PROXY protocol."""
        if self.header == "proxy_protocol":
            return told or peer
        listed = request.headers.get_all(self.header)
        if not listed:
            return peer
        if self.header != "x-forwarded-for":
            del listed[1:]  # the one field that grows by lines; of others the first counts
        candidates = [a.strip() for value in listed for a in value.split(",") if a.strip()]
        found = peer
        while candidates and self.trusts(found):
            address = _strip_port(candidates.pop())
            if address is None:
                break
            found = address
            if not self.recursive:
                break
        return found


@lru_cache(maxsize=4096)
def _contains(networks: tuple[Network, ...], address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in networks)


def _strip_port(text: str) -> str | None:
    host = text[1 : text.index("]")] if text.startswith("[") and "]" in text else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def forwarded_fields(
    client: ClientSide, request: Request, client_ip: str, prefix: str, *, trusted: bool
) -> str:
    """The X-Forwarded-* and X-Real-IP lines for the upstream, each ending in CRLF.

    What a trusted peer says of the client is passed on; what others say is replaced, but for
    X-Forwarded-For, which grows.
    """
    values = request.headers.values
    earlier = values.get("x-forwarded-for")
    fields = {
        "X-Forwarded-For": f"{earlier}, {client.peer_ip}" if earlier else client_ip,
        "X-Forwarded-Proto": client.scheme,
        "X-Forwarded-Host": host_without_port((values.get("host") or "").lower()),
        "X-Forwarded-Port": str(client.port),
        "X-Forwarded-Path": request.target.path,
        "X-Forwarded-Prefix": prefix,
    }
    if trusted:
        for name in tuple(fields)[1:]:
            fields[name] = values.get(name.lower()) or fields[name]
    fields["X-Real-IP"] = client_ip
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)


def host_without_port(host: str) -> str:
    """The host of a Host value; an IPv6 address keeps its brackets."""
    if ":" not in host:
        return host
    end = host.rfind("]")
    return host[: end + 1] if end >= 0 else host.partition(":")[0]
