"""Services: the upstream APIs that routes lead to."""

from dataclasses import dataclass
from typing import Any, Final

from tollhouse.model.checks import Conditional
from tollhouse.model.common import PATH, Protocol, created_at, tags, updated_at, uuid_id
from tollhouse.model.schema import Ref, item, setting
from tollhouse.model.shorthands import Shorthand
from tollhouse.model.validators import host, url_parts, utf8_name

_MAX_TIMEOUT_MS: Final = 2**31 - 2
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PORT_SCHEMES: Final = {"80": "http", "443": "https"}


def _expand_url(url: str | None) -> dict[str, Any]:
    scheme, name, port, path = url_parts(url or "")
    protocol = scheme or _PORT_SCHEMES.get(port or "", "http")
    number: Any = _DEFAULT_PORTS.get(protocol, 80)
    if port is not None:
        number = int(port) if port.isascii() and port.isdigit() and len(port) < 10 else port
    return {"protocol": protocol, "host": name, "port": number, "path": path}


def _null_unless_tls(field: str) -> Conditional:
    return Conditional("protocol", {"not_one_of": ("https", "tls")}, field, {"eq": None})


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """An upstream API: where it is and how long to wait for it."""

    id: str = uuid_id()
    created_at: int = created_at()
    updated_at: int = updated_at()
    name: str | None = setting(None, unique=True, validator=utf8_name, doc="The name of the service.")
    retries: int | None = setting(5, between=(0, 32767), doc="Further attempts after a failed one.")
    protocol: Protocol = setting("http", required=True, doc="How to talk to the upstream.")
    host: str = setting(required=True, validator=host, doc="Name of an upstream, a host name or an address.")
    port: int = setting(80, required=True, between=(0, 65535), doc="The port of the upstream.")
    path: str | None = setting(None, doc="What upstream paths start with.", **PATH)
    connect_timeout: int | None = setting(
        60000, between=(1, _MAX_TIMEOUT_MS), unit="ms", doc="Longest wait for a connection."
    )
    write_timeout: int | None = setting(
        60000, between=(1, _MAX_TIMEOUT_MS), unit="ms", doc="Longest wait between two writes of a request."
    )
    read_timeout: int | None = setting(
        60000, between=(1, _MAX_TIMEOUT_MS), unit="ms", doc="Longest wait between two reads of an answer."
    )
    tags: tuple[str, ...] | None = tags()
    client_certificate: Ref | None = setting(
        None, reference="certificates", doc="The certificate to show to the upstream."
    )
    tls_verify: bool | None = setting(None, doc="Whether to verify the upstream's certificate.")
    tls_verify_depth: int | None = setting(
        None, between=(0, 64), doc="Longest chain of certificates to accept."
    )
    ca_certificates: tuple[str, ...] | None = setting(
        None, items=item(uuid=True), doc="Ids of the CA certificates to trust."
    )
    enabled: bool = setting(True, required=True, doc="Without it the service's routes do not exist.")

    CHECKS = (
        Conditional("protocol", {"one_of": ("tcp", "tls", "udp", "grpc", "grpcs")}, "path", {"eq": None}),
        _null_unless_tls("client_certificate"),
        _null_unless_tls("tls_verify"),
        _null_unless_tls("tls_verify_depth"),
        _null_unless_tls("ca_certificates"),
    )
    SHORTHANDS = (Shorthand("url", "string", _expand_url),)
