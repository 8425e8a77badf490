"""The settings of a Redis or Valkey server, as every plugin that can use one has them."""

from dataclasses import dataclass
from typing import Final

from tollhouse.model.schema import setting
from tollhouse.model.shorthands import Renamed
from tollhouse.model.validators import host, sni


@dataclass(frozen=True, slots=True, kw_only=True)
class Redis:
    host: str | None = setting(None, validator=host, doc="Host name or address.")
    port: int = setting(6379, between=(0, 65535), doc="Port.")
    timeout: int = setting(2000, between=(0, 2147483646), unit="ms", doc="How long to wait, in milliseconds.")
    username: str | None = setting(None, referenceable=True, doc="ACL user.")
    password: str | None = setting(
        None, referenceable=True, encrypted=True, len_min=0, doc="Password of the ACL user."
    )
    database: int = setting(0, doc="Number of the database.")
    ssl: bool = setting(False, required=False, doc="Connect over TLS.")
    ssl_verify: bool = setting(False, required=False, doc="Check the server's certificate.")
    server_name: str | None = setting(None, required=False, validator=sni, doc="Name expected in it.")


#: Kong's older names, still accepted
REDIS_SHORTHANDS: Final = tuple(
    Renamed(f"redis_{name}", f"redis.{name}")
    for name in (
        "host", "port", "password", "username", "ssl", "ssl_verify", "server_name", "timeout", "database",
    )
)  # fmt: skip
