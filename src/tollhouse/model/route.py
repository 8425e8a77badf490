"""Routes: which requests go to which service.

The first protocol of a route selects its variant: HTTP, stream or gRPC. The router flavour adds
`expression` and `priority`, or narrows what an SNI may look like.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

from tollhouse.model.checks import AtLeastOneOf, Conditional, ConditionalAtLeastOneOf, CustomEntity
from tollhouse.model.common import EMPTY_SEGMENTS, Protocol, created_at, tags, updated_at, uuid_id
from tollhouse.model.constraints import Constraints, is_nonempty
from tollhouse.model.schema import Record, Ref, item, schema_of, setting
from tollhouse.model.validators import (
    header_name,
    ip_or_cidr,
    route_host,
    route_path,
    sni,
    utf8_name,
    wildcard_host,
)

_HOST: Final[Constraints] = {
    "match_all": (("^[^*]*%*?[^*]*$", "invalid wildcard: must have at most one wildcard"),),
    "match_any": (
        ("^%*%.", "%.%*$", "^[^*]*$"),
        "invalid wildcard: must be placed at leftmost or rightmost label",
    ),
    "validator": route_host,
}
_PATH: Final[Constraints] = {
    "match_any": (("^/", "^~/"), "should start with: / (fixed path) or ~/ (regex path)"),
    "match_none": (EMPTY_SEGMENTS,),
    "validator": route_path,
}
_HEADER_NAME: Final[Constraints] = {
    "match_none": (
        (
            "^[Hh][Oo][Ss][Tt]$",
            "cannot contain 'host' header, which must be specified in the 'hosts' attribute",
        ),
    ),
    "validator": header_name,
}
_TLS_ONLY: Final = "'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One end of a connection, for stream routes."""

    ip: str | None = setting(None, validator=ip_or_cidr, doc="An address or a range of addresses.")
    port: int | None = setting(None, between=(0, 65535), doc="A port.")

    CHECKS = (AtLeastOneOf("ip", "port"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What a request must look like, and what happens to it on the way to the service."""

    id: str = uuid_id()
    created_at: int = created_at()
    updated_at: int = updated_at()
    name: str | None = setting(None, unique=True, validator=utf8_name, doc="The name of the route.")
    protocols: tuple[Protocol, ...] = setting(
        ("http", "https"),
        required=True,
        as_set=True,
        len_min=1,
        mutually_exclusive_subsets=(
            ("http", "https"),
            ("tcp", "tls", "udp"),
            ("tls_passthrough",),
            ("grpc", "grpcs"),
        ),
        doc="The protocols the route serves.",
    )
    https_redirect_status_code: Literal[426, 301, 302, 307, 308] = setting(
        426, required=True, doc="Status for a request that matches but for its protocol."
    )
    strip_path: bool = setting(True, required=True, doc="Remove the matched prefix from the upstream path.")
    preserve_host: bool = setting(False, required=True, doc="Send the client's Host header upstream.")
    request_buffering: bool = setting(True, required=True, doc="Has no effect: bodies pass as they arrive.")
    response_buffering: bool = setting(True, required=True, doc="Has no effect: bodies pass as they arrive.")
    tags: tuple[str, ...] | None = tags()
    service: Ref | None = setting(None, reference="services", doc="The service the route leads to.")
    snis: tuple[str, ...] | None = setting(
        None, as_set=True, items=item(validator=wildcard_host), doc="Server names of TLS connections."
    )
    sources: tuple[Peer, ...] | None = setting(
        None, as_set=True, doc="Where connections of a stream route may come from."
    )
    destinations: tuple[Peer, ...] | None = setting(
        None, as_set=True, doc="Where connections of a stream route may go to."
    )
    methods: tuple[str, ...] | None = setting(
        None, as_set=True, items=item(match="^%u+$"), doc="Methods, in capital letters."
    )
    hosts: tuple[str, ...] | None = setting(
        None, items=_HOST, doc="Hosts; the first or the last label may be `*`."
    )
    paths: tuple[str, ...] | None = setting(
        None, items=_PATH, doc="Path prefixes, or `~` and a regular expression."
    )
    headers: Mapping[str, tuple[str, ...]] | None = setting(
        None, keys=_HEADER_NAME, doc="Values that headers must have, one of those given for each."
    )
    regex_priority: int | None = setting(0, doc="Among regular expressions, the higher goes first.")
    path_handling: Literal["v0", "v1"] | None = setting(
        "v0", doc="How service path, route path and request path are joined."
    )
    expression: str | None = setting(None, doc="What a request must satisfy, as an expression.")
    priority: int = setting(
        0, required=True, between=(0, 2**46 - 1), doc="Among expressions, the higher goes first."
    )

    CHECKS = (
        Conditional(
            "protocols",
            {"items": {"not_one_of": ("grpcs", "https", "tls", "tls_passthrough")}},
            "snis",
            {"len_eq": 0},
            _TLS_ONLY,
        ),
    )


_MATCHERS: Final = ("snis", "sources", "destinations", "methods", "hosts", "paths", "headers")
_CANNOT: Final = "Router Expression failed validation: cannot set"
_FIELDS: Final = "'methods', 'hosts', 'paths', 'headers', 'snis', 'sources' or 'destinations'"


def _expression_stands_alone(values: Mapping[str, Any]) -> str | None:
    matches_fields = any(is_nonempty(values[name]) for name in _MATCHERS)
    if values["expression"] is None:
        has_priority = matches_fields and values["priority"]
        return f"{_CANNOT} 'priority' with {_FIELDS} simultaneously" if has_priority else None
    if matches_fields:
        return f"{_CANNOT} 'expression' with {_FIELDS} simultaneously"
    return (
        f"{_CANNOT} 'regex_priority' with 'expression' simultaneously" if values["regex_priority"] else None
    )


_EXPRESSION_CHECK: Final = CustomEntity(
    ("id", "protocols", *_MATCHERS, "expression", "regex_priority", "priority"), _expression_stands_alone
)
_GROUPS: Final = {
    "http": "http",
    "https": "http",
    "tcp": "stream",
    "tls": "stream",
    "udp": "stream",
    "tls_passthrough": "stream",
    "grpc": "grpc",
    "grpcs": "grpc",
}
_PROTOCOLS_TEXT: Final = {
    "http": "'http' or 'https'",
    "stream": "'tcp', 'tls', 'tls_passthrough' or 'udp'",
    "grpc": "'grpc' or 'grpcs'",
}
_REFUSED: Final = {
    "http": ("sources", "destinations"),
    "stream": ("methods", "hosts", "paths", "headers"),
    "grpc": ("methods", "sources", "destinations"),
}


def _pair(secure: str, plain: str, fields: tuple[str, ...], more: tuple[str, ...]) -> ConditionalAtLeastOneOf:
    return ConditionalAtLeastOneOf(
        "protocols",
        {"contains": secure},
        (*fields, "snis", *more),
        f"must set one of %s when 'protocols' is '{secure}'",
        {"contains": plain},
        (*fields, *more),
        f"must set one of %s when 'protocols' is '{plain}'",
    )


def _required_matchers(group: str, more: tuple[str, ...]) -> tuple[ConditionalAtLeastOneOf, ...]:
    if group == "http":
        return (_pair("https", "http", ("methods", "hosts", "headers", "paths"), more),)
    if group == "grpc":
        return (_pair("grpcs", "grpc", ("hosts", "headers", "paths"), more),)
    return (
        ConditionalAtLeastOneOf(
            "protocols",
            {"items": {"one_of": ("tcp", "tls", "udp")}},
            ("sources", "destinations", "snis", *more),
            "must set one of %s when 'protocols' is 'tcp', 'tls' or 'udp'",
        ),
        ConditionalAtLeastOneOf(
            "protocols",
            {"items": {"one_of": ("tls_passthrough",)}},
            ("snis", *more),
            "must set snis when 'protocols' is 'tls_passthrough'",
        ),
    )


@cache
def _variant(group: str, flavor: str) -> Record:
    expressions = flavor == "expressions"
    changes: dict[str, dict[str, Any]] = {}
    for name in _REFUSED[group]:
        if not (expressions and name in ("sources", "destinations")):
            err = f"cannot set '{name}' when 'protocols' is {_PROTOCOLS_TEXT[group]}"
            changes[name] = {"eq": None, "err": err}
    if group == "grpc":
        err = f"cannot set 'strip_path' when 'protocols' is {_PROTOCOLS_TEXT[group]}"
        changes["strip_path"] = {"ne": True, "err": err, "default": False}
    checks = _required_matchers(group, ("expression",) if expressions else ())
    base = route_schema(flavor)
    return base.varied(changes, checks=checks)


@cache
def route_schema(flavor: str) -> Record:
    """The schema of routes before the variant is known, as `/schemas/routes` shows it."""
    if flavor == "expressions":
        return schema_of(Route).varied({}, checks=(_EXPRESSION_CHECK,))
    changes = {"snis": {"items": {"validator": sni}}} if flavor == "traditional" else {}
    return schema_of(Route).varied(changes, without=("expression", "priority"))


def route_variant(raw: Mapping[str, Any], flavor: str) -> Record | dict[str, Any]:
    """The schema for this input, or Kong's error map when its protocols select none."""
    protocols = raw.get("protocols", ("http",))
    if protocols is None:
        return {"protocols": "required field missing"}
    candidates = [protocols] if isinstance(protocols, str) else protocols
    if not isinstance(candidates, list | tuple):
        return {"protocols": "expected a set"}
    known = [protocol for protocol in candidates if isinstance(protocol, str) and protocol in _GROUPS]
    if not known:
        unknown = f"unknown type: {candidates[0]}" if candidates else "length must be at least 1"
        return {"protocols": unknown}
    return _variant(_GROUPS[known[0]], flavor)
