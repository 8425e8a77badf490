"""ip-restriction: lets clients in or keeps them out by their address.

The address is the client's as the node knows it: behind a trusted proxy (`trusted_ips`) the one that the
proxy tells. What is denied is asked first, then what is allowed.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tollhouse.model.checks import AtLeastOneOf
from tollhouse.model.common import PROTOCOLS
from tollhouse.model.validators import ip_or_cidr
from tollhouse.pdk import Exchange, Plugin, Reject, StreamSession, item, setting

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: decisions remembered for each configuration
_ADDRESSES_KNOWN: Final = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    allow: tuple[str, ...] | None = setting(
        None, items=item(validator=ip_or_cidr), doc="Addresses and ranges (CIDR) let in; all others are not."
    )
    deny: tuple[str, ...] | None = setting(
        None, items=item(validator=ip_or_cidr), doc="Addresses and ranges (CIDR) kept out, also if allowed."
    )
    status: float | None = setting(None, required=False, doc="Status of the refusal; else 403.")
    message: str | None = setting(
        None, required=False, doc="Message of the refusal; else one that names the address."
    )

    CHECKS = (AtLeastOneOf("config.allow", "config.deny"),)


class IpRestriction(Plugin[Config]):
    name = "ip-restriction"
    priority = 990
    Config = Config
    protocols = PROTOCOLS
    default_protocols = ("http", "https", "tcp", "tls", "grpc", "grpcs")

    def prepare(self) -> None:
        self._allowed = _networks(self.conf.allow or ())
        self._denied = _networks(self.conf.deny or ())
        self._known: dict[str, bool] = {}

    def access(self, ex: Exchange | StreamSession) -> None:
        address = ex.client_ip
        passes = self._known.get(address)
        if passes is None:
            if len(self._known) >= _ADDRESSES_KNOWN:
                self._known.clear()
            passes = self._known[address] = self._passes(address)
        if not passes:
            message = self.conf.message or f"IP address not allowed: {address}"
            raise Reject(int(self.conf.status or 403), message)

    preread = access

    def _passes(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return not self._allowed  # a Unix socket has no address that a list could hold
        # A listener for both families shows IPv4 clients as ::ffff:a.b.c.d.
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if any(address in network for network in self._denied):
            return False
        return not self._allowed or any(address in network for network in self._allowed)


def _networks(ranges: Iterable[str]) -> tuple[Network, ...]:
    plain = (text.replace("[", "").replace("]", "") for text in ranges)
    return tuple(ipaddress.ip_network(text, strict=False) for text in plain)
