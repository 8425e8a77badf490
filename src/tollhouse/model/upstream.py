"""Upstreams and their targets: load balancing and health checks."""

# ruff: noqa: RUF009 - setting() declares a dataclass field, it is not a default value

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from tollhouse.model import hosts
from tollhouse.model.checks import Conditional, Distinct
from tollhouse.model.common import PATH, created_at, tags, updated_at, uuid_id
from tollhouse.model.schema import Ref, item, setting
from tollhouse.model.shorthands import Shorthand
from tollhouse.model.validators import (
    cookie_name,
    header_name,
    host_with_optional_port,
    sni,
    target,
    upstream_name,
)

Algorithm: TypeAlias = Literal["consistent-hashing", "least-connections", "round-robin", "latency"]
HashOn: TypeAlias = Literal["none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture"]
CheckType: TypeAlias = Literal["tcp", "http", "https", "grpc", "grpcs"]

#: the port of a target that names none
DEFAULT_TARGET_PORT: Final = 8000
# fmt: off
_GOOD_STATUSES: Final = (
    200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308,
)
# fmt: on


def _count(doc: str) -> Any:
    return setting(0, between=(0, 255), doc=doc)


def _seconds(default: int, doc: str) -> Any:
    return setting(default, between=(0, 65535), unit="s", doc=doc)


def _statuses(default: tuple[int, ...], doc: str) -> Any:
    return setting(default, items=item(between=(100, 999)), doc=doc)


def _check_type() -> Any:
    return setting("http", doc="The protocol of the checks.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveHealthy:
    """When probing makes a target healthy."""

    interval: float | None = _seconds(0, "Time between probes of a healthy target; 0 switches them off.")
    http_statuses: tuple[int, ...] | None = _statuses((200, 302), "Statuses that count as success.")
    successes: int | None = _count("Successes that make a target healthy; 0 never does.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveUnhealthy:
    """When probing makes a target unhealthy."""

    interval: float | None = _seconds(0, "Time between probes of an unhealthy target; 0 switches them off.")
    http_statuses: tuple[int, ...] | None = _statuses(
        (429, 404, 500, 501, 502, 503, 504, 505), "Statuses that count as failure."
    )
    tcp_failures: int | None = _count("Failed connections that make a target unhealthy; 0 never does.")
    timeouts: int | None = _count("Timeouts that make a target unhealthy; 0 never does.")
    http_failures: int | None = _count("Bad statuses that make a target unhealthy; 0 never does.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Active:
    """Probes the gateway sends on its own."""

    type: CheckType | None = _check_type()
    timeout: float | None = _seconds(1, "Longest wait for a probe's answer.")
    concurrency: int | None = setting(10, between=(1, 2**31), doc="Targets probed at once.")
    http_path: str | None = setting("/", doc="The path of a probe.", **PATH)
    https_sni: str | None = setting(None, validator=sni, doc="The server name of a TLS probe.")
    https_verify_certificate: bool = setting(True, required=True, doc="Whether to verify certificates.")
    headers: Mapping[str, tuple[str, ...]] | None = setting(
        None, keys=item(validator=header_name), doc="Headers of a probe."
    )
    healthy: ActiveHealthy = setting(ActiveHealthy(), doc="When a target becomes healthy.")
    unhealthy: ActiveUnhealthy = setting(ActiveUnhealthy(), doc="When a target becomes unhealthy.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PassiveHealthy:
    """When traffic makes a target healthy."""

    http_statuses: tuple[int, ...] | None = _statuses(_GOOD_STATUSES, "Statuses that count as success.")
    successes: int | None = _count("Successes that make a target healthy; 0 never does.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PassiveUnhealthy:
    """When traffic makes a target unhealthy."""

    http_statuses: tuple[int, ...] | None = _statuses((429, 500, 503), "Statuses that count as failure.")
    tcp_failures: int | None = _count("Failed connections that make a target unhealthy; 0 never does.")
    timeouts: int | None = _count("Timeouts that make a target unhealthy; 0 never does.")
    http_failures: int | None = _count("Bad statuses that make a target unhealthy; 0 never does.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passive:
    """Health judged by the traffic that passes."""

    type: CheckType | None = _check_type()
    healthy: PassiveHealthy = setting(PassiveHealthy(), doc="When a target becomes healthy.")
    unhealthy: PassiveUnhealthy = setting(PassiveUnhealthy(), doc="When a target becomes unhealthy.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthchecks:
    """How the health of targets is found out."""

    active: Active = setting(Active(), doc="Probes the gateway sends on its own.")
    passive: Passive = setting(Passive(), doc="Health judged by the traffic that passes.")
    threshold: float | None = setting(
        0, between=(0, 100), unit="%", doc="Share of healthy weight below which the upstream is unhealthy."
    )


def _needs(hash_field: str, value: str, field: str) -> Conditional:
    return Conditional(hash_field, {"match": f"^{value}$"}, field, {"required": True})


def _fallbacks(hash_on: str, *allowed: str) -> Conditional:
    return Conditional("hash_on", {"match": f"^{hash_on}$"}, "hash_fallback", {"one_of": allowed})


def _expand_algorithm(algorithm: str | None) -> dict[str, Any]:
    # These two do not hash, whatever else is given.
    resets = {"hash_on": None} if algorithm in ("least-connections", "latency") else {}
    return {"algorithm": algorithm, **resets}


def _expand_hash_on(hash_on: str | None) -> dict[str, Any]:
    if hash_on in (None, "none"):
        return {"hash_on": "none"}
    return {"hash_on": hash_on, "algorithm": "consistent-hashing"}


def _implied_by_hash_on(hash_on: str | None) -> dict[str, Any]:
    return {"algorithm": "round-robin"} if hash_on == "none" else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A virtual host whose requests are spread over targets."""

    id: str = uuid_id()
    created_at: int = created_at()
    name: str = setting(
        required=True, unique=True, validator=upstream_name, doc="The host name that services use."
    )
    updated_at: int = updated_at()
    algorithm: Algorithm | None = setting("round-robin", doc="How a target is chosen.")
    hash_on: HashOn | None = setting("none", doc="What to hash.")
    hash_fallback: HashOn | None = setting("none", doc="What to hash if `hash_on` finds nothing.")
    hash_on_header: str | None = setting(None, validator=header_name, doc="The header to hash.")
    hash_fallback_header: str | None = setting(None, validator=header_name, doc="The second header to hash.")
    hash_on_cookie: str | None = setting(
        None, validator=cookie_name, doc="The cookie to hash, set if absent."
    )
    hash_on_cookie_path: str | None = setting("/", doc="The path of that cookie.", **PATH)
    hash_on_query_arg: str | None = setting(None, len_min=1, doc="The query argument to hash.")
    hash_fallback_query_arg: str | None = setting(None, len_min=1, doc="The second query argument to hash.")
    hash_on_uri_capture: str | None = setting(None, len_min=1, doc="The capture of the path to hash.")
    hash_fallback_uri_capture: str | None = setting(None, len_min=1, doc="The second capture to hash.")
    slots: int | None = setting(10000, between=(10, 2**16), doc="Slots of the ring.")
    slow_start: float | None = setting(
        None,
        extra=True,
        hidden=True,
        between=(0, 65535),
        unit="s",
        doc="For so long the share of a target grows that is new or has recovered. Tollhouse's own.",
    )
    healthchecks: Healthchecks = setting(Healthchecks(), doc="How the health of targets is found out.")
    tags: tuple[str, ...] | None = tags()
    host_header: str | None = setting(
        None, validator=host_with_optional_port, doc="The Host header for the targets."
    )
    client_certificate: Ref | None = setting(
        None, reference="certificates", doc="The certificate to show to the targets."
    )
    use_srv_name: bool | None = setting(False, doc="Ask targets by the names of their SRV records.")

    CHECKS = (
        _needs("hash_on", "header", "hash_on_header"),
        _needs("hash_fallback", "header", "hash_fallback_header"),
        _needs("hash_on", "cookie", "hash_on_cookie"),
        _needs("hash_fallback", "cookie", "hash_on_cookie"),
        _fallbacks("none", "none"),
        _fallbacks("cookie", "none"),
        _fallbacks("consumer", "none", "ip", "header", "cookie", "path", "query_arg", "uri_capture"),
        _fallbacks("ip", "none", "consumer", "header", "cookie", "path", "query_arg", "uri_capture"),
        _fallbacks("path", "none", "consumer", "header", "cookie", "query_arg", "ip", "uri_capture"),
        Distinct("hash_on_header", "hash_fallback_header"),
        _needs("hash_on", "query_arg", "hash_on_query_arg"),
        _needs("hash_fallback", "query_arg", "hash_fallback_query_arg"),
        Distinct("hash_on_query_arg", "hash_fallback_query_arg"),
        _needs("hash_on", "uri_capture", "hash_on_uri_capture"),
        _needs("hash_fallback", "uri_capture", "hash_fallback_uri_capture"),
        Distinct("hash_on_uri_capture", "hash_fallback_uri_capture"),
    )
    SHORTHANDS = (
        Shorthand("algorithm", "string", _expand_algorithm),
        Shorthand("hash_on", "string", _expand_hash_on, implied=_implied_by_hash_on),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One address of an upstream, as `host:port`."""

    id: str = uuid_id()
    created_at: float = created_at()
    updated_at: float = updated_at()
    upstream: Ref = setting(
        required=True, reference="upstreams", on_delete="cascade", doc="The upstream it belongs to."
    )
    target: str = setting(required=True, validator=target, doc="Host and port; without a port, 8000.")
    weight: int | None = setting(100, between=(0, 65535), doc="Its share of the requests; 0 disables it.")
    tags: tuple[str, ...] | None = tags()


def with_port(target_text: str) -> str:
    """A valid target in the form it is kept in: a normal host and always a port."""
    return hosts.parse(target_text).with_port(DEFAULT_TARGET_PORT)


def with_full_target(values: Mapping[str, Any]) -> dict[str, Any]:
    """A target's entity as it is kept."""
    return {**values, "target": with_port(values["target"])}
