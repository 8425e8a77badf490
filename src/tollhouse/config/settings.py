"""This node's settings, from the environment: Kong's properties as `KONG_*`, or as `TOLLHOUSE_*`.

`TOLLHOUSE_*` wins over `KONG_*`. Every problem is reported at once, with the variable's name.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeVar, cast

from tollhouse.config.listen import Listen, parse_listens
from tollhouse.errors import ConfigError, ConfigErrors

T = TypeVar("T")

Flavor = Literal["traditional_compatible", "traditional", "expressions"]
_SIZES: Final = {"k": 1024, "m": 1024**2, "g": 1024**3}
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_ON: Final = frozenset({"on", "true"})
_OFF: Final = frozenset({"off", "false"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that is the node's own; names are Kong's. Sizes in bytes, times in seconds."""

    prefix: Path
    log_level: str
    plugins: tuple[str, ...]
    proxy_listen: tuple[Listen, ...]
    admin_listen: tuple[Listen, ...]
    status_listen: tuple[Listen, ...]
    worker_processes: int
    router_flavor: Flavor
    trusted_ips: tuple[str, ...]
    real_ip_header: str
    real_ip_recursive: bool
    headers: tuple[str, ...]
    headers_upstream: tuple[str, ...]
    error_default_type: str
    client_max_body_size: int
    client_header_timeout: float
    client_body_timeout: float
    keepalive_timeout: float
    keepalive_requests: int
    send_timeout: float
    upstream_keepalive_pool_size: int
    upstream_keepalive_max_requests: int
    upstream_keepalive_idle_timeout: float
    dns_valid_ttl: float | None
    dns_stale_ttl: float
    dns_not_found_ttl: float
    dns_error_ttl: float
    dns_cache_size: int
    ssl_cert: str | None
    ssl_cert_key: str | None
    access_log: str | None
    declarative_config: str | None
    declarative_config_string: str | None
    drain_seconds: float
    counter_slots: int


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings. Raises `ConfigErrors` with everything that is wrong."""
    return _Reader(os.environ if environment is None else environment).settings()


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._errors: list[ConfigError] = []

    def settings(self) -> Settings:
        """All settings; raises if one is wrong."""
        self._check_database()
        settings = Settings(
            prefix=Path(self._text("PREFIX", str(_default_prefix(self._environment)))).expanduser(),
            log_level=self._one_of(
                "LOG_LEVEL", "notice", ("debug", "info", "notice", "warn", "error", "crit", "alert", "emerg")
            ),
            plugins=self._list("PLUGINS", "bundled"),
            proxy_listen=self._listens("PROXY_LISTEN", "0.0.0.0:8000 reuseport backlog=16384"),
            admin_listen=self._listens("ADMIN_LISTEN", "127.0.0.1:8001 reuseport backlog=16384"),
            status_listen=self._listens("STATUS_LISTEN", "127.0.0.1:8007 reuseport backlog=16384"),
            worker_processes=self._read("NGINX_WORKER_PROCESSES", "auto", _processes),
            router_flavor=cast(
                Flavor,
                self._one_of(
                    "ROUTER_FLAVOR",
                    "traditional_compatible",
                    ("traditional_compatible", "traditional", "expressions"),
                ),
            ),
            trusted_ips=self._list("TRUSTED_IPS", ""),
            real_ip_header=self._text("REAL_IP_HEADER", "X-Real-IP"),
            real_ip_recursive=self._read("REAL_IP_RECURSIVE", "off", _switch),
            headers=self._list("HEADERS", "server_tokens, latency_tokens, X-Kong-Request-Id"),
            headers_upstream=self._list("HEADERS_UPSTREAM", "X-Kong-Request-Id"),
            error_default_type=self._one_of(
                "ERROR_DEFAULT_TYPE",
                "text/plain",
                ("text/plain", "text/html", "application/json", "application/xml", "application/grpc"),
            ),
            client_max_body_size=self._first_read(
                ("CLIENT_MAX_BODY_SIZE", "NGINX_HTTP_CLIENT_MAX_BODY_SIZE"), "0", _size
            ),
            client_header_timeout=self._read("NGINX_HTTP_CLIENT_HEADER_TIMEOUT", "60s", _seconds),
            client_body_timeout=self._read("NGINX_HTTP_CLIENT_BODY_TIMEOUT", "60s", _seconds),
            keepalive_timeout=self._read("NGINX_HTTP_KEEPALIVE_TIMEOUT", "75s", _seconds),
            keepalive_requests=self._read("NGINX_HTTP_KEEPALIVE_REQUESTS", "1000000", _whole),
            send_timeout=self._read("NGINX_HTTP_SEND_TIMEOUT", "60s", _seconds),
            upstream_keepalive_pool_size=self._read("UPSTREAM_KEEPALIVE_POOL_SIZE", "512", _whole),
            upstream_keepalive_max_requests=self._read("UPSTREAM_KEEPALIVE_MAX_REQUESTS", "10000", _whole),
            upstream_keepalive_idle_timeout=self._read("UPSTREAM_KEEPALIVE_IDLE_TIMEOUT", "60", _seconds),
            dns_valid_ttl=self._read("DNS_VALID_TTL", "0", _seconds) or None,
            dns_stale_ttl=self._read("DNS_STALE_TTL", "3600", _seconds),
            dns_not_found_ttl=self._read("DNS_NOT_FOUND_TTL", "30", _seconds),
            dns_error_ttl=self._read("DNS_ERROR_TTL", "1", _seconds),
            dns_cache_size=self._read("DNS_CACHE_SIZE", "10000", _whole),
            ssl_cert=self._text("SSL_CERT", "") or None,
            ssl_cert_key=self._text("SSL_CERT_KEY", "") or None,
            access_log=self._read("PROXY_ACCESS_LOG", "off", _file_or_off),
            declarative_config=self._text("DECLARATIVE_CONFIG", "") or None,
            declarative_config_string=self._text("DECLARATIVE_CONFIG_STRING", "") or None,
            drain_seconds=self._read("DRAIN_TIMEOUT", "30s", _seconds),
            counter_slots=self._read("COUNTER_SLOTS", "131072", _whole),
        )
        if self._errors:
            raise ConfigErrors(self._errors)
        return settings

    def _check_database(self) -> None:
        database = self._text("DATABASE", "off")
        if database != "off":
            self._fail("DATABASE", f"'{database}' is not supported by this version of Tollhouse: use 'off'")

    def _variable(self, name: str) -> tuple[str, str | None]:
        for prefix in ("TOLLHOUSE_", "KONG_"):
            value = self._environment.get(prefix + name)
            if value is not None:
                return prefix + name, value.strip()
        return "KONG_" + name, None

    def _text(self, name: str, default: str) -> str:
        value = self._variable(name)[1]
        return default if value is None else value

    def _read(self, name: str, default: str, convert: Callable[[str], T]) -> T:
        try:
            return convert(self._text(name, default))
        except ValueError as error:
            self._fail(name, str(error))
            return convert(default)

    def _first_read(self, names: tuple[str, ...], default: str, convert: Callable[[str], T]) -> T:
        for name in names:
            if self._variable(name)[1] is not None:
                return self._read(name, default, convert)
        return convert(default)

    def _list(self, name: str, default: str) -> tuple[str, ...]:
        return tuple(word.strip() for word in self._text(name, default).split(",") if word.strip())

    def _one_of(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self._text(name, default)
        if value not in allowed:
            self._fail(name, f"'{value}' is not one of: {', '.join(allowed)}")
            return default
        return value

    def _listens(self, name: str, default: str) -> tuple[Listen, ...]:
        return self._read(name, default, parse_listens)

    def _fail(self, name: str, message: str) -> None:
        self._errors.append(ConfigError(self._variable(name)[0], message))


def _default_prefix(environment: Mapping[str, str]) -> Path:
    state = environment.get("XDG_STATE_HOME") or str(Path(environment.get("HOME", "/tmp")) / ".local/state")  # noqa: S108
    return Path(state) / "tollhouse"


def _switch(text: str) -> bool:
    if text.lower() in _ON | _OFF:
        return text.lower() in _ON
    raise ValueError(f"'{text}' is neither on nor off")


def _whole(text: str) -> int:
    if not text.isdigit():
        raise ValueError(f"'{text}' is not a whole number")
    return int(text)


def _processes(text: str) -> int:
    if text == "auto":
        return max(
            1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        )
    if _whole(text) < 1:
        raise ValueError("at least one worker is needed")
    return int(text)


def _size(text: str) -> int:
    """nginx's sizes: bytes, or with k, m or g."""
    number, unit = (text[:-1], text[-1].lower()) if text and text[-1].lower() in _SIZES else (text, "")
    return _whole(number) * _SIZES.get(unit, 1)


def _seconds(text: str) -> float:
    """nginx's times: seconds, or with ms, s, m or h."""
    for unit in sorted(_SECONDS, key=len, reverse=True):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * _SECONDS[unit]
    return float(text)


def _file_or_off(text: str) -> str | None:
    return None if text == "off" else text
