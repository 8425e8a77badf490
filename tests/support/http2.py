"""An HTTP/2 client whose frames a test chooses."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded
from tests.support.gateway import READ_SECONDS


class Http2Client:
    """Frames of its own by `h2`; keeps every event that comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.events: list[Event] = []
        self.closed = False
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self._writer.write(self.h2.data_to_send())

    def send(self, data: bytes) -> None:
        """Bytes that h2 would not send."""
        self._writer.write(data)

    def request(
        self,
        path: str = "/",
        fields: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        end: bool = True,
    ) -> int:
        """Sends a request head; returns its stream."""
        stream = int(self.h2.get_next_available_stream_id())
        head = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "gw.test")]
        self.h2.send_headers(stream, [*head, *(fields or {}).items()], end_stream=end)
        self.flush()
        return stream

    async def until(self, holds: Callable[[], bool]) -> None:
        """Reads frames until something holds, or the gateway closes."""
        async with asyncio.timeout(READ_SECONDS):
            while not holds() and not self.closed:
                data = await self._read()
                self.closed = not data
                self.events += self.h2.receive_data(data)
                if self.h2.state_machine.state.name != "CLOSED":
                    self.flush()

    async def remaining(self) -> AsyncIterator[bytes]:
        """Bytes until the gateway closes, as they are."""
        while data := await self._read():
            yield data

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(65536)
        except ConnectionError:
            return b""

    async def answer(self, stream: int, *, acknowledge: bool = True) -> tuple[dict[str, str], bytes]:
        """The answer of a stream, once it has ended."""
        taken = 0

        def ended() -> bool:
            nonlocal taken
            for event in self.events[taken:]:
                if isinstance(event, DataReceived) and acknowledge:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            taken = len(self.events)
            return any(isinstance(event, StreamEnded) and event.stream_id == stream for event in self.events)

        await self.until(ended)
        mine = [event for event in self.events if getattr(event, "stream_id", None) == stream]
        head = next(event for event in mine if isinstance(event, ResponseReceived))
        body = b"".join(event.data for event in mine if isinstance(event, DataReceived))
        return {str(name): str(value) for name, value in head.headers}, body


@asynccontextmanager
async def http2_connected(address: tuple[str, int], *, before: bytes = b"") -> AsyncIterator[Http2Client]:
    """A connection in plain text, by prior knowledge, for the time of a block. `before` goes ahead of it."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(before)
    try:
        yield Http2Client(reader, writer)
    finally:
        writer.close()
