"""An HTTP/2 upstream, by prior knowledge: remembers fields, content and trailers, answers with trailers."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, TrailersReceived

Fields = list[tuple[str, str]]


@dataclass(slots=True)
class Asked:
    """A request; whole once `ended`."""

    fields: Fields
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    ended: bool = False


class Http2Upstream:
    """Answers each request when it has ended, with its content and the trailers it is told to send."""

    def __init__(self, trailers: Sequence[tuple[str, str]] = (("x-after", "all"),)) -> None:
        self.trailers = list(trailers)
        self.asked: list[Asked] = []
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Condition()
        self._serving: set[asyncio.Task[Any]] = set()

    async def start(self) -> "Http2Upstream":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def until_body(self, body: bytes) -> None:
        """Waits until the newest request has that content."""
        async with asyncio.timeout(15), self._changed:
            await self._changed.wait_for(lambda: bool(self.asked) and self.asked[-1].body == body)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        h2.initiate_connection()
        streams: dict[int, Asked] = {}
        try:
            writer.write(h2.data_to_send())
            while data := await reader.read(65536):
                for event in h2.receive_data(data):
                    self._take(h2, event, streams)
                writer.write(h2.data_to_send())
                async with self._changed:
                    self._changed.notify_all()
        except ConnectionError:
            return
        finally:
            writer.close()
            self._serving.discard(task)

    def _take(self, h2: H2Connection, event: object, streams: dict[int, Asked]) -> None:
        match event:
            case RequestReceived(stream_id=int(id_), headers=fields):
                streams[id_] = Asked([(str(name), str(value)) for name, value in fields or ()])
                self.asked.append(streams[id_])
            case DataReceived(stream_id=int(id_), data=data, flow_controlled_length=size):
                streams[id_].body += data or b""
                h2.acknowledge_received_data(size or 0, id_)
            case TrailersReceived(stream_id=int(id_), headers=fields):
                streams[id_].trailers = [(str(name), str(value)) for name, value in fields or ()]
            case StreamEnded(stream_id=int(id_)):
                asked = streams[id_]
                asked.ended = True
                h2.send_headers(id_, [(":status", "200"), ("content-type", "text/plain")])
                h2.send_data(id_, b"echo " + asked.body, end_stream=not self.trailers)
                if self.trailers:
                    h2.send_headers(id_, self.trailers, end_stream=True)
            case _:
                return  # settings and windows are h2's
