"""A NATS server of our own, with JetStream: on a free port, stopped by its pid."""

import asyncio
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nats
from nats.js.api import StreamConfig
from tests.support.valkey import free_port

START_SECONDS = 30


class NatsServer:
    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="tollhouse-nats-"))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start(self, *streams: tuple[str, str]) -> "NatsServer":
        """Starts it and makes streams, each a name and its subject."""
        self.process = self._popen()
        async with asyncio.timeout(START_SECONDS):
            while not await self._answers():
                await asyncio.sleep(0.02)
        client = await nats.connect(self.url)
        for name, subject in streams:
            await client.jetstream().add_stream(StreamConfig(name=name, subjects=[subject]))
        await client.close()
        return self

    def _popen(self) -> subprocess.Popen[bytes]:
        program = Path(sys.executable).parent / "nats-server"
        words = (program, "-js", "-a", "127.0.0.1", "-p", str(self.port), "-sd", str(self.folder))
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(words, stdout=log, stderr=log)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def messages(self, subject: str, count: int) -> list[bytes]:
        """So many messages of a subject, from its stream's beginning, as soon as they are there."""
        client = await nats.connect(self.url)
        try:
            subscription = await client.jetstream().subscribe(subject, ordered_consumer=True)
            return [(await subscription.next_msg(timeout=START_SECONDS)).data for _ in range(count)]
        finally:
            await client.close()

    async def count(self, stream: str) -> int:
        """How many messages a stream has."""
        client = await nats.connect(self.url)
        try:
            return (await client.jetstream().stream_info(stream)).state.messages
        finally:
            await client.close()

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
