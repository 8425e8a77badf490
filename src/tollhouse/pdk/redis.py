"""Redis or Valkey: the settings that every plugin that can use a server has, and what it gets for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, Literal, Protocol, TypeAlias

from tollhouse.model.schema import setting
from tollhouse.model.shorthands import Renamed, Shorthand, only_default
from tollhouse.model.validators import host, sni

Role = Literal["master", "slave", "any"]
_LONGEST: Final = 2147483646


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelNode:
    host: str = setting("127.0.0.1", required=True, validator=host, doc="Host name or address.")
    port: int = setting(6379, between=(0, 65535), doc="Port.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNode:
    ip: str = setting("127.0.0.1", required=True, validator=host, doc="Host name or address.")
    port: int = setting(6379, between=(0, 65535), doc="Port.")


def _together(config: Mapping[str, Any]) -> str | None:
    sentinel, cluster = config.get("sentinel_nodes"), config.get("cluster_nodes")
    if sentinel and cluster:
        return "sentinel_nodes and cluster_nodes cannot be used together"
    if bool(sentinel) != bool(config.get("sentinel_master")):
        return "sentinel_master and sentinel_nodes are needed together"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Redis:
    """Kong's block; the fields that its enterprise edition adds are shown once they are set."""

    host: str | None = setting(None, validator=host, doc="Host name or address; else the node's own server.")
    port: int = setting(6379, between=(0, 65535), doc="Port.")
    timeout: int = setting(2000, between=(0, _LONGEST), unit="ms", doc="How long to wait, in milliseconds.")
    username: str | None = setting(None, referenceable=True, doc="ACL user.")
    password: str | None = setting(
        None, referenceable=True, encrypted=True, len_min=0, doc="Password of the ACL user."
    )
    database: int = setting(0, doc="Number of the database.")
    ssl: bool = setting(False, required=False, doc="Connect over TLS.")
    ssl_verify: bool = setting(False, required=False, doc="Check the server's certificate.")
    server_name: str | None = setting(None, required=False, validator=sni, doc="Name expected in it.")
    connect_timeout: int | None = setting(
        None, extra=True, between=(0, _LONGEST), unit="ms", doc="In place of `timeout`, for connecting."
    )
    send_timeout: int | None = setting(
        None, extra=True, between=(0, _LONGEST), unit="ms", doc="In place of `timeout`, for sending."
    )
    read_timeout: int | None = setting(
        None, extra=True, between=(0, _LONGEST), unit="ms", doc="In place of `timeout`, for an answer."
    )
    keepalive_pool_size: int | None = setting(
        None,
        extra=True,
        between=(1, _LONGEST),
        doc="Accepted for Kong's files; has no effect here because one connection of a worker to each server "
        "carries everything.",
    )
    keepalive_backlog: int | None = setting(
        None, extra=True, between=(0, _LONGEST), doc="Most commands that may wait for their answers."
    )
    sentinel_master: str | None = setting(None, extra=True, doc="Name that sentinels know the master by.")
    sentinel_nodes: tuple[SentinelNode, ...] | None = setting(
        None, extra=True, len_min=1, doc="Sentinels to ask where the server is."
    )
    sentinel_role: Role | None = setting(None, extra=True, doc="Which server to use: `master` by default.")
    sentinel_username: str | None = setting(
        None, extra=True, referenceable=True, doc="ACL user of the sentinels."
    )
    sentinel_password: str | None = setting(
        None, extra=True, referenceable=True, encrypted=True, doc="Password of that user."
    )
    cluster_nodes: tuple[ClusterNode, ...] | None = setting(
        None, extra=True, len_min=1, doc="Nodes of a cluster; some of them are enough."
    )
    cluster_max_redirections: int | None = setting(
        None, extra=True, doc="How often a command is sent on to another node: 5 by default."
    )


def _addresses_problem(value: Any) -> str | None:
    if isinstance(value, list) and all(isinstance(address, str) for address in value):
        return None
    return "expected an array of strings"


def _places(addresses: Sequence[str] | None, name: str) -> list[dict[str, Any]] | None:
    """Kong's older form of nodes, `host:port`."""
    if addresses is None:
        return None
    pairs = (str(address).rpartition(":") for address in addresses)
    return [{name: place, "port": int(port) if port.isdecimal() else port} for place, _, port in pairs]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvancedRedis:
    """The block as plugins of Kong's enterprise edition have it."""

    host: str = setting("127.0.0.1", referenceable=True, doc="Host name or address.")
    port: int = setting(6379, between=(0, 65535), referenceable=True, doc="Port.")
    connect_timeout: int = setting(2000, between=(0, _LONGEST), unit="ms", doc="Longest wait to connect.")
    send_timeout: int = setting(2000, between=(0, _LONGEST), unit="ms", doc="Longest wait to send.")
    read_timeout: int = setting(2000, between=(0, _LONGEST), unit="ms", doc="Longest wait for an answer.")
    username: str | None = setting(None, referenceable=True, doc="ACL user.")
    password: str | None = setting(None, referenceable=True, encrypted=True, doc="Password of the ACL user.")
    sentinel_master: str | None = setting(None, doc="Name that sentinels know the master by.")
    sentinel_nodes: tuple[SentinelNode, ...] | None = setting(
        None, len_min=1, doc="Sentinels to ask where the server is."
    )
    sentinel_role: Role | None = setting(None, doc="Which server to use: `master` by default.")
    sentinel_username: str | None = setting(None, referenceable=True, doc="ACL user of the sentinels.")
    sentinel_password: str | None = setting(
        None, referenceable=True, encrypted=True, doc="Password of that user."
    )
    cluster_nodes: tuple[ClusterNode, ...] | None = setting(
        None, len_min=1, doc="Nodes of a cluster; some of them are enough."
    )
    cluster_max_redirections: int = setting(5, doc="How often a command is sent on to another node.")
    database: int = setting(0, doc="Number of the database.")
    ssl: bool = setting(False, required=False, doc="Connect over TLS.")
    ssl_verify: bool = setting(True, required=False, doc="Check the server's certificate.")
    server_name: str | None = setting(None, referenceable=True, doc="Name expected in it.")
    keepalive_pool_size: int = setting(
        256,
        between=(1, _LONGEST),
        doc="Accepted for Kong's files; has no effect here because one connection of a worker to each server "
        "carries everything.",
    )
    keepalive_backlog: int | None = setting(
        None, between=(0, _LONGEST), doc="Most commands that may wait for their answers."
    )

    SHORTHANDS = (
        Shorthand(
            "timeout",
            "integer",
            lambda value: (
                {}
                if value is None
                else dict.fromkeys(("connect_timeout", "send_timeout", "read_timeout"), value)
            ),
            {"between": (0, _LONGEST)},
        ),
        Shorthand(
            "sentinel_addresses",
            "any",
            lambda value: {"sentinel_nodes": _places(value, "host")},
            {"validator": _addresses_problem},
        ),
        Shorthand(
            "cluster_addresses",
            "any",
            lambda value: {"cluster_nodes": _places(value, "ip")},
            {"validator": _addresses_problem},
        ),
        only_default("connection_is_proxied", False),
        only_default("cloud_authentication", None),
    )


#: Kong's older names, still accepted
REDIS_SHORTHANDS: Final = tuple(
    Renamed(f"redis_{name}", f"redis.{name}")
    for name in (
        "host", "port", "password", "username", "ssl", "ssl_verify", "server_name", "timeout", "database",
    )
)  # fmt: skip


def redis_problem(config: Mapping[str, Any]) -> str | None:
    """Why a configuration cannot use Redis here, for plugins that are told to."""
    if find_spec("hiredis") is None:
        return "Redis needs hiredis: pip install 'tollhouse[redis]'"
    return _together(config.get("redis") or {})


#: what a server answers; an error is a value of its own
Reply: TypeAlias = Any


class RedisError(Exception):
    """The server could not be asked, or refused the command."""


class RedisClient(Protocol):
    """A server, a server found by sentinels, or a cluster: one connection for all that a worker asks."""

    async def call(self, *words: str | bytes | float) -> Reply:
        """One command; its first argument is the key. Raises `RedisError`."""
        ...

    async def pipeline(self, key: str, commands: Sequence[Sequence[str | bytes | float]]) -> list[Reply]:
        """Commands about keys of one slot. Raises `RedisError`."""
        ...


Settings: TypeAlias = Redis | AdvancedRedis
