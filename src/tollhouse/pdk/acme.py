"""Certificates that an authority gives out on request (ACME, RFC 8555): whose they are, and what vouches for
the node while it asks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tollhouse.model.schema import setting
from tollhouse.model.shorthands import Renamed
from tollhouse.pdk.redis import Redis

#: where the authority looks for the answer to a challenge (RFC 8555 8.3)
CHALLENGE_PATH: Final = "/.well-known/acme-challenge/"
_ADDRESS: Final = re.compile(r"\d+\.\d+\.\d+\.\d+")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+")

_RESERVED: Final = ("kong_acme:renew_config:", "kong_acme:renew_last_run", "kong_acme:cert_key:")


class NotIssued(Exception):
    """Why there is no certificate."""


class Issuing(Protocol):
    """What a worker knows of the certificates that its node asks for."""

    #: of the account's key; answers challenges
    thumbprint: str | None


@dataclass(frozen=True, slots=True)
class Domains:
    """The names that certificates are asked for."""

    names: frozenset[str]
    #: what names end with, and what they begin with
    ends: tuple[str, ...]
    begins: tuple[str, ...]
    any_name: bool
    addresses: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Domains":
        """Those of a configuration of the plugin `acme`."""
        domains = [domain.lower() for domain in config.get("domains") or ()]
        return cls(
            frozenset(domain for domain in domains if "*" not in domain),
            tuple(domain[1:] for domain in domains if domain.startswith("*.")),
            tuple(domain[:-1] for domain in domains if domain.endswith(".*")),
            bool(config.get("allow_any_domain")),
            bool(config.get("enable_ipv4_common_name")),
        )

    def has(self, name: str) -> bool:
        """Whether certificates for a name, in lower case, are asked for."""
        if not self.addresses and _ADDRESS.fullmatch(name):
            return False
        return (
            self.any_name
            or name in self.names
            or name.endswith(self.ends or ("\0",))
            or name.startswith(self.begins or ("\0",))
        )


def key_authorization(token: str, thumbprint: str) -> str | None:
    """The answer to a challenge (RFC 8555 8.1); None for what no authority would ask."""
    return f"{token}.{thumbprint}" if _TOKEN.fullmatch(token) else None


def _namespace(text: str) -> str | None:
    for word in _RESERVED:
        if text.startswith(word):
            return f"namespace can't be prefixed with reserved word: {word}"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisOptions:
    namespace: str = setting(
        "", required=True, len_min=0, validator=_namespace, doc="What all keys begin with."
    )
    scan_count: float = setting(10, required=False, doc="Keys that are looked through at once.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AcmeRedis(Redis):
    """The server that an account and its certificates are kept on."""

    extra_options: RedisOptions = setting(RedisOptions, required=True, doc="How keys are named and found.")

    SHORTHANDS = (
        Renamed("auth", "password"),
        Renamed("ssl_server_name", "server_name"),
        Renamed("namespace", "extra_options.namespace"),
        Renamed("scan_count", "extra_options.scan_count"),
    )
