"""A client that keeps connections busy and counts every answer."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.support.gateway import Reply, read_reply


@dataclass(slots=True)
class Load:
    """Connections that send one request after the other until they are told to stop."""

    address: tuple[str, int]
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    #: what went wrong instead of an answer
    failures: list[str] = field(default_factory=list)
    on_reply: Callable[[Reply], None] | None = None
    _stopping: bool = False
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self, connections: int) -> "Load":
        self._tasks = [asyncio.ensure_future(self._keep_busy()) for _ in range(connections)]
        return self

    async def stop(self) -> None:
        """Lets every request under way be answered."""
        self._stopping = True
        await asyncio.gather(*self._tasks)

    @property
    def answers(self) -> int:
        return sum(self.statuses.values())

    async def until(self, answers: int) -> None:
        """Waits for so many more answers."""
        goal = self.answers + answers
        async with asyncio.timeout(30):
            while self.answers < goal:
                await asyncio.sleep(0.001)

    async def _keep_busy(self) -> None:
        fields = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        request = f"GET {self.path} HTTP/1.1\r\nHost: gw.test\r\n{fields}\r\n".encode()
        while not self._stopping:
            reader, writer = await asyncio.open_connection(*self.address)
            try:
                while not self._stopping:
                    writer.write(request)
                    async with asyncio.timeout(20):
                        reply = await read_reply(reader)
                    self.statuses[reply.status] += 1
                    if self.on_reply is not None:
                        self.on_reply(reply)
                    if reply.headers.get("connection") == "close":
                        break
            except (ConnectionError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.failures.append(repr(error))
            finally:
                writer.close()
