"""The database that the settings name."""

from typing import TYPE_CHECKING, Final

from tollhouse.config.settings import Settings
from tollhouse.errors import ConfigError, ConfigErrors

if TYPE_CHECKING:
    from tollhouse.stores.postgres.server import Server

_USUAL_CONNECTIONS: Final = 10
#: a change of the whole configuration reads on one connection what it changes on another
_FEWEST_CONNECTIONS: Final = 2


def database_server(settings: Settings) -> "Server":
    """Where the database is. Raises `ConfigErrors` if this installation cannot talk to one."""
    try:
        from tollhouse.stores.postgres.server import Server
    except ModuleNotFoundError as missing:
        text = f"'postgres' needs the package {missing.name}: pip install 'tollhouse[postgres]'"
        raise ConfigErrors([ConfigError("KONG_DATABASE", text)]) from missing
    return Server(
        host=settings.pg_host,
        port=settings.pg_port,
        user=settings.pg_user,
        password=settings.pg_password,
        database=settings.pg_database,
        schema=settings.pg_schema,
        use_tls=settings.pg_ssl,
        verify_tls=settings.pg_ssl_verify,
        trusted=settings.lua_ssl_trusted_certificate,
        timeout=settings.pg_timeout,
        statement_timeout=settings.pg_timeout,
        max_connections=max(_FEWEST_CONNECTIONS, settings.pg_max_concurrent_queries or _USUAL_CONNECTIONS),
        idle_seconds=settings.pg_keepalive_timeout,
    )
