"""Which database it is, and how to get a connection to it."""

import ssl
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from tollhouse.stores.authorities import SYSTEM, client_context


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where the database is. Times are in seconds."""

    host: str
    port: int
    user: str
    password: str | None = field(repr=False)
    database: str
    schema: str
    use_tls: bool = False
    #: whether the server's certificate must be from an authority this system trusts, for `host`
    verify_tls: bool = False
    #: files of authorities that vouch for the server, and `system`
    trusted: tuple[str, ...] = SYSTEM
    timeout: float = 5.0
    statement_timeout: float | None = 5.0
    max_connections: int = 10
    #: how long an idle connection is kept, in seconds; 0 is for ever
    idle_seconds: float = 300.0

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"postgres://{host}:{self.port}/{self.database}?schema={self.schema}"

    @property
    def channel(self) -> str:
        """Where changes are made known to all nodes."""
        return f"tollhouse_{self.schema}"[:63]

    def arguments(self) -> dict[str, Any]:
        """What asyncpg has to be told to connect."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "timeout": self.timeout,
            "command_timeout": self.statement_timeout,
            "ssl": self._tls() if self.use_tls else False,
            "server_settings": {
                "search_path": quoted(self.schema),
                "application_name": "tollhouse",
                # A node that stops in the middle of a change must not keep the others from theirs.
                "idle_in_transaction_session_timeout": "60000",
            },
        }

    def _tls(self) -> ssl.SSLContext:
        return client_context(self.trusted, verify=self.verify_tls)


async def connect(server: Server) -> "asyncpg.Connection[Any]":
    """A connection of its own. Raises what `faults.translated` knows."""
    return await asyncpg.connect(**server.arguments())


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
